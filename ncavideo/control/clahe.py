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
    from ncavideo.control.clahe_kernel import count, map_tones, tone_curves  # Numba loads slowly

    luma = np.ascontiguousarray(luma, np.float32)
    columns, rows = (axis(n, t) for n, t in zip(luma.shape[::-1], tiles, strict=True))
    counts = np.zeros((4, *tiles[::-1], BINS), np.int32)
    count(luma, rows.own, columns.edges, counts)
    curves = np.empty((*tiles[::-1], BINS + 1), np.float32)
    tone_curves(counts, clip_limit / BINS, curves)
    equalised = np.empty_like(luma)
    map_tones(
        luma, curves, rows.before, rows.after, rows.weight, columns.before, columns.after,
        columns.weight, equalised,
    )  # fmt: skip
    return equalised


@dataclass(frozen=True)
class Axis:
    """Where the tiles along one side of a picture are; `[length]` but for `edges`.

    `own`: the tile that a pixel is in; `edges` `[tiles + 1]`: the pixels that tiles begin with, and
    the last one's end. `before`, `after`: those whose centres are on either side of it; `weight`
    float32: how much the latter counts.
    """

    own: np.ndarray
    edges: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weight: np.ndarray


@lru_cache(4)
def axis(length: int, tiles: int) -> Axis:
    """Return where `tiles` lie along a side of `length` pixels."""
    edges = np.linspace(0, length, tiles + 1).round().astype(np.intp)
    centres = (edges[1:] + edges[:-1] - 1) / 2
    place = np.interp(np.arange(length), centres, np.arange(tiles))
    before = np.clip(place.astype(np.intp), 0, max(tiles - 2, 0))
    after = np.minimum(before + 1, tiles - 1)
    own = np.repeat(np.arange(tiles), np.diff(edges))
    return Axis(own, edges, before, after, (place - before).astype(np.float32))
