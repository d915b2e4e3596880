"""A position's histogram, and its weights between thresholds, in one pass each."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def count(values: np.ndarray, counts: np.ndarray) -> None:
    """Add `values` `[n]` float32, 0..1, to the histograms `counts` `[4, bins]` int64.

    Neighbours are counted apart: they are often alike, and each would wait for the last.
    """
    bins = counts.shape[1]
    for x in range(len(values)):
        place = np.int32(values[x] * np.float32(bins))
        counts[x & 3, np.uint32(min(max(place, np.int32(0)), np.int32(bins - 1)))] += 1


@fast
def share_out(
    position: np.ndarray, thresholds: np.ndarray, slope: np.float32, weights: np.ndarray
) -> None:
    """Fill `weights` `[n + 1, h, w]` float32: see `field.shared_out`.

    `position` `[h, w]` float32; `thresholds` `[n]` float32, ascending.
    """
    height, width = position.shape
    for y in range(height):
        for x in range(width):
            weights[len(thresholds), y, x] = ONE
        for n in range(len(thresholds)):
            # What is above this threshold goes on from one weight to the next.
            darker, brighter = len(thresholds) - n, len(thresholds) - n - 1
            threshold = thresholds[n]
            for x in range(width):
                above = min(max(HALF + slope * (position[y, x] - threshold), ZERO), ONE)
                weights[darker, y, x] -= above
                weights[brighter, y, x] = above
