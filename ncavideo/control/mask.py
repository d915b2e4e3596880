"""Masks from a file: white is the first rule, black the last, greys between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ncavideo.control.base import Control, View, even_thresholds, ramp
from ncavideo.errors import UserError
from ncavideo.pictures import read_picture
from ncavideo.pixels import luminance
from ncavideo.video.reader import SourceFrame, VideoReader

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


class Mask(Control):
    """A mask clip or picture, brought to the grid's size and to the source's times.

    At each source time the mask frame shown at that time is used; a mask that ends early holds
    its last frame. Grey levels mix neighbouring rules linearly unless `contrast` is above 1.
    """

    def __init__(self, count: int, contrast: float, path: Path) -> None:
        super().__init__(count)
        self._contrast = contrast
        self._reader: VideoReader | None = None
        self._frames: Iterator[SourceFrame] = iter(())
        self._next: SourceFrame | None = None
        self._start: float | None = None
        if path.suffix.lower() in PICTURES:
            self._current = luminance(read_picture(path, "mask"))
        else:
            self._reader = VideoReader(path)
            self._frames = iter(self._reader)
            first = next(self._frames, None)
            if first is None:
                raise UserError(f"the mask {path} has no frame that can be decoded")
            self._current = luminance(first.rgb)
            self._start = first.time
            self._next = next(self._frames, None)

    def weights(self, view: View) -> np.ndarray:
        """Return `[count, h, w]`."""
        if self._start is not None:
            now = view.time + self._start
            # Half a millisecond: two time bases round one instant differently.
            while self._next is not None and self._next.time <= now + 5e-4:
                self._current = luminance(self._next.rgb)
                self._next = next(self._frames, None)
        height, width = view.luma.shape
        enlarging = self._current.shape[0] < height
        method = cv2.INTER_LINEAR if enlarging else cv2.INTER_AREA
        grey = cv2.resize(self._current, (width, height), interpolation=method)
        return ramp(grey, even_thresholds(self.count), self._contrast, self.count)

    def close(self) -> None:
        """Close the mask clip."""
        if self._reader is not None:
            self._reader.close()
