"""A temporary folder that exists only once something is to go into it.

A process that is killed removes nothing: it leaves no folder behind that it had no use for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Callable[[], Path]]:
    """Give a function that makes the folder once and returns it; it is removed with the block."""
    with ExitStack() as held:

        @cache
        def folder() -> Path:
            return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="ncavideo-")))

        yield folder
