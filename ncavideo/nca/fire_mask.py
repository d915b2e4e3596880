"""Which cells fire in a step: a pure function of (seed, step, row, column).

The hash is `pcg4d` of Jarzynski and Olano, "Hash Functions for GPU Rendering", Journal of
Computer Graphics Techniques 9(3), 2020: four 32-bit words in, mixed by a linear congruential
step, two rounds of cross products and one xor-shift. The first output word is compared with the
fire rate as a 32-bit fraction. It needs nothing but 32-bit multiply, add, shift and xor, so every
engine (torch, and later compiled ones and the web page) fires exactly the same cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# The multiplier and increment of the "quick and dirty" generator in Numerical Recipes, which
# pcg4d uses for its first, linear step.
LCG_MULTIPLIER = 1664525
LCG_INCREMENT = 1013904223
UINT32 = 1 << 32


def threshold(fire_rate: float) -> int:
    """Turn a fire rate in 0..1 into the integer that hashes are compared with, in 0..2**32.

    A cell fires when its hash is below the result, so 0 never fires and 1 always does.
    """
    if not 0.0 <= fire_rate <= 1.0:
        raise ValueError(f"the fire rate must lie between 0 and 1, not {fire_rate}")
    return round(fire_rate * UINT32)


def pcg4d(x: np.ndarray, y: np.ndarray, z: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the first word of pcg4d for uint32 arrays that broadcast together, as uint32."""
    with np.errstate(over="ignore"):
        x, y, z, w = (
            v.astype(np.uint32) * np.uint32(LCG_MULTIPLIER) + np.uint32(LCG_INCREMENT)
            for v in (x, y, z, w)
        )
        x = x + y * w
        y = y + z * x
        z = z + x * y
        w = w + y * z
        x, y, w = (v ^ (v >> np.uint32(16)) for v in (x, y, w))
        return np.asarray(x + y * w, dtype=np.uint32)


def fire_mask(
    seed: int,
    step: int,
    height: int,
    width: int,
    fire_rate: float,
    *,
    row: int = 0,
    column: int = 0,
) -> np.ndarray:
    """Return the boolean mask `[height, width]` of the cells that update in this step.

    `seed` and `step` count modulo 2**32. `row` and `column` give the place of the window's first
    cell, so that a part of a grid fires as it would within the whole.
    """
    words = (
        np.full((1, 1), seed % UINT32, np.uint32),
        np.full((1, 1), step % UINT32, np.uint32),
        (np.arange(row, row + height, dtype=np.uint64) % UINT32).astype(np.uint32)[:, None],
        (np.arange(column, column + width, dtype=np.uint64) % UINT32).astype(np.uint32)[None, :],
    )
    return pcg4d(*words).astype(np.uint64) < np.uint64(threshold(fire_rate))


def fire_mask_torch(
    seed: int,
    step: int,
    height: int,
    width: int,
    fire_rate: float,
    device: torch.device | str,
    *,
    row: int = 0,
) -> torch.Tensor:
    """Return the same mask as `fire_mask`, made on `device` without a copy from the host.

    torch has no full uint32 arithmetic. The low 32 bits of sums and products are the same for
    signed numbers, which wrap; only the shift and the comparison need care.
    """
    import torch

    def word(value: int) -> int:
        value = (value * LCG_MULTIPLIER + LCG_INCREMENT) % UINT32
        return value - UINT32 if value >= UINT32 // 2 else value

    def xorshift(v: torch.Tensor) -> torch.Tensor:
        return v ^ ((v >> 16) & 0xFFFF)

    rows = torch.arange(row, row + height, dtype=torch.int32, device=device)[:, None]
    columns = torch.arange(width, dtype=torch.int32, device=device)[None, :]
    x, y = word(seed), word(step)
    z = rows * LCG_MULTIPLIER + LCG_INCREMENT
    w = columns * LCG_MULTIPLIER + LCG_INCREMENT
    a = w * y + x
    b = z * a + y
    c = z + a * b
    d = w + b * c
    a, b, d = xorshift(a), xorshift(b), xorshift(d)
    hashed = a + b * d
    limit = threshold(fire_rate) - UINT32 // 2
    if limit >= UINT32 // 2:
        return torch.ones(height, width, dtype=torch.bool, device=device)
    # Flipping the sign bit maps unsigned order onto signed order.
    return (hashed ^ -(UINT32 // 2)) < limit
