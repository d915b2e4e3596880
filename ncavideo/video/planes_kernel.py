"""The pass of `planes.py`, in machine code."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

HALF, MOST = np.float32(0.5), np.float32(255)

fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def _luma(
    rgb: np.ndarray, first: int, weights: np.ndarray, lines: np.ndarray, out: np.ndarray, row: int
) -> None:
    """Fill `out[row]` with the luma of `W` pixels from `rgb[first]` on, and add up in `lines`.

    `lines` `[3, W]` float32: the sum of the colours of the rows so far.
    """
    red, green, blue, added = weights[0, 0], weights[0, 1], weights[0, 2], weights[0, 3] + HALF
    seen = rgb[first:]
    for x in range(lines.shape[1]):
        r, g, b = np.float32(seen[3 * x]), np.float32(seen[3 * x + 1]), np.float32(seen[3 * x + 2])
        lines[0, x] += r
        lines[1, x] += g
        lines[2, x] += b
        out[row, x] = np.int32(red * r + green * g + blue * b + added)


@fast
def _chroma(
    lines: np.ndarray, weights: np.ndarray, channel: int, out: np.ndarray, row: int
) -> None:
    """Fill `out[row]` with one chroma channel of two rows, whose sums are `lines` `[3, W]`."""
    quarter = np.float32(0.25)
    red, green, blue = (
        weights[channel, 0] * quarter, weights[channel, 1] * quarter, weights[channel, 2] * quarter
    )  # fmt: skip
    added = weights[channel, 3] + HALF
    for x in range(lines.shape[1] // 2):
        r = lines[0, 2 * x] + lines[0, 2 * x + 1]
        g = lines[1, 2 * x] + lines[1, 2 * x + 1]
        b = lines[2, 2 * x] + lines[2, 2 * x + 1]
        # Full range has one value less above the middle than below.
        out[row, x] = np.int32(min(red * r + green * g + blue * b + added, MOST))


@fast
def fill(
    rgb: np.ndarray,
    width: int,
    weights: np.ndarray,
    luma: np.ndarray,
    blue: np.ndarray,
    red: np.ndarray,
) -> None:
    """Fill planes, whose rows may be longer than theirs, from `rgb` `[H * W * 3]`.

    `weights`: see `planes.coefficients_of`.
    """
    lines = np.empty((3, width), np.float32)
    for pair in range(len(rgb) // (6 * width)):
        lines[:] = 0
        for row in range(2 * pair, 2 * pair + 2):
            _luma(rgb, row * 3 * width, weights, lines, luma, row)
        _chroma(lines, weights, 1, blue, pair)
        _chroma(lines, weights, 2, red, pair)
