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
from ncavideo.util.machine_code import compiled

MOST_DETAIL, FLOOR = np.float32(shading_bounds.MOST_DETAIL), np.float32(shading_bounds.FLOOR)
RED, GREEN, BLUE = np.float32(0.2126), np.float32(0.7152), np.float32(0.0722)  # ITU-R BT.709
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
PAD = 4  # cells beyond the edge that interpolation may ask for: they are as the edge

# Values are finite, so minimum and maximum may be one instruction each.
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def across(plane: np.ndarray, row: int, first: int, weights: np.ndarray, line: np.ndarray) -> None:
    """Fill `line` `[w + 2 PAD]` with rows of `plane` `[h, w]` from `row + first` on, weighted."""
    height, width = plane.shape
    middle = line[PAD : PAD + width]
    middle[:] = ZERO
    for tap in range(len(weights)):
        source, weight = plane[min(max(row + first + tap, 0), height - 1)], weights[tap]
        for x in range(width):
            middle[x] += weight * source[x]
    for x in range(PAD):
        line[x], line[PAD + width + x] = middle[0], middle[width - 1]


@fast
def along(line: np.ndarray, first: int, weights: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` `[w]` with one phase of a line `[w + 2 PAD]`."""
    width = len(out)
    if len(weights) == 2:
        a, b = line[PAD + first :], line[PAD + first + 1 :]
        for x in range(width):
            out[x] = weights[0] * a[x] + weights[1] * b[x]
    elif len(weights) == 4:
        a, b = line[PAD + first :], line[PAD + first + 1 :]
        c, d = line[PAD + first + 2 :], line[PAD + first + 3 :]
        for x in range(width):
            out[x] = weights[0] * a[x] + weights[1] * b[x] + weights[2] * c[x] + weights[3] * d[x]
    else:
        out[:] = ZERO
        for tap in range(len(weights)):
            part, weight = line[PAD + first + tap :], weights[tap]
            for x in range(width):
                out[x] += weight * part[x]


@fast
def _power(values: np.ndarray, exponent: np.float32, whole: np.ndarray, bits: np.ndarray) -> None:
    """Raise positive values `[w]` to a power; to 1e-6, for results between 2^-126 and 2^127.

    By the binary logarithm: the number's own exponent and a series for its mantissa. `whole` `[w]`
    float32 and `bits` `[w]` int32 are room to work in.
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
        log = exponent * (whole[x] + np.float32(2.8853900817779268) * z * series)
        nearest = np.floor(log + HALF)
        r = (log - nearest) * np.float32(0.6931471805599453)
        part = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
        values[x] = ONE + r * (ONE + r * (HALF + r * (np.float32(1 / 6) + r * part)))
        bits[x] = (np.int32(nearest) + np.int32(127)) << np.int32(23)
    for x in range(len(values)):
        values[x] *= mantissa[x]


@fast
def interleave(phases: np.ndarray, row: np.ndarray) -> None:
    """Fill `row` `[w * k]` with all phases `[k, w]`, each in its places.

    With steps that the compiler knows it can use vectors: these are the usual sizes of a cell.
    """
    k, width = phases.shape
    a, b = phases[0], phases[min(1, k - 1)]
    if k == 1:
        # Not `row[:] = a`: the error about shapes that do not fit takes three seconds to compile.
        for x in range(width):
            row[x] = a[x]
    elif k == 2:
        for x in range(width):
            row[2 * x], row[2 * x + 1] = a[x], b[x]
    elif k == 3:
        c = phases[2]
        for x in range(width):
            row[3 * x], row[3 * x + 1], row[3 * x + 2] = a[x], b[x], c[x]
    else:
        for p in range(k):
            a = phases[p]
            for x in range(width):
                row[x * k + p] = a[x]


@fast
def luminances(source: np.ndarray, scale: np.float32, luma: np.ndarray) -> None:
    """Fill `luma` with the luminance of a row of pixels `[W * 3]`, and with its last beyond W."""
    width = len(source) // 3
    red, green, blue = RED * scale, GREEN * scale, BLUE * scale
    for x in range(width):
        luma[x] = red * source[3 * x] + green * source[3 * x + 1] + blue * source[3 * x + 2]
    luma[width:] = luma[width - 1]


@fast
def shade_phase(
    luma: np.ndarray,
    p: int,
    k: int,
    shade: np.float32,
    factor: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    bits: np.ndarray,
    r: np.ndarray,
    g: np.ndarray,
    b: np.ndarray,
) -> None:
    """Shade phase `p` of `k` of a row: `r`, `g` and `b` `[w]`, in place.

    `luma` `[w * k]`: the source's luminance; `low`, `high` `[w]`: the two of `compose`'s `shading`
    at these pixels. `factor` `[w]` float32 and `bits` `[w]` int32 are room to work in.
    """
    cells = len(r)
    for x in range(cells):
        factor[x] = luma[x * k + p]
    for x in range(cells):
        detail = (factor[x] + FLOOR) / high[x]
        factor[x] = low[x] * min(max(detail, ONE / MOST_DETAIL), MOST_DETAIL)
    if shade == HALF:
        for x in range(cells):
            factor[x] = np.sqrt(factor[x])
    elif shade != ONE:
        _power(factor, shade, low, bits)
    for x in range(cells):
        red, green, blue = r[x] * factor[x], g[x] * factor[x], b[x] * factor[x]
        # Highlights that would clip run into white, as they do on film.
        over = RED * max(red - ONE, ZERO) + GREEN * max(green - ONE, ZERO)
        over += BLUE * max(blue - ONE, ZERO)
        r[x], g[x], b[x] = red + over, green + over, blue + over


@fast
def compose(
    texture: np.ndarray,
    crisp: np.ndarray,
    bounds: np.ndarray,
    shading: np.ndarray,
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

    `texture` `[3, h, w]` float32, one pixel a cell. `crisp` `[h, w]`: its sharpened luminance, and
    `bounds` `[2, h, w]`: the least and the most that may be reached; `crisp` is empty where nothing
    is sharpened. `shading` `[2, h, w]`: the factor that leads to the wanted light, and the source's
    luminance on the grid plus `FLOOR`; empty where nothing is shaded. `source` `[H, W, 3]` times
    `scale` is in 0..1; `shade` is the factor's exponent. `*_first`, `*`: see `phases.Taps`.
    `white`: what 1 becomes in whole numbers, 0 for floating-point output.
    """
    rows, cells, k = len(out), texture.shape[2], len(linear)
    sharp, shaded = len(crisp) > 0, len(shading) > 0
    lines = np.empty((8, cells + 2 * PAD), np.float32)
    pixels = np.empty((3, cells * k), np.float32)
    luma = np.empty(cells * k, np.float32)
    phases = np.empty((3, k, cells), np.float32)
    low, high = np.empty(cells, np.float32), np.empty(cells, np.float32)
    factor, bits = np.empty(cells, np.float32), np.empty(cells, np.int32)
    for row in range(rows):
        cell, phase = (top + row) // k, (top + row) % k
        for channel in range(3):
            across(texture[channel], cell, cubic_first[phase], cubic[phase], lines[channel])
        if sharp:
            across(crisp, cell, lanczos_first[phase], lanczos[phase], lines[3])
            across(bounds[0], cell, linear_first[phase], linear[phase], lines[4])
            across(bounds[1], cell, linear_first[phase], linear[phase], lines[5])
        if shaded:
            across(shading[0], cell, linear_first[phase], linear[phase], lines[6])
            across(shading[1], cell, linear_first[phase], linear[phase], lines[7])
            luminances(source[top + row].reshape(-1), scale, luma)
        for p in range(k):
            r, g, b = phases[0, p], phases[1, p], phases[2, p]
            along(lines[0], cubic_first[p], cubic[p], r)
            along(lines[1], cubic_first[p], cubic[p], g)
            along(lines[2], cubic_first[p], cubic[p], b)
            if sharp:
                along(lines[3], lanczos_first[p], lanczos[p], factor)
                along(lines[4], linear_first[p], linear[p], low)
                along(lines[5], linear_first[p], linear[p], high)
                # In loops over few arrays each: with more of them the compiler gives up on vectors,
                # as it would have to check at run time that no two overlap.
                for x in range(cells):
                    factor[x] = min(max(factor[x], low[x]), high[x])
                for x in range(cells):
                    factor[x] -= RED * r[x] + GREEN * g[x] + BLUE * b[x]
                for x in range(cells):
                    r[x] += factor[x]
                for x in range(cells):
                    g[x] += factor[x]
                for x in range(cells):
                    b[x] += factor[x]
            if shaded:
                along(lines[6], linear_first[p], linear[p], low)
                along(lines[7], linear_first[p], linear[p], high)
                shade_phase(luma, p, k, shade, factor, low, high, bits, r, g, b)
        for channel in range(3):
            interleave(phases[channel], pixels[channel])
        store(pixels, white, out[row].reshape(-1))


@fast
def store(pixels: np.ndarray, white: np.float32, out: np.ndarray) -> None:
    """Clip `pixels` `[3, >= W]` to 0..1 and write them as `out` `[W * 3]`: see `compose`."""
    red, green, blue = pixels[0], pixels[1], pixels[2]
    if white > 0:
        for x in range(len(out) // 3):
            out[3 * x] = np.int32(min(max(red[x], ZERO), ONE) * white + HALF)
            out[3 * x + 1] = np.int32(min(max(green[x], ZERO), ONE) * white + HALF)
            out[3 * x + 2] = np.int32(min(max(blue[x], ZERO), ONE) * white + HALF)
    else:
        for x in range(len(out) // 3):
            out[3 * x] = min(max(red[x], ZERO), ONE)
            out[3 * x + 1] = min(max(green[x], ZERO), ONE)
            out[3 * x + 2] = min(max(blue[x], ZERO), ONE)
