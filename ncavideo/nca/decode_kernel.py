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


# Rows by their numbers rather than as views: a view's owner is counted in an atomic operation.


@fast
def across_rows(
    planes: np.ndarray, row: int, taps: np.ndarray, phase: int, lines: np.ndarray
) -> None:
    """Fill `lines` `[F, w + 2]` with three rows of `planes` `[F, h + 2, w + 2]`, weighted.

    `row`: the pixels' cell; `taps` `[k, 3]`, of which those of `phase` count.
    """
    above, own, below = taps[phase, 0], taps[phase, 1], taps[phase, 2]
    for f in range(planes.shape[0]):
        for x in range(planes.shape[2]):
            upper = above * planes[f, row, x] + own * planes[f, row + 1, x]
            lines[f, x] = upper + below * planes[f, row + 2, x]


@fast
def _colours(lines: np.ndarray, taps: np.ndarray, phase: int, out: np.ndarray) -> None:
    left, own, right = taps[phase, 0], taps[phase, 1], taps[phase, 2]
    for channel in range(COLOURS):
        for x in range(out.shape[2]):
            upper = left * lines[channel, x] + own * lines[channel, x + 1]
            out[channel, phase, x] = upper + right * lines[channel, x + 2]


@fast
def _add_units(
    lines: np.ndarray, first: int, taps: np.ndarray, phase: int, w2: np.ndarray, out: np.ndarray
) -> None:
    """Add four hidden units, `first` and on, to the colours: a fourth of the sums is stored."""
    left, own, right = taps[phase, 0], taps[phase, 1], taps[phase, 2]
    a, b, c, d = COLOURS + first, COLOURS + first + 1, COLOURS + first + 2, COLOURS + first + 3
    ra, rb, rc, rd = w2[0, first], w2[0, first + 1], w2[0, first + 2], w2[0, first + 3]
    ga, gb, gc, gd = w2[1, first], w2[1, first + 1], w2[1, first + 2], w2[1, first + 3]
    ba, bb, bc, bd = w2[2, first], w2[2, first + 1], w2[2, first + 2], w2[2, first + 3]
    for x in range(out.shape[2]):
        e = max(left * lines[a, x] + own * lines[a, x + 1] + right * lines[a, x + 2], ZERO)
        f = max(left * lines[b, x] + own * lines[b, x + 1] + right * lines[b, x + 2], ZERO)
        g = max(left * lines[c, x] + own * lines[c, x + 1] + right * lines[c, x + 2], ZERO)
        h = max(left * lines[d, x] + own * lines[d, x + 1] + right * lines[d, x + 2], ZERO)
        out[0, phase, x] += ra * e + rb * f + rc * g + rd * h
        out[1, phase, x] += ga * e + gb * f + gc * g + gd * h
        out[2, phase, x] += ba * e + bb * f + bc * g + bd * h


@fast
def along_row(lines: np.ndarray, taps: np.ndarray, w2: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` `[3, k, w]` with the phases of a row of pixels, from `across_rows`' lines.

    `taps` `[k, 3]`; `w2` `[3, hidden]`, in groups of four.
    """
    for phase in range(out.shape[1]):
        _colours(lines, taps, phase, out)
        for first in range(0, w2.shape[1], 4):
            _add_units(lines, first, taps, phase, w2, out)


@fast
def draw(planes: np.ndarray, taps: np.ndarray, w2: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` `[h * k, w * k, 3]`, clipped to 0..1, from `planes` `[F, h + 2, w + 2]`.

    `taps` `[k, 3]`, `w2` `[3, hidden]`.
    """
    k, width = len(taps), planes.shape[2] - 2
    lines = np.empty((planes.shape[0], width + 2), np.float32)
    colours = np.empty((COLOURS, k, width), np.float32)
    for row in range(len(out)):
        across_rows(planes, row // k, taps, row % k, lines)
        along_row(lines, taps, w2, colours)
        for channel in range(COLOURS):
            for p in range(k):
                for x in range(width):
                    out[row, x * k + p, channel] = min(max(colours[channel, p, x], ZERO), ONE)
