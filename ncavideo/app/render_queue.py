"""A tab's renders: one after the other, and the last fifty listed."""

from __future__ import annotations

import shutil
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from ncavideo.app.render_job import Render, RenderStatus
from ncavideo.util.errors import UserError

MOST = 50  # renders that are listed


@dataclass
class Entry:
    """One render of the list; `render` writes `output`, which has a folder of its own.

    `words`: the look's options beside its rules, as the command line has them; `part`: the seconds
    of the clip that are rendered, as `before_and_after` takes them; `mask`: the file that the
    control `mask` reads.
    """

    clip: Path
    output: Path
    rules: tuple[str, ...]
    words: str
    part: str
    mask: Path | None
    render: Render
    number: int = 0
    status: RenderStatus = field(default_factory=lambda: RenderStatus("waiting"))
    begun: bool = False

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.status.active


class RenderQueue:
    """The renders of one tab, in the order of asking.

    Each takes its turn in the app's own queue when those before it have ended: a tab with many
    renders does not keep the others waiting for all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._working = self._closed = False
        self._count = 0
        self._chosen = False  # whether the user chose what is shown
        self.version = 0  # another number after each change
        self.shown: int | None = None  # the number of the render that is shown before and after
        self.refusal = ""  # why the last request was refused, as HTML
        self.watched = 0.0  # until when someone tells the page of changes, by time.monotonic

    def entries(self) -> list[tuple[Entry, RenderStatus]]:
        """Return the listed renders with their states, the oldest first.

        One that waits for its turn has those before it in `before`.
        """
        with self._lock:
            found, ahead = [], 0
            for entry in self._entries:
                status = entry.status
                if status.state == "waiting":
                    # Others' renders are ahead of the one that has its place in the app's queue.
                    ahead = max(ahead, status.before) if entry.begun else ahead
                    status = RenderStatus("waiting", ahead)
                ahead += entry.active
                found.append((entry, status))
            return found

    def active(self) -> int:
        """Return how many have not ended."""
        with self._lock:
            return sum(entry.active for entry in self._entries)

    def shown_entry(self) -> Entry | None:
        """Return the render that is shown, None if there is none."""
        with self._lock:
            return next((entry for entry in self._entries if entry.number == self.shown), None)

    def files(self) -> set[Path]:
        """Return the clips and masks that the listed renders need."""
        with self._lock:
            clips = {entry.clip for entry in self._entries}
            return clips | {entry.mask for entry in self._entries if entry.active and entry.mask}

    def add(self, entry: Entry) -> None:
        """Add a render, which begins when it can; the files of the oldest that ended go.

        Raises `UserError` if as many as are listed wait already.
        """
        with self._lock:
            ended = [other for other in self._entries if not other.active]
            if len(self._entries) >= MOST and not ended:
                raise UserError(
                    f"{MOST} renders are waiting: cancel one, or wait until one has ended"
                )
            if len(self._entries) >= MOST:
                oldest = min(ended, key=lambda other: (other.number == self.shown, other.number))
                self._entries.remove(oldest)
                shutil.rmtree(oldest.output.parent, ignore_errors=True)
            self._count += 1
            entry.number = self._count
            self._entries.append(entry)
            self._chosen, self.refusal = False, ""
            self.version += 1
            if self._working:
                return
            self._working = True
        threading.Thread(target=self._work, daemon=True).start()

    def refuse(self, sentence: str) -> None:
        """Tell above the list why nothing was added, until something is."""
        with self._lock:
            self.refusal = sentence
            self.version += 1

    def show(self, number: int) -> None:
        """Show a finished render; none that ends later takes its place until one is added."""
        with self._lock:
            for entry in self._entries:
                if entry.number == number and entry.status.state == "done":
                    self.shown, self._chosen = number, True
                    self.version += 1

    def cancel(self, number: int) -> None:
        """Cancel one render, at any stage; waits until its process has ended."""
        with self._lock:
            found = [e for e in self._entries if e.number == number and e.active]
            if found and not found[0].begun:
                self._end(found[0], RenderStatus("cancelled"))
                return
        for entry in found:
            entry.render.stop()

    def cancel_all(self) -> None:
        """Cancel all that have not ended."""
        with self._lock:
            numbers = [entry.number for entry in self._entries]
        # The last first: otherwise one after the other would begin.
        for number in reversed(numbers):
            self.cancel(number)

    def stop(self) -> None:
        """Cancel all, and all that will be added."""
        self._closed = True
        self.cancel_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                entry = next((entry for entry in self._entries if entry.active), None)
                if entry is None:
                    self._working = False
                    return
                entry.begun = True
            if self._closed:
                entry.render.stop()
            self._run(entry)

    def _run(self, entry: Entry) -> None:
        last = RenderStatus("failed", reason="the render ended without a word")
        try:
            for news in entry.render.run():
                if news.active:
                    with self._lock:
                        entry.status = news
                        self.version += 1
                last = news
        except Exception as error:
            # The others of the queue have their turn all the same.
            traceback.print_exc()
            last = RenderStatus("failed", reason=f"the render failed: {error}")
        with self._lock:
            self._end(entry, last)

    def _end(self, entry: Entry, last: RenderStatus) -> None:
        """Note how a render ended; what it left goes before anyone is told."""
        if last.state == "done":
            if not self._chosen:
                self.shown = entry.number
        else:
            shutil.rmtree(entry.output.parent, ignore_errors=True)
        entry.status = last
        self.version += 1
