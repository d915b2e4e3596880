"""Waiting for what happens elsewhere: in a process, a thread, a browser.

A test passes as soon as it happens, so patience costs nothing where all is well; it has to be
enough for a machine that is ten times slower than the one a test was written on.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")

PATIENCE = 300.0  # seconds


def until(
    condition: Callable[[], Found],
    what: str,
    seen: Callable[[], object] = lambda: None,
    *,
    process: subprocess.Popen[Any] | None = None,
    every: float = 0.02,
    patience: float = PATIENCE,
) -> Found:
    """Wait until a condition holds, and return what it gave.

    `what`: what is waited for, in words. `seen`: tells what is there instead, when that does not
    come. `process`: who is meant to bring it about; that it has ended is a failure at once.
    Raises `AssertionError` after `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        # Asked before the condition: what is done last is seen, too.
        ended = process is not None and process.poll() is not None
        found = condition()
        if found:
            return found
        if ended:
            assert process is not None
            raise AssertionError(
                f"the process ended with {process.returncode} before {what}: {said(process)}"
            )
        if time.monotonic() > deadline:
            there = seen()
            instead = "" if there is None else f": {there}"
            raise AssertionError(f"after {patience:.0f} s there is not yet {what}{instead}")
        time.sleep(every)


def said(process: subprocess.Popen[Any]) -> object:
    """Return what an ended process has written to the pipes that it was given."""
    return [pipe.read() for pipe in (process.stdout, process.stderr) if pipe and not pipe.closed]
