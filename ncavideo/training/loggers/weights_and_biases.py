"""Weights & Biases. Offline with WANDB_MODE=offline; `wandb sync` sends such a run later."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from ncavideo.training.loggers.base import Logger, RunGroup
from ncavideo.training.recipe import Recipe
from ncavideo.util.errors import UserError

PROJECT = "ncavideo"
RUN_ID = "wandb-id.txt"  # in the run's folder, so that a resumed run goes on as the same one


class WandbLogger(Logger):
    """One wandb run."""

    def __init__(self, module: Any, run: Any) -> None:
        self._module, self._run = module, run

    def numbers(self, iteration: int, values: dict[str, float]) -> None:
        """Take numbers by name."""
        self._run.log(values, step=iteration)

    def picture(self, iteration: int, path: Path) -> None:
        """Take a sample sheet."""
        self._run.log({"samples": self._module.Image(str(path))}, step=iteration)

    def video(self, iteration: int, path: Path) -> None:
        """Take a sample animation."""
        video = self._module.Video(str(path), format="mp4")
        self._run.log({"animation": video}, step=iteration)

    def close(self) -> None:
        """Finish the run; what is not sent yet is sent."""
        self._run.finish()


def open_logger(
    recipe: Recipe, folder: Path, iteration: int, group: RunGroup | None = None
) -> Logger:
    """Start a wandb run, or resume it: a run that has ended takes no earlier iterations.

    A sweep's runs share a group, and each has its own name in it.
    """
    try:
        import wandb
    except ImportError as error:
        raise UserError("--log wandb needs wandb: pip install 'ncavideo[wandb]'") from error
    known = folder / RUN_ID
    resumed = iteration and known.exists()
    name = known.read_text().strip() if resumed else uuid.uuid4().hex[:8]
    try:
        run = wandb.init(
            project=PROJECT,
            name=group.name if group else recipe.name,
            group=group.group if group else None,
            id=name,
            resume="allow",
            dir=str(folder),
            config=recipe.without_paths(),
            settings=wandb.Settings(silent=True, console="off"),
        )
    except (wandb.errors.Error, OSError) as error:
        raise UserError(
            f"wandb could not start ({_first_line(error)}): log in with `wandb login`, or set"
            " WANDB_MODE=offline and send the run later"
        ) from error
    known.write_text(name)
    return WandbLogger(wandb, run)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
