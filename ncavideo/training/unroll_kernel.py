"""What of a step and its gradient is not a matrix product, for the cells that fire, in Numba.

One sample at a time, so that samples can share out threads and the order of sums is fixed. Grids
have a rim of one cell, and all arrays are flat: `padded` stands for `[H + 2, W + 2, C]`, `inputs`
for `[H * W, I]`, `cells` holds the n places `y * W + x` that fire, in order.
"""

from __future__ import annotations

import numpy as np

from ncavideo.nca.engines.firing import firing
from ncavideo.nca.model import LAPLACIAN_SCALE, SOBEL_SCALE
from ncavideo.util.machine_code import compiled

_S1, _S2 = np.float32(1 / SOBEL_SCALE), np.float32(2 / SOBEL_SCALE)
_L1, _L2 = np.float32(1 / LAPLACIAN_SCALE), np.float32(2 / LAPLACIAN_SCALE)
_CENTRE = np.float32(-12 / LAPLACIAN_SCALE)
_two = np.float32(2)
# Unsigned places need no check for negative ones, which would keep the compiler from vectors.
_u = np.uint64

# C zeros. A tuple's length is part of its type, so the machine code knows the number of channels,
# and a cell's are worked on as a few vectors without a loop.
Unit = tuple[int, ...]

_compiled = compiled(nogil=True, fastmath={"contract"}, error_model="numpy")


@_compiled
def firing_cells(
    seed: int, step: int, first: int, height: int, width: int, limit: int, cells: np.ndarray
) -> int:
    """Write the places `y * width + x` of the cells that fire to `cells`; return how many.

    `first` is the mask's row that the sample's first row stands for; see `fire_mask`.
    """
    hashes = np.empty(width, np.uint32)
    columns = np.empty(width + 1, np.int64)
    total = 0
    for y in range(height):
        count = firing(seed, step, first + y, 0, width, limit, hashes, columns)
        for i in range(count):
            cells[total + i] = y * width + columns[i]
        total += count
    return total


@_compiled
def perceive(
    padded: np.ndarray,
    width: int,
    inputs: np.ndarray,
    extra: int,
    cells: np.ndarray,
    z: np.ndarray,
    unit: Unit,
) -> None:
    """Fill `z` `[n, 4C + I]`: what each of `cells` perceives, filter by filter, and its inputs.

    `extra` is I.
    """
    channels, out = _u(len(unit)), _u(0)
    row = _u(width + 2) * channels
    for k in range(len(cells)):
        cell = _u(cells[k])
        y = cell // _u(width)
        above = y * row + (cell - y * _u(width)) * channels
        here = above + row
        below = here + row
        for i in range(len(unit)):
            a, b, d = above + _u(i), here + _u(i), below + _u(i)
            left = padded[a] + _two * padded[b] + padded[d]
            f, g, h = (a + channels + channels, b + channels + channels, d + channels + channels)
            right = padded[f] + _two * padded[g] + padded[h]
            up, own, down = padded[a + channels], padded[b + channels], padded[d + channels]
            top = padded[a] + _two * up + padded[f]
            bottom = padded[d] + _two * down + padded[h]
            to = out + _u(i)
            z[to] = own
            z[to + channels] = (right - left) * _S1
            z[to + channels + channels] = (bottom - top) * _S1
            middle = up + _two * own + down
            z[to + channels + channels + channels] = (left + _two * middle + right) * _L1 - own
        out += channels + channels + channels + channels
        for i in range(extra):
            z[out] = inputs[cell * _u(extra) + _u(i)]
            out += _u(1)


@_compiled
def spread(dz: np.ndarray, cells: np.ndarray, padded: np.ndarray, width: int, unit: Unit) -> None:
    """Add to `padded` the gradient `dz` `[n, 4C]` of what cells perceived: `perceive` transposed.

    One target at a time, so that the compiler sees that no target overlaps another.
    """
    channels, at = _u(len(unit)), _u(0)
    row = _u(width + 2) * channels
    for k in range(len(cells)):
        cell = _u(cells[k])
        y = cell // _u(width)
        above = y * row + (cell - y * _u(width)) * channels
        here = above + row
        below = here + row
        gx = at + channels
        gy = gx + channels
        lap = gy + channels
        for i in range(len(unit)):
            c = _u(i)
            padded[above + c] += dz[lap + c] * _L1 - dz[gx + c] * _S1 - dz[gy + c] * _S1
        for i in range(len(unit)):
            c = _u(i)
            padded[here + c] += dz[lap + c] * _L2 - dz[gx + c] * _S2
        for i in range(len(unit)):
            c = _u(i)
            padded[below + c] += dz[lap + c] * _L1 - dz[gx + c] * _S1 + dz[gy + c] * _S1
        above, here, below = above + channels, here + channels, below + channels
        for i in range(len(unit)):
            c = _u(i)
            padded[above + c] += dz[lap + c] * _L2 - dz[gy + c] * _S2
        for i in range(len(unit)):
            c = _u(i)
            padded[here + c] += dz[at + c] + dz[lap + c] * _CENTRE
        for i in range(len(unit)):
            c = _u(i)
            padded[below + c] += dz[lap + c] * _L2 + dz[gy + c] * _S2
        above, here, below = above + channels, here + channels, below + channels
        for i in range(len(unit)):
            c = _u(i)
            padded[above + c] += dz[lap + c] * _L1 + dz[gx + c] * _S1 - dz[gy + c] * _S1
        for i in range(len(unit)):
            c = _u(i)
            padded[here + c] += dz[lap + c] * _L2 + dz[gx + c] * _S2
        for i in range(len(unit)):
            c = _u(i)
            padded[below + c] += dz[lap + c] * _L1 + dz[gx + c] * _S1 + dz[gy + c] * _S1
        at = lap + channels


@_compiled
def add_changes(
    padded: np.ndarray, width: int, cells: np.ndarray, change: np.ndarray, unit: Unit
) -> None:
    """Add `change` `[n, C]` to the cells of `padded` that fire."""
    channels, source = _u(len(unit)), _u(0)
    for k in range(len(cells)):
        cell = _u(cells[k])
        y = cell // _u(width)
        place = ((y + _u(1)) * _u(width + 2) + (cell - y * _u(width)) + _u(1)) * channels
        for i in range(len(unit)):
            padded[place + _u(i)] += change[source + _u(i)]
        source += channels


@_compiled
def gather(grid: np.ndarray, cells: np.ndarray, rows: np.ndarray, unit: Unit) -> None:
    """Copy the cells of `grid` `[H, W, C]` that fire to `rows` `[n, C]`."""
    channels, target = _u(len(unit)), _u(0)
    for k in range(len(cells)):
        place = _u(cells[k]) * channels
        for i in range(len(unit)):
            rows[target + _u(i)] = grid[place + _u(i)]
        target += channels
