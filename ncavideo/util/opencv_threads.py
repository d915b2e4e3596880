"""OpenCV on one thread, for as long as somebody asks for it.

In short passes over pictures of a grid's size a second thread takes longer to be woken than the
work takes, and spins for a while after it, on a core that the next stage needs. The number is the
process's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_lock = threading.Lock()
_asking = 0
_usual = 0


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Let OpenCV use no thread but its caller's until the last of those who asked is done."""
    global _asking, _usual
    with _lock:
        if _asking == 0:
            _usual = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _asking += 1
    try:
        yield
    finally:
        with _lock:
            _asking -= 1
            if _asking == 0:
                cv2.setNumThreads(_usual)
