"""One at a time, in the order of coming."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 0.5  # seconds between two looks at who is before


class TurnQueue:
    """A queue of those who want the machine for themselves."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[object] = []

    @contextmanager
    def place(self) -> Iterator[Callable[[], int]]:
        """Stand in line while in the block.

        Gives a function that waits a moment and returns how many are before: at 0 it is one's turn.
        """
        me = object()
        with self._condition:
            self._waiting.append(me)

        def before() -> int:
            with self._condition:
                if self._waiting.index(me):
                    self._condition.wait(PATIENCE)
                return self._waiting.index(me)

        try:
            yield before
        finally:
            with self._condition:
                self._waiting.remove(me)
                self._condition.notify_all()
