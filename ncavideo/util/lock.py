"""A lock on a folder that goes with its process, however that ends.

The library `filelock` does not keep what these locks promise. It makes the folders on the way to a
lock file that is not there, so that a process which only cleans up would bring back a folder that
another has just removed; and it cannot ask whether a lock is held without making its file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from ncavideo.util.errors import BusyError

if os.name == "posix":
    import fcntl


PAUSE = 0.02  # seconds between two tries
# Another holds the lock. Any other answer means that the file system has no locks to give.
HELD = (errno.EAGAIN, errno.EACCES)


class Lock:
    """Holds a lock file until it is let go of. Raises `BusyError` with `busy` if another does.

    `patience`: seconds to wait for one who only looks, or cleans up, and is gone at once. Where
    there are no such locks (not POSIX, some network file systems), everybody gets one; `refused`
    says that a file system has none.
    """

    def __init__(self, path: Path, busy: str, patience: float = 0.0) -> None:
        self._handle: int | None = None
        self.refused = False
        if os.name != "posix":
            return
        deadline = time.monotonic() + patience
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(handle)
                if error.errno not in HELD:
                    self.refused = True
                    return
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


class Claims:
    """One lock for each of many names, in one file that stays where it is.

    Another process's claim keeps others out, and goes with that process; within one, nothing is
    kept out. Where there are no locks, every claim is granted. Raises `OSError` if the file cannot
    be made.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def claim(self, name: str) -> bool:
        """Return whether the name is this process's now; no if another holds it."""
        if os.name != "posix":
            return True
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
        except OSError as error:
            return error.errno not in HELD
        return True

    def let_go(self, name: str) -> None:
        """Give a name back."""
        if os.name == "posix":
            with suppress(OSError):
                fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _place(name))

    def close(self) -> None:
        """Give all names back."""
        os.close(self._handle)


def _place(name: str) -> int:
    """Return the byte of the file that stands for a name. None has to be there to be locked."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7]) >> 1


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock file, or may: not every file system can tell."""
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
