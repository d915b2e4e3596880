"""What a library does to the priority of threads, undone."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TASKS = Path("/proc/self/task")  # a folder for each thread of this process


@contextmanager
def kept_priority() -> Iterator[None]:
    """Give this thread, and threads that begin meanwhile, the scheduling that this thread has.

    SVT-AV1, opened by root, makes the calling thread and its own real-time, before all else that
    runs on the machine, and children inherit that (findings/av1-makes-its-caller-real-time.sh).
    Linux only: elsewhere nothing happens.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _threads()
    try:
        yield
    finally:
        for thread in {threading.get_native_id(), *(_threads() - before)}:
            with suppress(OSError):  # it has ended, or may not be changed
                os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    try:
        return {int(task.name) for task in TASKS.iterdir()}
    except OSError:
        return set()
