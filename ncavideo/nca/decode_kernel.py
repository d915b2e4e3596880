"""The learned decoder row by row, in machine code: see `decoder` for its plain definition.

The first layer is linear and so is interpolation, so that it is applied to cells. A row of pixels
then is three weighted rows of cells, and all pixels of one phase (their place within their cell)
have the same weights: loops run over cells, in whole vectors.
"""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
COLOURS = 3  # planes before those of the hidden units

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def _place(place: int, length: int, wrap: bool) -> int:
    """Return the place within 0..length that a place beyond the edge stands for."""
    return place % length if wrap else min(max(place, 0), length - 1)


@fast
def _soft_row(
    state: np.ndarray, row: int, channels: int, wrap: bool, tall: np.ndarray, soft: np.ndarray
) -> None:
    """Fill `soft` `[>= C, w + 2]` with a row of cells, softened, and one more at either end.

    `state` `[h, w * C]`; `row` may be beyond the edge; `tall` `[(w + 4) * C]` is room.
    """
    height, length = state.shape
    width, ahead = length // channels, 2 * channels
    above, below = _place(row - 1, height, wrap), _place(row + 1, height, wrap)
    own = _place(row, height, wrap)
    for i in range(length):
        around = state[above, i] + state[below, i]
        tall[ahead + i] = (around * HALF + state[own, i]) * HALF
    for x in (-2, -1, width, width + 1):
        taken = ahead + _place(x, width, wrap) * channels
        for c in range(channels):
            tall[ahead + x * channels + c] = tall[taken + c]
    for i in range(length + ahead):
        tall[i] = ((tall[i] + tall[ahead + i]) * HALF + tall[channels + i]) * HALF
    for c in range(channels):
        for x in range(width + 2):
            soft[c, x] = tall[x * channels + c]


@fast
def _add_channels(
    soft: np.ndarray, first: int, w1: np.ndarray, unit: int, row: int, planes: np.ndarray
) -> None:
    """Add four channels, `first` and on, to the sums of four hidden units, `unit` and on."""
    a, b, c, d = first, first + 1, first + 2, first + 3
    e, f, g, h = unit, unit + 1, unit + 2, unit + 3
    ea, eb, ec, ed = w1[e, a], w1[e, b], w1[e, c], w1[e, d]
    fa, fb, fc, fd = w1[f, a], w1[f, b], w1[f, c], w1[f, d]
    ga, gb, gc, gd = w1[g, a], w1[g, b], w1[g, c], w1[g, d]
    ha, hb, hc, hd = w1[h, a], w1[h, b], w1[h, c], w1[h, d]
    for x in range(planes.shape[2]):
        p, q, r, s = soft[a, x], soft[b, x], soft[c, x], soft[d, x]
        planes[COLOURS + e, row, x] += ea * p + eb * q + ec * r + ed * s
        planes[COLOURS + f, row, x] += fa * p + fb * q + fc * r + fd * s
        planes[COLOURS + g, row, x] += ga * p + gb * q + gc * r + gd * s
        planes[COLOURS + h, row, x] += ha * p + hb * q + hc * r + hd * s


@fast
def fill_planes(
    state: np.ndarray, wrap: bool, w1: np.ndarray, b1: np.ndarray, planes: np.ndarray
) -> None:
    """Fill `planes` `[3 + hidden, h + 2, w + 2]`: colours, then sums of the hidden units.

    `state` `[h, w, C]`; `wrap`: whether opposite edges are neighbours; `w1` `[hidden, channels]`
    and `b1` `[hidden]`, filled up to multiples of four.
    """
    height, width, channels = state.shape
    flat = state.reshape(height, width * channels)
    tall = np.empty((width + 4) * channels, np.float32)
    soft = np.zeros((w1.shape[1], width + 2), np.float32)
    for row in range(planes.shape[1]):
        _soft_row(flat, row - 1, channels, wrap, tall, soft)
        for colour in range(COLOURS):
            for x in range(width + 2):
                planes[colour, row, x] = soft[colour, x] + HALF
        for unit in range(len(b1)):
            for x in range(width + 2):
                planes[COLOURS + unit, row, x] = b1[unit]
        for unit in range(0, len(b1), 4):
            for first in range(0, w1.shape[1], 4):
                _add_channels(soft, first, w1, unit, row, planes)


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
