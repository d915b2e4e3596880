"""The bilateral filter's weighted means along one axis after the other, a row at a time."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, ONE, EIGHTH = np.float32(0), np.float32(1), np.float32(1 / 8)

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def smooth(picture: np.ndarray, near: np.ndarray, steepness: np.float32, out: np.ndarray) -> None:
    """Fill `out` `[h, w]` with means of `picture` `[h, w]`, first along rows, then along columns.

    `near` `[n]`: what the distances 1 to n let a pixel count; a difference d lets it count
    (1 - `steepness` d^2 / 8)^8, or nothing where that base is negative.
    """
    height, width = picture.shape
    share, counted = np.empty(width, np.float32), np.empty((height, width), np.float32)
    across = np.empty((height, width), np.float32)
    for y in range(height):
        _begin(picture, y, out, counted)
        for n in range(min(len(near), width - 1)):
            _weigh(picture, y, y, n + 1, near[n], steepness, share, out, counted)
        for x in range(width):
            across[y, x] = out[y, x] / counted[y, x]
        _begin(across, y, out, counted)
    for y in range(height):
        for n in range(min(len(near), height - 1 - y)):
            _weigh(across, y, y + n + 1, 0, near[n], steepness, share, out, counted)
        for x in range(width):
            out[y, x] /= counted[y, x]


@fast
def _begin(picture: np.ndarray, y: int, sums: np.ndarray, counted: np.ndarray) -> None:
    """Let each pixel of a row count for itself."""
    for x in range(picture.shape[1]):
        sums[y, x] = picture[y, x]
        counted[y, x] = ONE


@fast
def _weigh(
    picture: np.ndarray,
    y: int,
    below: int,
    shift: int,
    near: np.float32,
    steepness: np.float32,
    share: np.ndarray,
    sums: np.ndarray,
    counted: np.ndarray,
) -> None:
    """Let the pixels of row `y` and those of row `below`, `shift` to the right, count for another.

    Two pixels count as much for each other, so that each pair is weighed once. `share` `[w]` is to
    work in.
    """
    count, eighth = picture.shape[1] - shift, steepness * EIGHTH
    here, there = picture[y], picture[below, shift:]
    # In loops over few arrays each, of which no two overlap: the compiler makes vectors.
    for x in range(count):
        difference = there[x] - here[x]
        base = max(ONE - eighth * difference * difference, ZERO)
        fourth = base * base * base * base
        share[x] = near * fourth * fourth
    total, weights = sums[y], counted[y]
    for x in range(count):
        total[x] += share[x] * there[x]
    for x in range(count):
        weights[x] += share[x]
    total, weights = sums[below, shift:], counted[below, shift:]
    for x in range(count):
        total[x] += share[x] * here[x]
    for x in range(count):
        weights[x] += share[x]
