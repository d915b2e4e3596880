"""Histograms of tiles, and pixels through the tone curves of the tiles around them."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, ONE = np.float32(0), np.float32(1)
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract"})


@fast
def count(
    luma: np.ndarray, row_tiles: np.ndarray, column_tiles: np.ndarray, counts: np.ndarray
) -> None:
    """Add the pixels of `luma` `[h, w]`, 0..1, to the histograms `counts` `[down, across, bins]`.

    `row_tiles` `[h]`, `column_tiles` `[w]`: the tile that each is in.
    """
    bins = counts.shape[2]
    for y in range(luma.shape[0]):
        line = counts[row_tiles[y]]
        for x in range(luma.shape[1]):
            scaled = min(max(luma[y, x], ZERO), ONE) * np.float32(bins)
            line[column_tiles[x], min(int(scaled), bins - 1)] += 1


@fast
def map_tones(
    luma: np.ndarray,
    curves: np.ndarray,
    above: np.ndarray,
    below: np.ndarray,
    downwards: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    rightwards: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill `out` `[h, w]` with the blend of the four curves around each pixel of `luma`.

    `curves` `[down, across, 2, bins]`: a curve's height where a bin begins, and its rise within.
    `above`, `below`, `downwards` `[h]` and `left`, `right`, `rightwards` `[w]`: the tiles around,
    and how much the second of each two counts.
    """
    across, bins = curves.shape[1], curves.shape[3]
    start, rise = np.empty(across * bins, np.float32), np.empty(across * bins, np.float32)
    # Without a sign: for an index that may be negative each look-up would ask.
    before = (left * bins).astype(np.uint32)
    after = (right * bins).astype(np.uint32)
    for y in range(luma.shape[0]):
        # The curves between two rows of tiles are the same for all pixels of a row.
        upper, lower, down = above[y], below[y], downwards[y]
        for tile in range(across):
            own_start, own_rise = start[tile * bins :], rise[tile * bins :]
            for n in range(bins):
                a, b = curves[upper, tile, 0, n], curves[lower, tile, 0, n]
                own_start[n] = a + down * (b - a)
            for n in range(bins):
                a, b = curves[upper, tile, 1, n], curves[lower, tile, 1, n]
                own_rise[n] = a + down * (b - a)
        for x in range(luma.shape[1]):
            scaled = min(max(luma[y, x], ZERO), ONE) * np.float32(bins)
            place = min(np.int32(scaled), np.int32(bins - 1))
            within = scaled - np.float32(place)
            one, other = before[x] + np.uint32(place), after[x] + np.uint32(place)
            first = start[one] + within * rise[one]
            second = start[other] + within * rise[other]
            out[y, x] = first + rightwards[x] * (second - first)
