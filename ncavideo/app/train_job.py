"""A training run in a process of its own, with its losses and sample sheets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ncavideo.app.turn_queue import TurnQueue
from ncavideo.training.loggers import folder as log
from ncavideo.util.worker_process import LostError, WorkerProcess

State = Literal["waiting", "starting", "training", "done", "stopped", "failed"]
PATIENCE = 60.0  # seconds that a run has to save itself


@dataclass(frozen=True)
class TrainingStatus:
    """The state of a run: iterations `done`, its `loss`, the `reason` of a failure, or a note."""

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
        self._worker = WorkerProcess("ncavideo.training.worker", PATIENCE)
        self._stopped = False

    def run(self) -> Iterator[TrainingStatus]:
        """Train, and yield the run's states; the last says how it ended.

        Closing the iterator stops the run.
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
        try:
            for message in self._worker.run(self._job, lambda: self._stopped):
                yield _as_status(message)
        except LostError as error:
            if self._stopped:
                yield TrainingStatus("stopped")
                return
            reason = f"the training crashed ({error}): there may not be enough memory"
            yield TrainingStatus("failed", reason=reason)

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stopped

    def stop(self) -> None:
        """Ask the run to stop: it saves the network as trained so far."""
        if self._stopped:
            return
        self._stopped = True
        self._worker.stop()

    def losses(self) -> list[dict[str, Any]]:
        """Return the log's lines: `iteration`, `total` and each term's mean."""
        return [line for line in log.read(self._folder) if "total" in line]

    def sheet(self) -> Path | None:
        """Return the newest sample sheet."""
        return max(self._folder.glob("sheet-*.png"), default=None)


def _as_status(message: dict[str, Any]) -> TrainingStatus:
    if message["kind"] == "progress":
        return TrainingStatus("training", done=message["done"], loss=message["loss"])
    if message["kind"] == "note":
        return TrainingStatus("training", reason=message["text"])
    return TrainingStatus(
        message["kind"], done=message.get("done", 0), reason=message.get("reason", "")
    )
