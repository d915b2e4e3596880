"""A learned decoder's texture and the source to a finished frame, row by row in one pass.

As `composite_kernel`, with the decoder (`ncavideo/nca/decode_kernel.py`) in place of enlargement.
"""

from __future__ import annotations

import numpy as np

from ncavideo.composite.composite_kernel import (
    PAD,
    across,
    along,
    fast,
    interleave,
    luminances,
    shade_phase,
    store,
)
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

    `planes` `[F, h + 2, w + 2]`, `taps` `[k, 3]` and `w2` `[3, hidden]`: see `decode`; the rest as
    in `composite_kernel.compose`.
    """
    rows, cells, k = len(out), planes.shape[2] - 2, len(taps)
    shaded = len(shading) > 0
    lines = np.empty((planes.shape[0], cells + 2), np.float32)
    lights = np.empty((2, cells + 2 * PAD), np.float32)
    units = np.empty((4, k, cells), np.float32)
    pixels = np.empty((3, cells * k), np.float32)
    luma = np.empty(cells * k, np.float32)
    phases = np.empty((3, k, cells), np.float32)
    low, high = np.empty(cells, np.float32), np.empty(cells, np.float32)
    factor, bits = np.empty(cells, np.float32), np.empty(cells, np.int32)
    for row in range(rows):
        cell, phase = (top + row) // k, (top + row) % k
        across_rows(planes, cell, taps[phase], lines)
        if shaded:
            across(shading[0], cell, linear_first[phase], linear[phase], lights[0])
            across(shading[1], cell, linear_first[phase], linear[phase], lights[1])
            luminances(source[top + row].reshape(-1), scale, luma)
        along_row(lines, taps, w2, units, phases)
        if shaded:
            for p in range(k):
                r, g, b = phases[0, p], phases[1, p], phases[2, p]
                along(lights[0], linear_first[p], linear[p], low)
                along(lights[1], linear_first[p], linear[p], high)
                shade_phase(luma, p, k, shade, factor, low, high, bits, r, g, b)
        for channel in range(3):
            interleave(phases[channel], pixels[channel])
        store(pixels, white, out[row].reshape(-1))
