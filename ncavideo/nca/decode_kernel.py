"""The learned decoder row by row, in machine code: see `decoder` for its plain definition.

The first layer is linear and so is interpolation, so that it is applied to cells. A row of pixels
then is three weighted rows of cells, and all pixels of one phase (their place within their cell)
have the same weights: loops run over cells, in whole vectors.
"""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, ONE = np.float32(0), np.float32(1)
COLOURS = 3  # planes before those of the hidden units

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def across_rows(planes: np.ndarray, row: int, taps: np.ndarray, lines: np.ndarray) -> None:
    """Fill `lines` `[F, w + 2]` with three rows of `planes` `[F, h + 2, w + 2]`, weighted.

    `row`: the pixels' cell; `taps` `[3]`.
    """
    above, own, below = taps[0], taps[1], taps[2]
    for f in range(len(planes)):
        a, b, c = planes[f, row], planes[f, row + 1], planes[f, row + 2]
        line = lines[f]
        for x in range(len(line)):
            line[x] = above * a[x] + own * b[x] + below * c[x]


@fast
def _phase(line: np.ndarray, taps: np.ndarray, out: np.ndarray) -> None:
    left, own, right = taps[0], taps[1], taps[2]
    a, b, c = line, line[1:], line[2:]
    for x in range(len(out)):
        out[x] = left * a[x] + own * b[x] + right * c[x]


@fast
def _unit_phase(line: np.ndarray, taps: np.ndarray, out: np.ndarray) -> None:
    left, own, right = taps[0], taps[1], taps[2]
    a, b, c = line, line[1:], line[2:]
    for x in range(len(out)):
        out[x] = max(left * a[x] + own * b[x] + right * c[x], ZERO)


@fast
def _add_four(units: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    a, b, c, d = units[0], units[1], units[2], units[3]
    for x in range(len(out)):
        out[x] += weights[0] * a[x] + weights[1] * b[x] + weights[2] * c[x] + weights[3] * d[x]


@fast
def along_row(
    lines: np.ndarray, taps: np.ndarray, w2: np.ndarray, units: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` `[3, k, w]` with the phases of a row of pixels, from `across_rows`' lines.

    `taps` `[k, 3]`; `w2` `[3, hidden]`, in groups of four; `units` `[4, k, w]` is room to work in.
    """
    k, width = out.shape[1:]
    for channel in range(COLOURS):
        for p in range(k):
            _phase(lines[channel], taps[p], out[channel, p])
    flat, sums = units.reshape(4, k * width), out.reshape(COLOURS, k * width)
    for first in range(0, w2.shape[1], 4):
        for unit in range(4):
            for p in range(k):
                _unit_phase(lines[COLOURS + first + unit], taps[p], units[unit, p])
        for channel in range(COLOURS):
            _add_four(flat, w2[channel, first : first + 4], sums[channel])


@fast
def draw(planes: np.ndarray, taps: np.ndarray, w2: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` `[h * k, w * k, 3]`, clipped to 0..1, from `planes` `[F, h + 2, w + 2]`.

    `taps` `[k, 3]`, `w2` `[3, hidden]`.
    """
    k, width = len(taps), planes.shape[2] - 2
    lines = np.empty((planes.shape[0], width + 2), np.float32)
    units = np.empty((4, k, width), np.float32)
    colours = np.empty((COLOURS, k, width), np.float32)
    for row in range(len(out)):
        across_rows(planes, row // k, taps[row % k], lines)
        along_row(lines, taps, w2, units, colours)
        for channel in range(COLOURS):
            for p in range(k):
                line, target = colours[channel, p], out[row, p:, channel]
                for x in range(width):
                    target[x * k] = min(max(line[x], ZERO), ONE)
