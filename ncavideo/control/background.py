"""What stands out from a background that is learnt as the clip goes on."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.spec import parse_number

HISTORY, LEAST_HISTORY, MOST_HISTORY = 10.0, 0.01, 3600.0  # seconds
VARIANCE = 16.0  # squared deviations beyond which a pixel is not background, Zivkovic's own
BACKGROUND_RATIO = 0.9  # of the weights, MOG2's own
SPECK = 3  # cells across: what is smaller is noise
SOFTNESS = 1.0  # cells


class Foreground(Field):
    """`background` or `background:SECONDS`: 1 where something differs from the learnt background.

    Mixtures of Gaussians (Zivkovic, "Improved Adaptive Gaussian Mixture Model for Background
    Subtraction", ICPR 2004), OpenCV's MOG2; what stays for about SECONDS becomes background. The
    first frame is all background, and shadows count as background.
    """

    replayed = True  # OpenCV does not hand its mixtures out

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._model = cv2.createBackgroundSubtractorMOG2(varThreshold=VARIANCE, detectShadows=True)
        self._time: float | None = None
        self._kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SPECK, SPECK))

    @classmethod
    def parse(cls, argument: str, context: Context) -> Foreground:
        """Make the field."""
        what = "background takes the seconds after which something new belongs to it"
        return cls(parse_number(argument, HISTORY, LEAST_HISTORY, MOST_HISTORY, what))

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        picture = (np.clip(view.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
        # The rate is a share a frame; so much of it passes in the time since the last one.
        passed = None if self._time is None else max(view.time - self._time, 0.0)
        self._time = view.time
        # What is new counts as background from a weight of 0.1 on, MOG2's 1 - backgroundRatio.
        part = 0.0 if passed is None else passed / self._seconds * -math.log(BACKGROUND_RATIO)
        rate = 1.0 if passed is None else -math.expm1(-part)
        found = self._model.apply(picture, learningRate=rate)
        standing = (found == 255).astype(np.uint8)
        standing = cv2.morphologyEx(standing, cv2.MORPH_OPEN, self._kernel)
        standing = cv2.morphologyEx(standing, cv2.MORPH_CLOSE, self._kernel)
        if passed is None:
            return np.zeros_like(view.luma)
        return cv2.GaussianBlur(standing.astype(np.float32), (0, 0), SOFTNESS)
