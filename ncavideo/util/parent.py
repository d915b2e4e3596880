"""A process that ends with the one which started it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn


def leave_with_parent() -> None:
    """End this process as by Ctrl-C when its standard input closes, or on SIGTERM.

    To be called from the main thread, after what there is to read has been read.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_wait, daemon=True).start()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _wait() -> None:
    # Not through `sys.stdin`: its lock, held here, would keep the interpreter from ending in peace.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
