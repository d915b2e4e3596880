"""A job in a process of its own: `WorkerProcess` starts it, the rest is what a worker calls.

The worker is a module that is run as a program. It reads its job, one line of JSON, from its input,
and writes messages, a line of JSON each, to its output: every message has a `kind`, and one of
`LAST` is the last. It ends when its input closes, so that it never outlives its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

LAST = ("done", "stopped", "failed")  # kinds of the message with which a job ends


class LostError(Exception):
    """A worker ended without a last message; the text is the reason.

    `blameless`: it went with its machine, and its job has nothing to do with it. `final`: so did
    every other that could take the job.
    """

    def __init__(self, reason: str, *, blameless: bool = False, final: bool = False) -> None:
        super().__init__(reason)
        self.blameless, self.final = blameless, final


class WorkerProcess:
    """Runs jobs one after the other, each in a new process of the worker `module`.

    `patience`: seconds that a process has to end in after it was asked to; then it is killed.
    """

    def __init__(self, module: str, patience: float) -> None:
        self._module, self._patience = module, patience
        self._process: subprocess.Popen[bytes] | None = None

    def run(
        self, job: dict[str, Any], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """Yield the worker's messages; the last is of a kind in `LAST`.

        `stopped`: whether `stop` was called before there was a process. Closing the iterator ends
        the process. Raises `LostError` if it died before its last message, or cannot be started.
        """
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Ctrl-C reaches the parent, which asks its workers to stop.
                start_new_session=True,
            )
        except OSError as error:  # no memory, no process or no file descriptor is left
            raise LostError(f"it cannot be started: {error.strerror or error}") from error
        assert process.stdin is not None and process.stdout is not None
        ended = False
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            if stopped():
                process.terminate()
            for line in process.stdout:
                message = json.loads(line)
                ended = message["kind"] in LAST
                yield message
        except (BrokenPipeError, ValueError):
            ended = False
        finally:
            # A worker that is still there ends when its input closes. One that died at once leaves
            # its job unread, which makes closing fail.
            with contextlib.suppress(OSError):
                process.stdin.close()
            self._wait(process)
            # Not before: a worker that saves its work may have messages left to write.
            process.stdout.close()
            self._process = None
        if not ended:
            code = process.returncode
            raise LostError(f"signal {-code}" if code < 0 else f"exit code {code}")

    def stop(self) -> None:
        """Ask the process to save its work and end; does not wait for it."""
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Ask the process to end, and wait until it has."""
        process = self._process
        if process is not None:
            process.terminate()
            self._wait(process)

    def kill(self) -> None:
        """End the process at once; does not wait."""
        if self._process is not None:
            self._process.kill()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(self._patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_job(patience: float | None = None) -> dict[str, Any]:
    """Return the job of this worker, which from here on ends with its parent.

    To be called once, from the main thread. When the input closes, and on SIGTERM, the main thread
    gets a `KeyboardInterrupt`. `patience`: seconds after the input closed in which it has to end,
    for a worker whose main thread may hang where no signal reaches it.
    """
    job: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_wait_for_parent, args=(patience,), daemon=True).start()
    return job


def say(**message: Any) -> None:
    """Write a message of this worker; it needs a `kind`."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _wait_for_parent(patience: float | None) -> None:
    # Not through `sys.stdin`: its lock, held here, would keep the interpreter from ending in peace.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    if patience is not None:
        time.sleep(patience)
        os._exit(1)
