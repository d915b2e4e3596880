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
def split_bands(
    values: np.ndarray, weights: np.ndarray, thresholds: np.ndarray, rounds: int
) -> None:
    """Lead `thresholds` `[n]` to where Lloyd's algorithm puts them, in at most so many rounds.

    `values` `[bins]`, ascending, count as much as their `weights`; all float64. It stops where a
    band would be empty.
    """
    bands = len(thresholds) + 1
    weight, total = np.empty(bands), np.empty(bands)
    for _ in range(rounds):
        weight[:], total[:] = 0, 0
        band = 0
        for n in range(len(values)):
            while band < bands - 1 and values[n] > thresholds[band]:
                band += 1
            weight[band] += weights[n]
            total[band] += weights[n] * values[n]
        if weight.min() <= 0:
            return
        for n in range(bands - 1):
            low, high = total[n] / weight[n], total[n + 1] / weight[n + 1]
            thresholds[n] = (low + high) / 2


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
