"""Where a run's news goes: its own folder always, and by name other places, one module each.

Adding a logger means adding one file and its line in `LOGGERS`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from ncavideo.training.loggers.base import Logger, RunGroup
from ncavideo.training.recipe import Recipe

LOGGERS = {
    "wandb": "ncavideo.training.loggers.weights_and_biases",
    "tensorboard": "ncavideo.training.loggers.tensor_board",
}


def open_logger(
    name: str, recipe: Recipe, folder: Path, iteration: int, group: RunGroup | None = None
) -> Logger:
    """Return the named logger; at `iteration` 0 it begins anew, else it resumes from there.

    `group`: the sweep that the run is part of, for loggers that show runs together.

    Raises `UserError` when its package is missing or refuses.
    """
    module = importlib.import_module(LOGGERS[name])
    logger: Logger = module.open_logger(recipe, folder, iteration, group)
    return logger
