"""A learned decoder's texture and the source to a finished frame, row by row in one pass.

As `composite_kernel`, with the decoder (`ncavideo/nca/decode_kernel.py`) in place of enlargement.
"""

from __future__ import annotations

import numpy as np

from ncavideo.composite.composite_kernel import (
    PAD,
    across2,
    along2,
    fast,
    shade_phase,
    source_luminance,
    store,
)
from ncavideo.composite.phase_kernel import interleave
from ncavideo.nca.decode_kernel import across_rows, along_row


@fast
def compose_decoded(
    planes: np.ndarray,
    taps: np.ndarray,
    w2: np.ndarray,
    shading: np.ndarray,
    source: np.ndarray,
    scale: np.float32,
    shade: np.float32,
    linear_first: np.ndarray,
    linear: np.ndarray,
    top: int,
    white: np.float32,
    out: np.ndarray,
) -> None:
    """Fill `out` `[rows, W, 3]`, the frame's rows from `top` on.

    `planes` `[F, h + 2, w + 2]`, `taps` `[k, 3]` and `w2` `[3, hidden]`: see `decode`; `shading`
    `[2, h, w]`, the last two of `composite_kernel.compose`'s fields, or empty where nothing is
    shaded; the rest as there.
    """
    rows, width, cells, k = len(out), out.shape[1], planes.shape[2] - 2, len(taps)
    seen, flat, shaded = source.reshape(-1), out.reshape(-1), len(shading) > 0
    lines = np.empty((planes.shape[0], cells + 2), np.float32)
    lights = np.empty((2, cells + 2 * PAD), np.float32)
    pixels = np.empty((3, cells * k), np.float32)
    phases, luma = np.empty((3, k, cells), np.float32), np.empty((k, cells), np.float32)
    line, room = np.empty(width, np.float32), np.empty((3, 1, cells), np.float32)
    factor, whole = np.empty(cells, np.float32), np.empty(cells, np.float32)
    exponents, shifts = np.full(cells, shade), np.zeros(cells, np.float32)
    bits = np.empty(cells, np.int32)
    for row in range(rows):
        cell, phase = (top + row) // k, (top + row) % k
        across_rows(planes, cell, taps, phase, lines)
        if shaded:
            for light in range(2):
                across2(shading, light, cell + linear_first[phase], linear, phase, lights)
            source_luminance(seen, top + row, scale, line, luma)
        along_row(lines, taps, w2, phases)
        if shaded:
            for p in range(k):
                for light in range(2):
                    along2(lights, light, linear_first, linear, p, room, 1 + light, 0)
                shade_phase(luma, p, shade, room, factor, exponents, shifts, whole, bits, phases)
        for channel in range(3):
            interleave(phases, channel, pixels)
        store(pixels, white, flat, row, width)
