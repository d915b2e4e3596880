"""Contrast-limited adaptive histogram equalisation (CLAHE) on float pictures.

Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994. OpenCV's
would do, but on 8 bits it leaves steps in smooth skies that thresholds turn into contours, and on
16 bits its histograms have 65,536 bins, in which its clip limit has no effect on pictures of a
grid's size and noise is raised without bounds. Here 256 bins are joined by straight lines.
"""

from __future__ import annotations

import numpy as np

BINS = 256


def clahe(luma: np.ndarray, clip_limit: float, tiles: tuple[int, int]) -> np.ndarray:
    """Equalise `[h, w]`, 0..1, locally; return float32 of the same shape and range.

    `tiles` (across, down); `clip_limit`: the most by which contrast is raised, as the slope of
    the tone curve (1 leaves the picture alone).
    """
    height, width = luma.shape
    across, down = tiles
    scaled = np.clip(luma, 0, 1).astype(np.float32) * BINS
    index = np.minimum(scaled.astype(np.int32), BINS - 1)
    fraction = scaled - index
    rows = np.linspace(0, height, down + 1).round().astype(int)
    columns = np.linspace(0, width, across + 1).round().astype(int)
    curves = _tone_curves(index, rows, columns, clip_limit).ravel()

    # Each place blends the curves of the four tiles whose centres surround it.
    top, low = _neighbours(rows, height)
    left, right = _neighbours(columns, width)

    def through(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        base = (row[:, None] * across + column[None]) * (BINS + 1) + index
        start = curves[base]
        return np.asarray(start + fraction * (curves[base + 1] - start))

    y, x = low[1][:, None], right[1][None]
    upper = (1 - x) * through(top[0], left[0]) + x * through(top[0], right[0])
    lower = (1 - x) * through(low[0], left[0]) + x * through(low[0], right[0])
    return np.asarray((1 - y) * upper + y * lower, np.float32)


def _tone_curves(
    index: np.ndarray, rows: np.ndarray, columns: np.ndarray, clip_limit: float
) -> np.ndarray:
    """Return each tile's clipped cumulative histogram, `[tiles, BINS + 1]`, from 0 to 1."""
    across = len(columns) - 1
    tile_row = np.repeat(np.arange(len(rows) - 1), np.diff(rows))
    tile_column = np.repeat(np.arange(across), np.diff(columns))
    place = (tile_row[:, None] * across + tile_column[None]) * BINS + index
    counts = np.bincount(place.ravel(), minlength=(len(rows) - 1) * across * BINS)
    share = counts.reshape(-1, BINS) / counts.reshape(-1, BINS).sum(1, keepdims=True)
    limit = clip_limit / BINS
    # What is cut off above the limit is spread over all bins, so that the curve still ends at 1.
    excess = np.maximum(share - limit, 0).sum(1, keepdims=True)
    share = np.minimum(share, limit) + excess / BINS
    start = np.zeros((len(share), 1))
    return np.concatenate([start, np.cumsum(share, 1)], 1).astype(np.float32)


def _neighbours(
    edges: np.ndarray, length: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return, for each position, the tiles before and after it, each with its weight."""
    last = len(edges) - 2
    centres = (edges[1:] + edges[:-1] - 1) / 2
    place = np.interp(np.arange(length), centres, np.arange(last + 1))
    before = np.clip(place.astype(int), 0, max(last - 1, 0))
    after = np.minimum(before + 1, last)
    weight = (place - before).astype(np.float32)
    return (before, 1 - weight), (after, weight)
