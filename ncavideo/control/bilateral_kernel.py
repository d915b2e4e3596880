"""The bilateral filter's weighted means, a row at a time in vectors."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ONE, HALF, SIXTH = np.float32(1), np.float32(1 / 2), np.float32(1 / 6)
ROOT = np.float32(1 / 32)
FARTHEST = np.float32(1)  # e^-32 is nothing beside the centre's weight of 1

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def smooth(
    padded: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    steepness: np.float32,
    border: int,
    out: np.ndarray,
) -> None:
    """Fill `out` `[h, w]` with means of `padded`, which is larger by `border` on each side.

    `rows`, `columns`, `weights` `[n]`: half of the window without its centre, as offsets that are
    below it or to its right, and what their distance lets them count; a difference d lets them
    count exp(-`steepness` d^2). Two pixels count as much for each other, so that each pair is
    weighed once.
    """
    height, width = padded.shape
    total, sum_weights = padded.copy(), np.ones((height, width), np.float32)
    share = np.empty(width, np.float32)
    for y in range(height):
        for n in range(len(weights)):
            below = y + rows[n]
            if below >= height:
                continue
            begin, end = max(0, -columns[n]), width - max(0, columns[n])
            count = end - begin
            here, there = padded[y, begin:], padded[below, begin + columns[n] :]
            weight = weights[n]
            # In loops over few arrays each, of which no two overlap: the compiler makes vectors.
            for x in range(count):
                difference = there[x] - here[x]
                # exp(-u) = exp(-u / 32)^32: a polynomial of degree 3 and five squarings, to 1e-5
                # of the largest weight, need no table and no bits.
                u = min(steepness * ROOT * difference * difference, FARTHEST)
                e = ONE - u * (ONE - u * (HALF - u * SIXTH))
                e *= e
                e *= e
                e *= e
                e *= e
                e *= e
                share[x] = weight * e
            own, sums = total[y, begin:], sum_weights[y, begin:]
            for x in range(count):
                own[x] += share[x] * there[x]
            for x in range(count):
                sums[x] += share[x]
            own, sums = total[below, begin + columns[n] :], sum_weights[below, begin + columns[n] :]
            for x in range(count):
                own[x] += share[x] * here[x]
            for x in range(count):
                sums[x] += share[x]
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = total[y + border, x + border] / sum_weights[y + border, x + border]
