"""Texture and source to a finished frame, row by row in one pass, in machine code.

The plain definition is the same in passes over whole frames: `upscale.py` for the enlargement,
tests/composite/plain_composite.py for the shading. Here a row goes from the cells to the output
while it is in the first-level cache. Cells have a whole number of pixels, so that all pixels of one
phase (their place within their cell) have the same weights: loops run over cells and gather no
single values, which vectors are slow at.
"""

from __future__ import annotations

import numpy as np

from ncavideo.composite import shading as shading_bounds
from ncavideo.composite.phase_kernel import deinterleave, interleave
from ncavideo.util.machine_code import compiled

MOST_DETAIL, FLOOR = np.float32(shading_bounds.MOST_DETAIL), np.float32(shading_bounds.FLOOR)
RED, GREEN, BLUE = np.float32(0.2126), np.float32(0.7152), np.float32(0.0722)  # ITU-R BT.709
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
CRISP, LIGHT = 0, 3  # `compose`'s fields begin with what sharpens, and with what shades
PAD = 4  # cells beyond the edge that interpolation may ask for: they are as the edge

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


# Functions without branches, and rows by their numbers rather than as views: a view's owner is
# counted in an atomic operation, of which a row of pixels had some hundreds.


@fast
def across2(
    fields: np.ndarray, field: int, row: int, weights: np.ndarray, phase: int, lines: np.ndarray
) -> None:
    """Fill `lines[field]` `[w + 2 PAD]` with two rows of `fields[field]` `[h, w]`, weighted.

    `row`: the first of them; `weights` `[k, 2]`: of `phase`; see `phases.Taps`.
    """
    width, last = fields.shape[2], fields.shape[1] - 1
    a, b = min(max(row, 0), last), min(max(row + 1, 0), last)
    wa, wb = weights[phase, 0], weights[phase, 1]
    for x in range(width):
        lines[field, PAD + x] = wa * fields[field, a, x] + wb * fields[field, b, x]
    for x in range(PAD):
        lines[field, x] = lines[field, PAD]
        lines[field, PAD + width + x] = lines[field, PAD + width - 1]


@fast
def _across4(
    fields: np.ndarray, field: int, row: int, weights: np.ndarray, phase: int, lines: np.ndarray
) -> None:
    """As `across2` with four rows."""
    width, last = fields.shape[2], fields.shape[1] - 1
    a, b = min(max(row, 0), last), min(max(row + 1, 0), last)
    c, d = min(max(row + 2, 0), last), min(max(row + 3, 0), last)
    wa, wb, wc, wd = weights[phase, 0], weights[phase, 1], weights[phase, 2], weights[phase, 3]
    for x in range(width):
        upper = wa * fields[field, a, x] + wb * fields[field, b, x]
        lines[field, PAD + x] = upper + wc * fields[field, c, x] + wd * fields[field, d, x]
    for x in range(PAD):
        lines[field, x] = lines[field, PAD]
        lines[field, PAD + width + x] = lines[field, PAD + width - 1]


@fast
def _across8(
    fields: np.ndarray, field: int, row: int, weights: np.ndarray, phase: int, lines: np.ndarray
) -> None:
    """As `across2` with eight rows."""
    width, last = fields.shape[2], fields.shape[1] - 1
    _across4(fields, field, row, weights, phase, lines)
    a, b = min(max(row + 4, 0), last), min(max(row + 5, 0), last)
    c, d = min(max(row + 6, 0), last), min(max(row + 7, 0), last)
    wa, wb, wc, wd = weights[phase, 4], weights[phase, 5], weights[phase, 6], weights[phase, 7]
    for x in range(width):
        upper = wa * fields[field, a, x] + wb * fields[field, b, x]
        lines[field, PAD + x] += upper + wc * fields[field, c, x] + wd * fields[field, d, x]
    for x in range(PAD):
        lines[field, x] = lines[field, PAD]
        lines[field, PAD + width + x] = lines[field, PAD + width - 1]


