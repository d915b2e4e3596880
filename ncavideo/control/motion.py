"""Motion as a field: how fast each place moves."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.spec import parse_number
from ncavideo.util.pixels import magnitude

SPEED, LEAST_SPEED, MOST_SPEED = 0.25, 1e-4, 100.0  # frame heights a second
STILL = 0.04  # of SPEED: what moves less is the camera's noise
SPREAD = 1.5  # cells: flow ends raggedly at what moves


class Moving(Field):
    """`motion` or `motion:SPEED`: 1 where the picture moves by SPEED frame heights a second.

    Nothing moves in the first frame, across a cut, or while a frame is held.
    """

    needs_motion = True

    def __init__(self, speed: float) -> None:
        self._speed = speed

    @classmethod
    def parse(cls, argument: str, context: Context) -> Moving:
        """Make the field."""
        what = "motion takes a speed in frame heights a second"
        return cls(parse_number(argument, SPEED, LEAST_SPEED, MOST_SPEED, what))

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        motion = view.motion
        if motion is None or motion.cut or motion.seconds <= 0:
            return np.zeros_like(view.luma)
        height = view.luma.shape[0]
        moved = magnitude(motion.backward_flow[..., 0], motion.backward_flow[..., 1])
        speed = cv2.GaussianBlur(moved, (0, 0), SPREAD) / np.float32(height * motion.seconds)
        share = (speed / np.float32(self._speed) - STILL) / (1 - STILL)
        return np.asarray(np.clip(share, 0, 1), np.float32)
