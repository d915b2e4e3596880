"""Edges as a field: where the picture changes sharply."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.spec import parse_number
from ncavideo.util.pixels import magnitude

SCALE, LEAST_SCALE, MOST_SCALE = 1.5, 0.3, 50.0  # cells
FULL = 0.92  # share of the cells that are weaker than an edge of 1
LEAST_EDGE = 0.01  # luminance a cell: an even picture has no edges, however its noise compares
FOLLOW = 1.0  # seconds in which the scale follows the picture's own


class Edges(Field):
    """`edges` or `edges:SCALE`: the luminance's gradient after a blur of SCALE cells.

    By Scharr's filter ("Optimale Operatoren in der digitalen Bildverarbeitung", 2000). What counts
    as a full edge follows the clip smoothly.
    """

    state_attributes = ("_full", "_time")

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._full: float | None = None
        self._time = 0.0

    @classmethod
    def parse(cls, argument: str, context: Context) -> Edges:
        """Make the field."""
        return cls(
            parse_number(argument, SCALE, LEAST_SCALE, MOST_SCALE, "edges takes a scale in cells")
        )

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        luma = cv2.GaussianBlur(view.stretched, (0, 0), self._scale)
        strength = magnitude(
            cv2.Scharr(luma, cv2.CV_32F, 1, 0, scale=1 / 32),
            cv2.Scharr(luma, cv2.CV_32F, 0, 1, scale=1 / 32),
        )
        full = max(float(np.quantile(strength, FULL)), LEAST_EDGE / self._scale)
        if self._full is not None:
            follow = -math.expm1(-max(view.time - self._time, 0) / FOLLOW)
            full = self._full + follow * (full - self._full)
        self._full, self._time = full, view.time
        return np.asarray(np.clip(strength / full, 0, 1), np.float32)