@fast
def along2(
    lines: np.ndarray,
    line: int,
    first: np.ndarray,
    weights: np.ndarray,
    phase: int,
    out: np.ndarray,
    field: int,
    place: int,
) -> None:
    """Fill `out[field, place]` `[w]` with one phase of `lines[line]` `[w + 2 PAD]`.

    `first` `[k]`, `weights` `[k, 2]`: of `phase`; see `phases.Taps`.
    """
    part = lines[line, PAD + first[phase] :]
    wa, wb = weights[phase, 0], weights[phase, 1]
    for x in range(out.shape[2]):
        out[field, place, x] = wa * part[x] + wb * part[x + 1]


@fast
def _along4(
    lines: np.ndarray,
    line: int,
    first: np.ndarray,
    weights: np.ndarray,
    phase: int,
    out: np.ndarray,
    field: int,
    place: int,
) -> None:
    """As `along2` with four weights."""
    part = lines[line, PAD + first[phase] :]
    wa, wb, wc, wd = weights[phase, 0], weights[phase, 1], weights[phase, 2], weights[phase, 3]
    for x in range(out.shape[2]):
        left = wa * part[x] + wb * part[x + 1]
        out[field, place, x] = left + wc * part[x + 2] + wd * part[x + 3]


@fast
def _along8(
    lines: np.ndarray,
    line: int,
    first: np.ndarray,
    weights: np.ndarray,
    phase: int,
    out: np.ndarray,
    field: int,
    place: int,
) -> None:
    """As `along2` with eight weights."""
    part = lines[line, PAD + first[phase] :]
    wa, wb, wc, wd = weights[phase, 0], weights[phase, 1], weights[phase, 2], weights[phase, 3]
    we, wf, wg, wh = weights[phase, 4], weights[phase, 5], weights[phase, 6], weights[phase, 7]
    for x in range(out.shape[2]):
        left = wa * part[x] + wb * part[x + 1] + wc * part[x + 2] + wd * part[x + 3]
        right = we * part[x + 4] + wf * part[x + 5] + wg * part[x + 6] + wh * part[x + 7]
        out[field, place, x] = left + right


@fast
def power_of(
    values: np.ndarray,
    exponents: np.ndarray,
    shifts: np.ndarray,
    whole: np.ndarray,
    bits: np.ndarray,
) -> None:
    """Raise positive values to powers, times 2^`shifts`; all `[w]`, in place.

    To 1e-6, for results between 2^-126 and 2^127. By the binary logarithm: the number's own
    exponent and a series for its mantissa. `whole` float32 and `bits` int32 are to work in.
    """
    own, mantissa = values.view(np.int32), bits.view(np.float32)
    for x in range(len(values)):
        # The mantissa is taken between the root of a half and that of two.
        power = (own[x] - np.int32(0x3F3504F3)) >> np.int32(23)
        whole[x] = np.float32(power)
        bits[x] = own[x] - (power << np.int32(23))
    for x in range(len(values)):
        z = (mantissa[x] - ONE) / (mantissa[x] + ONE)
        s = z * z
        series = ONE + s * (np.float32(1 / 3) + s * (np.float32(1 / 5) + s * np.float32(1 / 7)))
        log = exponents[x] * (whole[x] + np.float32(2.8853900817779268) * z * series) + shifts[x]
        nearest = np.floor(log + HALF)
        r = (log - nearest) * np.float32(0.6931471805599453)
        part = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
        values[x] = ONE + r * (ONE + r * (HALF + r * (np.float32(1 / 6) + r * part)))
        bits[x] = (np.int32(nearest) + np.int32(127)) << np.int32(23)
    for x in range(len(values)):
        values[x] *= mantissa[x]


