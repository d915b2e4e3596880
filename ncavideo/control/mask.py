"""Masks from a file: white is the first rule, black the last, greys between."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.control.base import Context, Field, View
from ncavideo.control.footage import ALPHA, LUMINANCE, Footage, parse_path

BLACK = 0.02  # a mask that never rises above this is empty
SHAPE = 0.03  # relative difference of aspect ratios that is not worth a word


class Mask(Field):
    """`mask:PATH[@RATE][?loop|?hold][#alpha]`: a clip, a picture or numbered pictures.

    Brought to the grid's size and to the source's times: at each source time the mask shown at
    that time is used, its luminance or its alpha channel. A mask that ends early holds its last
    picture, or begins again. RATE is that of numbered pictures (`mask_%05d.png`).
    """

    remembered = ("_peak", "_stretched")

    def __init__(self, footage: Footage, name: str, loop: bool) -> None:
        self._footage, self._name, self._loop = footage, name, loop
        self._peak = 0.0
        self._stretched = False

    @classmethod
    def parse(cls, argument: str, context: Context) -> Mask:
        """Open the mask."""
        path, loop, rate, alpha = parse_path(argument, "mask")
        part = ALPHA if alpha else LUMINANCE
        return cls(Footage(path, part, "mask", loop=loop, rate=rate), path.name, loop)

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        mask = self._footage.at(view.time)
        height, width = view.source.shape[:2]
        ratio = mask.shape[1] * height / (mask.shape[0] * width)
        self._stretched = self._stretched or abs(ratio - 1) > SHAPE
        grey = resampled(mask, *view.luma.shape)
        self._peak = max(self._peak, float(grey.max()))
        return grey

    def notes(self) -> list[str]:
        """Tell of a mask that did not fit the clip, or was empty."""
        notes = []
        if self._footage.ended:
            did = "began again" if self._loop else "held its last frame"
            notes.append(f"the mask {self._name} is shorter than the clip and {did}")
        if self._stretched:
            notes.append(f"the mask {self._name} has another shape than the clip: it was stretched")
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
