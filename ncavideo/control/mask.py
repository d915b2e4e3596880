"""Masks from a file: white is the first rule, black the last, greys between."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.footage import ALPHA, LUMINANCE, Footage, parse_path, split_path

BLACK = 0.02  # a mask that never rises above this is empty
SHAPE = 0.03  # relative difference of aspect ratios that is not worth a word
RATE = 0.02  # and of frame rates


class Mask(Field):
    """`mask:PATH[@RATE][?loop|?hold][#alpha]`: a clip, a picture or numbered pictures.

    Brought to the grid's size and to the source's times: at each source time the mask shown at
    that time is used, its luminance or its alpha channel. A mask that ends early holds its last
    picture, or begins again. RATE is that of numbered pictures (`mask_%05d.png`).
    """

    state_attributes = ("_peak", "_size", "_spans", "_time")

    def __init__(self, footage: Footage, name: str, loop: bool) -> None:
        self._footage, self._name, self._loop = footage, name, loop
        self._peak = 0.0
        self._size: tuple[int, int, int, int] | None = None  # the mask's and the clip's
        self._spans: tuple[float, float] | None = None  # of a frame of the mask and of the clip
        self._time: float | None = None

    @classmethod
    def parse(cls, argument: str, context: Context) -> Mask:
        """Open the mask."""
        path, loop, rate, alpha = parse_path(argument, "mask")
        part = ALPHA if alpha else LUMINANCE
        return cls(Footage(path, part, "mask", loop=loop, rate=rate), path.name, loop)

    @classmethod
    def map_paths(cls, argument: str, change: Callable[[str], str]) -> str:
        """Return the argument with its path changed."""
        path, options = split_path(argument)
        return change(path) + options if path else argument

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        mask = self._footage.at(view.time)
        height, width = view.source.shape[:2]
        self._size = (mask.shape[1], mask.shape[0], width, height)
        if self._time is not None and self._spans is None and view.time > self._time:
            self._spans = (self._footage.span, view.time - self._time)
        self._time = view.time
        grey = resampled(mask, *view.luma.shape)
        self._peak = max(self._peak, float(grey.max()))
        return grey

    def notes(self) -> list[str]:
        """Tell of a mask that did not fit the clip, or was empty."""
        notes = []
        if self._footage.ended:
            did = "began again" if self._loop else "held its last frame"
            notes.append(f"the mask {self._name} is shorter than the clip and {did}")
        if self._size is not None and self._size[:2] != self._size[2:]:
            width, height, of_clip, high = self._size
            how = "resampled"
            if abs(width * high / (height * of_clip) - 1) > SHAPE:
                how = "stretched, for its shape is another"
            notes.append(
                f"the mask {self._name} is {width}x{height} and the clip {of_clip}x{high}: it was"
                f" {how}"
            )
        if self._spans is not None and self._spans[0] > 0:
            mine, its = (1 / span for span in self._spans)
            if abs(mine / its - 1) > RATE:
                notes.append(
                    f"the mask {self._name} has {mine:.3g} frames a second and the clip {its:.3g}:"
                    " each is shown at its own time"
                )
        if self._peak < BLACK:
            notes.append(f"the mask {self._name} is black throughout")
        return notes

    def close(self) -> None:
        """Close the mask's file."""
        self._footage.close()


def resampled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `[H, W]` float32 with each cell's mean, or between pixels where cells are finer."""
    enlarging = picture.shape[0] < height
    method = cv2.INTER_LINEAR if enlarging else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.float32)
