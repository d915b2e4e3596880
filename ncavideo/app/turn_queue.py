"""A queue in which one task runs at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL = 0.5  # seconds between two checks of the position


class TurnQueue:
    """First come, first served: the task at the head of the queue may run."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[object] = []

    @contextmanager
    def place(self) -> Iterator[Callable[[], int]]:
        """Have a place in the queue while in the block.

        Gives a function that waits a moment and returns how many tasks are ahead; 0: it may run.
        """
        me = object()
        with self._condition:
            self._waiting.append(me)

        def before() -> int:
            with self._condition:
                if self._waiting.index(me):
                    self._condition.wait(POLL)
                return self._waiting.index(me)

        try:
            yield before
        finally:
            with self._condition:
                self._waiting.remove(me)
                self._condition.notify_all()
