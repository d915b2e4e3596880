"""Luminance and light of a grid, stretched in one pass."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

ZERO, ONE = np.float32(0), np.float32(1)
fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def stretch(luma: np.ndarray, low: np.float32, span: np.float32, out: np.ndarray) -> None:
    """Fill `out` `[n]` with 0..1 for a luminance from `low` to `low + span`."""
    for x in range(len(luma)):
        out[x] = min(max((luma[x] - low) / span, ZERO), ONE)


@fast
def raise_detail(
    light: np.ndarray, around: np.ndarray, amount: np.float32, out: np.ndarray
) -> None:
    """Fill `out` `[h, w]`, 0..1, with `light` and `amount` times what it has beyond `around`."""
    for y in range(light.shape[0]):
        for x in range(light.shape[1]):
            louder = light[y, x] + amount * (light[y, x] - around[y, x])
            out[y, x] = min(max(louder, ZERO), ONE)
