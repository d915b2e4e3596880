"""Contrast-limited adaptive histogram equalisation (CLAHE) on float pictures.

Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994. OpenCV's
would do, but on 8 bits it leaves steps in smooth skies that thresholds turn into contours, and on
16 bits its histograms have 65,536 bins, in which its clip limit has no effect on pictures of a
grid's size and noise is raised without bounds. Here 256 bins are joined by straight lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BINS = 256


def clahe(luma: np.ndarray, clip_limit: float, tiles: tuple[int, int]) -> np.ndarray:
    """Equalise `[h, w]`, 0..1, locally; return float32 of the same shape and range.

    `tiles` (across, down); `clip_limit`: the most by which contrast is raised, as the slope of
    the tone curve (1 leaves the picture alone).
    """
    height, width = luma.shape
    layout = _layout(height, width, *tiles)
    scaled = np.clip(luma, 0, 1) * np.float32(BINS)
    index = np.minimum(scaled.astype(np.intp), BINS - 1)
    fraction = (scaled - index).astype(np.float32)
    start, rise = _tone_curves(index, layout.own, tiles[0] * tiles[1], clip_limit)

    # Each place blends the curves of the four tiles whose centres surround it.
    def through(tile: np.ndarray) -> np.ndarray:
        place = tile + index
        curve: np.ndarray = rise.take(place)
        curve *= fraction
        curve += start.take(place)
        return curve

    top_left, top_right, low_left, low_right = map(through, layout.around)
    upper = _blend(top_left, top_right, layout.rightwards)
    lower = _blend(low_left, low_right, layout.rightwards)
    return _blend(upper, lower, layout.downwards)


def _blend(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the mean in which `second` has the given weight; overwrites `second`."""
    second -= first
    second *= weight
    second += first
    return second


@dataclass(frozen=True)
class _Layout:
    """Where the tiles of a picture's size are, as places `[h, w]` in a row of all curves' bins.

    `own`: the tile that a pixel is in. `around`: the tiles above left, above right, below left and
    below right of it; `downwards` `[h, 1]` and `rightwards` `[1, w]`: how much the latter weigh.
    """

    own: np.ndarray
    around: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    downwards: np.ndarray
    rightwards: np.ndarray


@lru_cache(2)
def _layout(height: int, width: int, across: int, down: int) -> _Layout:
    rows = np.linspace(0, height, down + 1).round().astype(np.intp)
    columns = np.linspace(0, width, across + 1).round().astype(np.intp)

    def places(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return np.asarray((row[:, None] * across + column) * BINS)

    own_row = np.repeat(np.arange(down), np.diff(rows))
    own_column = np.repeat(np.arange(across), np.diff(columns))
    top, low, downwards = _neighbours(rows, height)
    left, right, rightwards = _neighbours(columns, width)
    around = (places(top, left), places(top, right), places(low, left), places(low, right))
    return _Layout(places(own_row, own_column), around, downwards[:, None], rightwards[None])


def _tone_curves(
    index: np.ndarray, own: np.ndarray, tiles: int, clip_limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return each tile's clipped cumulative histogram, from 0 to 1, by bins `[tiles * BINS]`.

    First where the curve is at each bin's beginning, then how much it rises within the bin.
    """
    counts = np.bincount((own + index).ravel(), minlength=tiles * BINS).reshape(-1, BINS)
    share = counts / counts.sum(1, keepdims=True)
    rise = np.minimum(share, clip_limit / BINS)
    # What is cut off above the limit is spread over all bins, so that the curve still ends at 1.
    rise += (1 - rise.sum(1, keepdims=True)) / BINS
    start = np.cumsum(rise, 1) - rise
    return start.astype(np.float32).ravel(), rise.astype(np.float32).ravel()


def _neighbours(edges: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each position, the tiles before and after it, and how much the latter weighs."""
    last = len(edges) - 2
    centres = (edges[1:] + edges[:-1] - 1) / 2
    place = np.interp(np.arange(length), centres, np.arange(last + 1))
    before = np.clip(place.astype(np.intp), 0, max(last - 1, 0))
    after = np.minimum(before + 1, last)
    return before, after, (place - before).astype(np.float32)
