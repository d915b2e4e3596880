"""A training run in a process of its own, and what it has to show."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ncavideo.app.turn_queue import TurnQueue
from ncavideo.training.loggers import folder as log

State = Literal["waiting", "starting", "training", "done", "stopped", "failed"]
PATIENCE = 60.0  # seconds that a run has to save itself in


@dataclass(frozen=True)
class TrainingStatus:
    """How a run is going: iterations `done`, its `loss`, why it failed, what should be known."""

    state: State
    before: int = 0
    done: int = 0
    loss: float | None = None
    reason: str = ""


class Training:
    """One run of a recipe's file; everything about it is in `folder`."""

    def __init__(
        self, recipe: Path, output: Path, folder: Path, sheet_every: int, line: TurnQueue
    ) -> None:
        self._job = {
            "recipe": str(recipe),
            "output": str(output),
            "folder": str(folder),
            "sheet_every": sheet_every,
        }
        self._folder, self._line = folder, line
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> Iterator[TrainingStatus]:
        """Train, and yield how it goes; the last says how it ended.

        Whoever stops listening stops the run.
        """
        with self._line.place() as before:
            while (many := before()) and not self._stopped:
                yield TrainingStatus("waiting", many)
            if self._stopped:
                yield TrainingStatus("stopped")
                return
            yield TrainingStatus("starting")
            yield from self._trained()

    def _trained(self) -> Iterator[TrainingStatus]:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "ncavideo.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        ended = False
        try:
            process.stdin.write(json.dumps(self._job).encode() + b"\n")
            process.stdin.flush()
            if self._stopped:  # before the process was there to be told
                process.terminate()
            for line in process.stdout:
                news = json.loads(line)
                ended = news["kind"] in ("done", "stopped", "failed")
                yield _as_news(news)
        except (BrokenPipeError, ValueError):
            ended = False
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()  # which ends it, if it is still there
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if not ended and self._stopped:
            yield TrainingStatus("stopped")
        elif not ended:
            yield TrainingStatus(
                "failed", reason="the training crashed: there may not be enough memory"
            )

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stopped

    def stop(self) -> None:
        """Ask the run to stop: it saves what it has learnt so far."""
        if self._stopped:
            return
        self._stopped = True
        if self._process is not None:
            self._process.terminate()

    def losses(self) -> list[dict[str, Any]]:
        """Return the log's lines: `iteration`, `total` and each term's mean."""
        return [line for line in log.read(self._folder) if "total" in line]

    def sheet(self) -> Path | None:
        """Return the newest sample sheet."""
        return max(self._folder.glob("sheet-*.png"), default=None)


def _as_news(news: dict[str, Any]) -> TrainingStatus:
    if news["kind"] == "progress":
        return TrainingStatus("training", done=news["done"], loss=news["loss"])
    if news["kind"] == "note":
        return TrainingStatus("training", reason=news["text"])
    return TrainingStatus(news["kind"], done=news.get("done", 0), reason=news.get("reason", ""))
