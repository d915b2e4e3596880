"""Numba, loaded in a thread of its own while something else is waited for."""

from __future__ import annotations

import threading
from contextlib import suppress


def preload() -> threading.Thread:
    """Begin to load Numba and what it compiles for; return the thread, which is to be joined.

    That takes nearly a second on one core, which a render has to spare while it looks at its clip.
    Whatever goes wrong is left to whoever needs it.
    """
    thread = threading.Thread(target=_load, name="preload", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    with suppress(Exception):
        from ncavideo.util.machine_code import nothing

        nothing()
