"""Progress on stderr: the phase that a command is in, then a bar that counts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ncavideo.util.events import listening

TICK = 0.5  # seconds between two looks at the clock, on a terminal
# Without a total nothing is known but the time that has passed.
WAITING = "{desc} [{elapsed}]"


class Progress:
    """One line on stderr: `render: warm-up [00:02]` until the first item is done, then a bar.

    Phases are for a terminal: a file or a program gets the bar alone. The bar is made when the
    first item is done: a rate that counts start-up and warm-up would mislead about what is left.
    """

    def __init__(self, what: str, unit: str, quiet: bool) -> None:
        self._what, self._unit, self._quiet = what, unit, quiet
        self._watched = not quiet and sys.stderr.isatty()
        self._line: Any = None  # tqdm: the phase, or the bar
        self._counting = False
        self._lock = threading.Lock()
        self._over = threading.Event()

    def phase(self, name: str) -> None:
        """Say in which phase the work is."""
        with self._lock:
            if self._over.is_set() or self._counting or not self._watched:
                return
            text = f"{self._what}: {name}"
            if self._line is None:
                self._line = self._made(desc=text, bar_format=WAITING)
                threading.Thread(target=self._tick, daemon=True).start()
            else:
                self._line.set_description_str(text)

    def move(self, done: int, total: int | None, note: str = "") -> None:
        """Say how many items are done, of how many."""
        with self._lock:
            if not self._counting:
                if self._line is not None:
                    self._line.close()
                self._line = self._made(desc=self._what, unit=self._unit, total=total, initial=done)
                self._counting = True
            if total is not None and done > total:
                self._line.total = done
            self._line.set_postfix_str(note, refresh=False)
            self._line.update(done - self._line.n)

    def close(self) -> None:
        """Clear the line."""
        self._over.set()
        with self._lock:
            if self._line is not None:
                self._line.close()

    def _made(self, **arguments: Any) -> Any:
        from tqdm import tqdm

        return tqdm(disable=self._quiet, leave=False, dynamic_ncols=True, **arguments)

    def _tick(self) -> None:
        """Show the time that passes in a phase; a bar is moved by what is done."""
        while not self._over.wait(TICK):
            with self._lock:
                if self._counting or self._over.is_set():
                    return
                self._line.refresh()


@contextmanager
def progress_bar(what: str, unit: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """Give a function `(done, total, note)` that moves a bar on stderr.

    Until it is called first, the line shows the phases that the library tells of.
    """
    bar = Progress(what, unit, quiet)
    bar.phase("starting")
    try:
        with listening("phase", lambda facts: bar.phase(facts["name"])):
            yield bar.move
    finally:
        bar.close()
