"""Luminance: the first rule takes the brightest parts, the last the darkest."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.control.base import Control, View, even_thresholds, ramp
from ncavideo.control.levels import Thresholds

# Before it is split into regions the picture is smoothed a little, edges kept: islands smaller
# than a texture's own grain cannot show their rule and only make mud.
SMOOTHING_CELLS = 2.0
SMOOTHING_RANGE = 0.12


class Luminance(Control):
    """Splits a frame by its luminance at thresholds that follow the picture.

    `contrast` 1 is the plain linear ramp over the clip's range; above it neighbouring rules
    change over that much more steeply, at the frame's own thresholds.
    """

    def __init__(self, count: int, contrast: float) -> None:
        super().__init__(count)
        self._contrast = contrast
        self._thresholds = Thresholds(max(count, 2))

    def weights(self, view: View) -> np.ndarray:
        """Return `[count, h, w]`."""
        if self._contrast <= 1:
            return ramp(view.stretched, even_thresholds(self.count), self._contrast, self.count)
        luma = cv2.bilateralFilter(view.local, -1, SMOOTHING_RANGE, SMOOTHING_CELLS)
        thresholds = self._thresholds.update(luma, view.time)
        return ramp(luma, thresholds, self._contrast, self.count)
