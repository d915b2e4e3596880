"""Histograms of tiles, and pixels through the tone curves of the tiles around them."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, ONE = np.float32(0), np.float32(1)
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract"})


@fast
def count(
    luma: np.ndarray, row_tiles: np.ndarray, column_edges: np.ndarray, counts: np.ndarray
) -> None:
    """Add the pixels of `luma` `[h, w]`, 0..1, to `counts` `[4, down, across, bins]` int32.

    `row_tiles` `[h]`: the tile that each row is in; `column_edges` `[across + 1]`: the columns that
    tiles begin with, and the last one's end. Neighbours are counted apart: they are often alike,
    and each would wait for the last.
    """
    bins = counts.shape[3]
    for y in range(luma.shape[0]):
        row = row_tiles[y]
        for tile in range(counts.shape[2]):
            for x in range(column_edges[tile], column_edges[tile + 1]):
                scaled = min(max(luma[y, x], ZERO), ONE) * np.float32(bins)
                place = np.uint32(min(np.int32(scaled), np.int32(bins - 1)))
                counts[x & 3, row, tile, place] += 1


@fast
def tone_curves(counts: np.ndarray, limit: float, curves: np.ndarray) -> None:
    """Fill `curves` `[down, across, bins + 1]` float32 with clipped cumulative histograms, 0 to 1.

    `counts`: see `count`; no bin may hold more than the share `limit` of its tile.
    """
    bins = counts.shape[3]
    share = np.empty(bins, np.float64)
    for row in range(counts.shape[1]):
        for tile in range(counts.shape[2]):
            total, kept, reached = 0, 0.0, 0.0
            for n in range(bins):
                own = 0
                for part in range(4):
                    own += counts[part, row, tile, n]
                total += own
                share[n] = own
            for n in range(bins):
                share[n] = min(share[n] / total, limit)
                kept += share[n]
            # What is cut off above the limit is spread over all bins, so that the curve ends at 1.
            spread = (1 - kept) / bins
            for n in range(bins):
                curves[row, tile, n] = reached
                reached += share[n] + spread
            curves[row, tile, bins] = reached


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

    `curves` `[down, across, bins + 1]`: their heights where bins begin, and at the last one's end.
    `above`, `below`, `downwards` `[h]` and `left`, `right`, `rightwards` `[w]`: the tiles around,
    and how much the second of each two counts.
    """
    across, ends = curves.shape[1], curves.shape[2]
    bins = ends - 1
    own = np.empty(across * ends, np.float32)
    # Without a sign: for an index that may be negative each look-up would ask.
    before = (left * ends).astype(np.uint32)
    after = (right * ends).astype(np.uint32)
    for y in range(luma.shape[0]):
        # The curves between two rows of tiles are the same for all pixels of a row.
        upper, lower, down = above[y], below[y], downwards[y]
        for tile in range(across):
            line = own[tile * ends :]
            for n in range(ends):
                a, b = curves[upper, tile, n], curves[lower, tile, n]
                line[n] = a + down * (b - a)
        for x in range(luma.shape[1]):
            scaled = min(max(luma[y, x], ZERO), ONE) * np.float32(bins)
            place = min(np.int32(scaled), np.int32(bins - 1))
            within = scaled - np.float32(place)
            one, other = before[x] + np.uint32(place), after[x] + np.uint32(place)
            first = own[one] + within * (own[one + np.uint32(1)] - own[one])
            second = own[other] + within * (own[other + np.uint32(1)] - own[other])
            out[y, x] = first + rightwards[x] * (second - first)
