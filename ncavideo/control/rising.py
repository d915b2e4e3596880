"""What is active licks upwards in tongues: flames above a burning person, steam above a cup."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ncavideo.control.field import View
from ncavideo.util.state import Stateful

CLIMB = 1.1  # seconds from a tongue's root to its tip
LEFT = 0.1  # of the longest tongue's heat where it has climbed as high as it may
MOST_SHIFT = (
    3.0  # cells that the heat is moved at once: further, and it would jump over what feeds it
)
MOST_PARTS = 24  # of a frame's time: after a pause of seconds nothing of before is left anyway
SWAY = 0.5  # how far a tongue bends sideways, of what it climbs
UNEVEN = (1.0, 4.5)  # times as fast as the longest tongue others cool, and the gaps between them
TONGUE = (0.16, 0.6)  # a tongue's width and height, of how high it rises
EDGE = (0.12, 0.45)  # heat at which a tongue begins to show, and shows fully
LATTICE = 8  # tongues until the pattern of sway and cooling repeats, in height
SEED = 0


class Rising(Stateful):
    """Heat that a field feeds and that moves upwards, bends and cools, frame by frame.

    `height`: how many cells it rises, at most. What the field gives stays; at a cut the heat
    begins anew. The same times give the same tongues, at any seed of the render.
    """

    state_attributes = ("_heat", "_time")

    def __init__(self, height: float) -> None:
        self._height = height
        self._heat: np.ndarray | None = None
        self._time = 0.0
        self._pattern: np.ndarray | None = None

    def __call__(self, values: np.ndarray, view: View) -> np.ndarray:
        """Return the field's values `[h, w]`, 0..1, and the tongues above them."""
        cut = view.motion is not None and view.motion.cut
        heat = np.asarray(values, np.float32)
        if self._heat is not None and not cut:
            duration = max(view.time - self._time, 0.0)
            heat = self._climbed(self._heat, values, self._time, duration)
        self._heat, self._time = heat, view.time
        low, high = EDGE
        shown = np.clip((heat - low) / (high - low), 0, 1)
        return np.asarray(np.maximum(values, shown * shown * (3 - 2 * shown)), np.float32)

    def _climbed(
        self, heat: np.ndarray, values: np.ndarray, begin: float, duration: float
    ) -> np.ndarray:
        """Return the heat after so many more seconds."""
        speed = self._height / CLIMB
        parts = min(max(1, math.ceil(speed * duration / MOST_SHIFT)), MOST_PARTS)
        y, x = np.mgrid[: values.shape[0], : values.shape[1]]
        rows, columns = y.astype(np.float32), x.astype(np.float32)
        for part in range(parts):
            up = np.float32(speed * duration / parts)
            sway, cooling = self._tongues(values.shape, speed * (begin + duration * part / parts))
            moved = cv2.remap(
                heat, columns + up * sway, rows + up, cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT, borderValue=0,
            )  # fmt: skip
            left = np.exp(cooling * np.float32(math.log(LEFT) * up / self._height))
            heat = np.asarray(np.maximum(moved * left, values), np.float32)
        return heat

    def _tongues(self, shape: tuple[int, ...], climbed: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the sway and the cooling `[h, w]`, when the pattern has climbed so many cells."""
        if self._pattern is None or self._pattern.shape[2] != shape[1]:
            self._pattern = _pattern(shape[1], self._height)
        rows = (np.arange(shape[0]) + round(climbed)) % self._pattern.shape[1]
        sway, cooling = self._pattern[:, rows]
        return sway, cooling


def _pattern(width: int, height: float) -> np.ndarray:
    """Return sway and cooling `[2, rows, width]` float32, which go on at the top as they end."""
    across, down = (max(1.0, share * height) for share in TONGUE)
    knots = np.random.default_rng(SEED).random((LATTICE, math.ceil(width / across) + 1, 2))
    # Three times one above the other: where the middle one ends nothing shows.
    thrice = np.tile(knots, (3, 1, 1)).astype(np.float32)
    rows, columns = max(1, round(LATTICE * down)), round(thrice.shape[1] * across)
    smooth = cv2.resize(thrice, (max(columns, width), 3 * rows), interpolation=cv2.INTER_CUBIC)
    sway, cooling = np.moveaxis(smooth[rows : 2 * rows, :width], 2, 0)
    least, most = UNEVEN
    uneven = least + (most - least) * np.clip(cooling, 0, 1)
    return np.stack([SWAY * (2 * sway - 1), uneven]).astype(np.float32)
