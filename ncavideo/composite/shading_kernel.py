"""The factor that leads a texture's luminance to the wanted one, in one pass over the grid."""

from __future__ import annotations

import numpy as np

from ncavideo.composite import shading as bounds
from ncavideo.composite.composite_kernel import FLOOR, ONE, fast, power_of

MOST, MOST_SQUARED = np.float32(bounds.MOST_GAIN), np.float32(bounds.MOST_GAIN**2)
IMPORTANT = np.float32(bounds.IMPORTANT**2)
TO_BINARY = np.float32(1 / np.log(2))


@fast
def lead(
    own: np.ndarray,
    light: np.ndarray,
    dark: np.float32,
    bright: np.float32,
    finer: np.ndarray,
    energy: np.ndarray,
    added: np.float32,
    shade: np.float32,
    led: np.float32,
    power: np.float32,
    gain: np.ndarray,
) -> None:
    """Fill `gain` `[h, w]`; see `shading.Detail`.

    `own` `[h, w]`: the texture's luminance, blurred; `light` `[h, w]`, 0..1, of which `dark` and
    `bright` are the luminances that 0 and 1 stand for. `finer`, `energy` `[h, w]`: the detail,
    which is multiplied by `added`, and its blurred square; empty without detail.
    """
    width, span = own.shape[1], bright - dark
    inverse = ONE / power if power > 0 else ONE
    step = added * inverse * TO_BINARY
    values, whole = np.empty(width, np.float32), np.empty(width, np.float32)
    exponents, shifts = np.empty(width, np.float32), np.empty(width, np.float32)
    bits = np.empty(width, np.int32)
    for y in range(own.shape[0]):
        for x in range(width):
            wanted = (dark + span * light[y, x] + FLOOR) / (own[y, x] + FLOOR)
            values[x] = min(max(wanted, ONE / MOST), MOST)
        if len(energy) > 0:
            for x in range(width):
                there = energy[y, x] / (energy[y, x] + IMPORTANT)
                exponents[x] = (shade + led * there) * inverse
                shifts[x] = there * finer[y, x] * step
            power_of(values, exponents, shifts, whole, bits)
            for x in range(width):
                values[x] = min(max(values[x], ONE / MOST_SQUARED), MOST_SQUARED)
        for x in range(width):
            gain[y, x] = values[x]
