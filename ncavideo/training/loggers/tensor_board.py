"""TensorBoard event files, in `tensorboard/` in the run's folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import torch
from PIL import Image

from ncavideo.training.loggers.base import Logger, RunGroup
from ncavideo.training.recipe import Recipe
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class TensorBoardLogger(Logger):
    """Writes event files. An animation is shown as a picture: its frames side by side."""

    STRIP = 8  # frames

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def numbers(self, iteration: int, values: dict[str, float]) -> None:
        """Take numbers by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, iteration)

    def picture(self, iteration: int, path: Path) -> None:
        """Take a sample sheet."""
        with Image.open(path) as picture:
            self._add("samples", np.asarray(picture.convert("RGB")), iteration)

    def video(self, iteration: int, path: Path) -> None:
        """Take a sample animation: TensorBoard's own are GIFs made with moviepy."""
        with av.open(str(path)) as clip:
            frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        chosen = frames[:: max(1, len(frames) // self.STRIP)][: self.STRIP]
        self._add("animation", np.concatenate(chosen, 1), iteration)

    def _add(self, name: str, rgb: np.ndarray, iteration: int) -> None:
        self._writer.add_image(name, torch.from_numpy(rgb.copy()), iteration, dataformats="HWC")

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()


def open_logger(
    recipe: Recipe, folder: Path, iteration: int, group: RunGroup | None = None
) -> Logger:
    """Start an event file; a resumed run's is read by TensorBoard as one with the one before.

    What that had beyond `iteration` is done again, and no longer shown. `group` is not used:
    TensorBoard groups runs by their folders.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--log tensorboard needs tensorboard: pip install 'ncavideo[tensorboard]'"
        ) from error
    if not iteration:
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
    writer = SummaryWriter(str(folder / FOLDER), purge_step=iteration + 1 if iteration else None)
    return TensorBoardLogger(writer)
