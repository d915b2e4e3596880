"""Notices for names that were replaced: an old name works in version 0.1, with a notice."""

from __future__ import annotations

import functools

from ncavideo.util.events import LOGGER

LAST = "0.1"  # the last version in which old names work


@functools.cache
def notice(former: str, current: str) -> None:
    """Warn, once a process, that `former` is now called `current`."""
    LOGGER.warning("%s is now %s; the old name works in version %s only", former, current, LAST)
