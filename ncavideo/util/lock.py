"""A lock on a folder that goes with its process, however that ends.

The library `filelock` does not keep what these locks promise. It makes the folders on the way to a
lock file that is not there, so that a process which only cleans up would bring back a folder that
another has just removed; and it cannot ask whether a lock is held without making its file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from ncavideo.util.errors import BusyError

if os.name == "posix":
    import fcntl


PAUSE = 0.02  # seconds between two tries


class Lock:
    """Holds a lock file until it is let go of. Raises `BusyError` with `busy` if another does.

    `patience`: seconds to wait for one who only looks, or cleans up, and is gone at once. Where
    there are no such locks (not POSIX), everybody gets one.
    """

    def __init__(self, path: Path, busy: str, patience: float = 0.0) -> None:
        self._handle: int | None = None
        if os.name != "posix":
            return
        deadline = time.monotonic() + patience
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(handle)
                if time.monotonic() >= deadline:
                    raise BusyError(busy) from error
                time.sleep(PAUSE)
                continue
            if _is_there(handle, path):
                break
            os.close(handle)  # whoever held it removed the file: that lock keeps nobody out
        self._handle = handle

    def close(self) -> None:
        """Let go, for `contextlib.closing`."""
        self.release()

    def release(self) -> None:
        """Let go; again makes no difference."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _is_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock file."""
    if os.name != "posix":
        return False
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
