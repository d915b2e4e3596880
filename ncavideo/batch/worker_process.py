"""A render in a process of its own on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

PATIENCE = 10.0  # seconds that a process has to leave in when it is asked to


class LostError(Exception):
    """Whoever rendered is gone without a last word: why, in words.

    `blameless`: it went with its machine, and the clip has nothing to do with it.
    """

    def __init__(self, reason: str, *, blameless: bool = False) -> None:
        super().__init__(reason)
        self.blameless = blameless


class Process:
    """Renders one order after the other, each in a new process.

    An order is plain data: `clip` and `output` (their names' bytes in hexadecimal), `options`, and
    `cores` to keep to, None for all.
    """

    def __init__(self, cores: list[int] | None = None, device: str | None = None) -> None:
        self._cores, self._device = cores, device
        self._process: subprocess.Popen[bytes] | None = None

    def render(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what the process says, in the words of `batch.worker`; the last is how it ended.

        Raises `LostError` if the process died before it said that, or cannot be started.
        """
        order = {**order, "cores": self._cores}
        if self._device is not None:
            order["options"] = {**order["options"], "device": self._device}
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "ncavideo.batch.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Ctrl-C reaches the batch, which asks its workers to leave.
                start_new_session=True,
            )
        except OSError as error:  # no memory, no process or no file descriptor is left
            raise LostError(f"it cannot be started: {error.strerror or error}") from error
        assert process.stdin is not None and process.stdout is not None
        ended = False
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                news = json.loads(line)
                ended = news["kind"] in ("done", "failed")
                yield news
        except (BrokenPipeError, ValueError):
            ended = False
        finally:
            # What a worker that died at once has not read is still to be written, and cannot be.
            # One that is still there leaves, since nobody listens any more.
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            process.wait()
            self._process = None
        if not ended:
            code = process.returncode
            raise LostError(f"signal {-code}" if code < 0 else f"exit code {code}")

    def leave(self) -> None:
        """Ask the process to stop; its checkpoint stays."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def share_of_cores(index: int, count: int) -> list[int] | None:
    """Return the cores for one of `count` workers, None for all where they cannot be shared out."""
    if count < 2 or not hasattr(os, "sched_getaffinity"):
        return None
    everything = sorted(os.sched_getaffinity(0))
    if len(everything) < count:
        return [everything[index % len(everything)]]
    return everything[index::count]
