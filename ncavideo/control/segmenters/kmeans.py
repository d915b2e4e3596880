"""Groups of like colours, steady over time."""

from __future__ import annotations

import math
import re

import cv2
import numpy as np

from ncavideo.control.colour import oklab
from ncavideo.control.field import View
from ncavideo.control.segmenters import Segmenter
from ncavideo.util.errors import UserError

MOST_PARTS = 8
PLACE = 0.15  # how much a frame's height counts beside OKLab, where black and white are 1 apart
SAMPLES = 4096  # pixels from which the centres are found
FOLLOW = 0.6  # seconds in which the centres follow the picture
SOFTNESS = 0.02  # squared distance by which a pixel may be nearer to another centre
SMOOTHING_RANGE, SMOOTHING_CELLS = 0.1, 2.0  # a bilateral filter against speckles
SEED = 5


def parse_part(text: str) -> tuple[int, int]:
    """Parse `2of3` as the part, from 0, and the number of parts; nothing means 1 of 2."""
    match = re.fullmatch(r"(\d+)of(\d+)", text or "1of2")
    part, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= count or not 1 <= count <= MOST_PARTS:
        raise UserError(
            f"segment:kmeans takes which group of how many, up to {MOST_PARTS}, as"
            f" segment:kmeans:1of3, not {text!r}"
        )
    return part - 1, count


class KMeans(Segmenter):
    """Lloyd's k-means on colour and a little place; groups keep their names from frame to frame.

    In the first frame they are ordered from the brightest to the darkest. Each later frame begins
    with the centres before it, which follow slowly, so that no group takes another's number.
    """

    name = "k-means"
    state_attributes = ("_centres", "_time")

    def __init__(self, count: int) -> None:
        self._count = count
        self._centres: np.ndarray | None = None
        self._time = 0.0

    def __call__(self, view: View) -> np.ndarray:
        """Return `[count, h, w]`, summing to 1."""
        height, width = view.luma.shape
        rgb = cv2.bilateralFilter(view.rgb, -1, SMOOTHING_RANGE, SMOOTHING_CELLS)
        y, x = np.indices((height, width), np.float32) * np.float32(PLACE / height)
        points = np.concatenate([oklab(np.clip(rgb, 0, 1)), x[..., None], y[..., None]], 2)
        points = points.reshape(-1, 5)
        # Evenly over the frame, the same in every frame.
        chosen = points[:: max(1, len(points) // SAMPLES)]
        cut = view.motion is not None and view.motion.cut
        if self._centres is None or cut:
            self._centres = self._found(chosen)
        else:
            moved = self._moved(chosen, self._centres)
            follow = -math.expm1(-max(view.time - self._time, 0) / FOLLOW)
            self._centres = self._centres + np.float32(follow) * (moved - self._centres)
        self._time = view.time
        away = np.square(points[:, None] - self._centres).sum(-1)
        near = np.exp(-(away - away.min(1, keepdims=True)) / np.float32(SOFTNESS))
        shares = near / near.sum(1, keepdims=True)
        return np.asarray(shares.T.reshape(self._count, height, width), np.float32)

    def _found(self, points: np.ndarray) -> np.ndarray:
        """Return the centres of a first frame, the brightest first."""
        if len(points) < self._count:
            points = np.repeat(points, self._count, 0)
        cv2.setRNGSeed(SEED)
        rule = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-4)
        _, _, centres = cv2.kmeans(
            points,
            self._count,
            np.zeros((len(points), 1), np.int32),
            rule,
            4,
            cv2.KMEANS_PP_CENTERS,
        )
        return np.asarray(centres[np.argsort(-centres[:, 0])], np.float32)

    def _moved(self, points: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Return where a few of Lloyd's steps bring the centres; an empty one stays."""
        for _ in range(3):
            nearest = np.square(points[:, None] - centres).sum(-1).argmin(1)
            counts = np.bincount(nearest, minlength=self._count)
            sums = np.stack(
                [np.bincount(nearest, points[:, axis], self._count) for axis in range(5)], 1
            )
            means = sums / np.maximum(counts, 1)[:, None]
            centres = np.where(counts[:, None] > 0, means, centres).astype(np.float32)
        return centres