@fast
def source_luminance(
    source: np.ndarray, row: int, scale: np.float32, luma: np.ndarray, phases: np.ndarray
) -> None:
    """Fill `phases` `[k, w]` with the luminance of a row of pixels, and its last beyond the edge.

    `source` `[H * W * 3]`, of which `row` begins at `row * W * 3`; `luma` `[W]` is room to work in.
    """
    width = len(luma)
    red, green, blue = RED * scale, GREEN * scale, BLUE * scale
    seen = source[row * width * 3 :]
    for x in range(width):
        luma[x] = red * seen[3 * x] + green * seen[3 * x + 1] + blue * seen[3 * x + 2]
    deinterleave(luma, phases)


@fast
def shade_phase(
    luma: np.ndarray,
    p: int,
    shade: np.float32,
    room: np.ndarray,
    factor: np.ndarray,
    exponents: np.ndarray,
    shifts: np.ndarray,
    whole: np.ndarray,
    bits: np.ndarray,
    phases: np.ndarray,
) -> None:
    """Shade phase `p` of a row: `phases[:, p]` of `[3, k, w]`, in place.

    `luma` `[k, w]`: the source's luminance; `room[1, 0]`, `room[2, 0]` `[w]`: the factor that leads
    to the wanted light, and the source's luminance on the grid plus `FLOOR`, at these pixels.
    `exponents`, `shifts` `[w]`: `shade` and 0. `factor`, `whole` `[w]` float32 and `bits` `[w]`
    int32 are to work in.
    """
    cells = len(factor)
    for x in range(cells):
        detail = (luma[p, x] + FLOOR) / room[2, 0, x]
        factor[x] = room[1, 0, x] * min(max(detail, ONE / MOST_DETAIL), MOST_DETAIL)
    if shade == HALF:
        for x in range(cells):
            factor[x] = np.sqrt(factor[x])
    elif shade != ONE:
        power_of(factor, exponents, shifts, whole, bits)
    for x in range(cells):
        red, green = phases[0, p, x] * factor[x], phases[1, p, x] * factor[x]
        blue = phases[2, p, x] * factor[x]
        # Highlights that would clip run into white, as they do on film.
        over = RED * max(red - ONE, ZERO) + GREEN * max(green - ONE, ZERO)
        over += BLUE * max(blue - ONE, ZERO)
        phases[0, p, x] = red + over
        phases[1, p, x] = green + over
        phases[2, p, x] = blue + over


@fast
def _sharpen_phase(p: int, room: np.ndarray, change: np.ndarray, phases: np.ndarray) -> None:
    """Lead the luminance of `phases[:, p]` `[3, k, w]` to a sharper one.

    `room[:, 0]` `[3, w]`: that, and the least and the most that may be reached. `change` `[w]` is
    to work in.
    """
    # In loops over few arrays each: with more of them the compiler gives up on vectors, as it
    # would have to check at run time that no two overlap.
    cells = len(change)
    for x in range(cells):
        change[x] = min(max(room[0, 0, x], room[1, 0, x]), room[2, 0, x])
    for x in range(cells):
        change[x] -= RED * phases[0, p, x] + GREEN * phases[1, p, x] + BLUE * phases[2, p, x]
    for channel in range(3):
        for x in range(cells):
            phases[channel, p, x] += change[x]


@fast
def luminance_of(planes: np.ndarray, luma: np.ndarray) -> None:
    """Fill `luma` `[h, w]` with the luminance of `planes` `[3, h, w]`."""
    height, width = luma.shape
    for y in range(height):
        for x in range(width):
            luma[y, x] = RED * planes[0, y, x] + GREEN * planes[1, y, x] + BLUE * planes[2, y, x]


