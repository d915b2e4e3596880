"""The bilateral filter's weighted means, a row at a time in vectors."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ONE = np.float32(1)
ROOT = np.float32(1 / 32)
FARTHEST = np.float32(1)  # e^-32 is nothing beside the centre's weight of 1

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def smooth(
    padded: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    centre: int,
    weights: np.ndarray,
    steepness: np.float32,
    out: np.ndarray,
) -> None:
    """Fill `out` `[h, w]` with means of `padded`, which is larger by `centre` on each side.

    `rows`, `columns`, `weights` `[n]`: the window's pixels, from its upper left corner, and what
    their distance lets them count; a difference d lets them count exp(-`steepness` d^2).
    """
    height, width = out.shape
    total, sum_weights = np.empty(width, np.float32), np.empty(width, np.float32)
    share = np.empty(width, np.float32)
    for y in range(height):
        middle = padded[y + centre, centre : centre + width]
        total[:] = np.float32(0)
        sum_weights[:] = np.float32(0)
        for n in range(len(weights)):
            beside = padded[y + rows[n], columns[n] : columns[n] + width]
            weight = weights[n]
            for x in range(width):
                difference = beside[x] - middle[x]
                # exp(-u) = exp(-u / 32)^32: a polynomial of degree 5 and five squarings, to 1e-4
                # of the largest weight, need no table and no bits.
                u = min(steepness * ROOT * difference * difference, FARTHEST)
                series = np.float32(1 / 24) - u * np.float32(1 / 120)
                series = np.float32(1 / 6) - u * series
                series = np.float32(1 / 2) - u * series
                e = ONE - u * (ONE - u * series)
                e *= e
                e *= e
                e *= e
                e *= e
                e *= e
                share[x] = weight * e
            for x in range(width):
                sum_weights[x] += share[x]
            for x in range(width):
                total[x] += share[x] * beside[x]
        for x in range(width):
            out[y, x] = total[x] / sum_weights[x]
