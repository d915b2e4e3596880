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

    `curves` `[down, across, bins, 2]`: a curve's height where a bin begins, and its rise within.
    `above`, `below`, `downwards` `[h]` and `left`, `right`, `rightwards` `[w]`: the tiles around,
    and how much the second of each two counts.
    """
    bins = curves.shape[2]
    for y in range(luma.shape[0]):
        upper, lower, down = curves[above[y]], curves[below[y]], downwards[y]
        for x in range(luma.shape[1]):
            scaled = min(max(luma[y, x], ZERO), ONE) * np.float32(bins)
            place = min(int(scaled), bins - 1)
            within = scaled - np.float32(place)
            a, b, across = left[x], right[x], rightwards[x]
            first = upper[a, place, 0] + within * upper[a, place, 1]
            second = upper[b, place, 0] + within * upper[b, place, 1]
            third = lower[a, place, 0] + within * lower[a, place, 1]
            fourth = lower[b, place, 0] + within * lower[b, place, 1]
            first += across * (second - first)
            third += across * (fourth - third)
            out[y, x] = first + down * (third - first)