@fast
def compose(
    texture: np.ndarray,
    fields: np.ndarray,
    sharp: bool,
    shaded: bool,
    source: np.ndarray,
    scale: np.float32,
    shade: np.float32,
    linear_first: np.ndarray,
    linear: np.ndarray,
    cubic_first: np.ndarray,
    cubic: np.ndarray,
    lanczos_first: np.ndarray,
    lanczos: np.ndarray,
    top: int,
    white: np.float32,
    out: np.ndarray,
) -> None:
    """Fill `out` `[rows, W, 3]`, the frame's rows from `top` on.

    `texture` `[3, h, w]` float32, one pixel a cell: its red, green and blue. `fields` `[5, h, w]`:
    for `sharp` its sharpened luminance, and the least and the most that may be reached; for
    `shaded` the factor that leads to the wanted light, and the source's luminance on the grid plus
    `FLOOR`. `source` `[H, W, 3]` times `scale` is in 0..1; `shade` is the factor's exponent.
    `*_first`, `*`: see `phases.Taps`. `white`: what 1 becomes in whole numbers, 0 for
    floating-point output.
    """
    rows, width, cells, k = len(out), out.shape[1], fields.shape[2], len(linear)
    seen, flat = source.reshape(-1), out.reshape(-1)
    lines = np.empty((5, cells + 2 * PAD), np.float32)
    colours = np.empty((3, cells + 2 * PAD), np.float32)
    pixels = np.empty((3, cells * k), np.float32)
    phases, luma = np.empty((3, k, cells), np.float32), np.empty((k, cells), np.float32)
    line, room = np.empty(width, np.float32), np.empty((3, 1, cells), np.float32)
    factor, whole = np.empty(cells, np.float32), np.empty(cells, np.float32)
    exponents, shifts = np.full(cells, shade), np.zeros(cells, np.float32)
    bits = np.empty(cells, np.int32)
    for row in range(rows):
        cell, phase = (top + row) // k, (top + row) % k
        for channel in range(3):
            _across4(texture, channel, cell + cubic_first[phase], cubic, phase, colours)
        if sharp:
            _across8(fields, CRISP, cell + lanczos_first[phase], lanczos, phase, lines)
            for bound in range(CRISP + 1, CRISP + 3):
                across2(fields, bound, cell + linear_first[phase], linear, phase, lines)
        if shaded:
            for light in range(LIGHT, LIGHT + 2):
                across2(fields, light, cell + linear_first[phase], linear, phase, lines)
            source_luminance(seen, top + row, scale, line, luma)
        for p in range(k):
            for channel in range(3):
                _along4(colours, channel, cubic_first, cubic, p, phases, channel, p)
            if sharp:
                _along8(lines, CRISP, lanczos_first, lanczos, p, room, 0, 0)
                for bound in range(1, 3):
                    along2(lines, CRISP + bound, linear_first, linear, p, room, bound, 0)
                _sharpen_phase(p, room, factor, phases)
            if shaded:
                for light in range(2):
                    along2(lines, LIGHT + light, linear_first, linear, p, room, 1 + light, 0)
                shade_phase(luma, p, shade, room, factor, exponents, shifts, whole, bits, phases)
        for channel in range(3):
            interleave(phases, channel, pixels)
        store(pixels, white, flat, row, width)


@fast
def store(pixels: np.ndarray, white: np.float32, out: np.ndarray, row: int, width: int) -> None:
    """Clip `pixels` `[3, >= W]` to 0..1 and write them as a row of `out` `[rows * W * 3]`.

    `white`: see `compose`.
    """
    pixels_out = out[row * width * 3 :]
    if white > 0:
        for x in range(width):
            red = min(max(pixels[0, x], ZERO), ONE)
            green = min(max(pixels[1, x], ZERO), ONE)
            blue = min(max(pixels[2, x], ZERO), ONE)
            pixels_out[3 * x] = np.int32(red * white + HALF)
            pixels_out[3 * x + 1] = np.int32(green * white + HALF)
            pixels_out[3 * x + 2] = np.int32(blue * white + HALF)
    else:
        for x in range(width):
            pixels_out[3 * x] = min(max(pixels[0, x], ZERO), ONE)
            pixels_out[3 * x + 1] = min(max(pixels[1, x], ZERO), ONE)
            pixels_out[3 * x + 2] = min(max(pixels[2, x], ZERO), ONE)
