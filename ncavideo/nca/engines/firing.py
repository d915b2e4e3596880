"""The cells of a row that fire, in machine code, for the fused step and the fused unroll."""

from __future__ import annotations

import numpy as np

from ncavideo.nca.fire_mask import LCG_INCREMENT, LCG_MULTIPLIER
from ncavideo.util.machine_code import compiled

_word = np.uint32
_M, _A = np.uint32(LCG_MULTIPLIER), np.uint32(LCG_INCREMENT)


@compiled(inline="always")
def firing(
    seed: int,
    step: int,
    row: int,
    left: int,
    width: int,
    limit: int,
    hashes: np.ndarray,
    cells: np.ndarray,
) -> int:
    """Write the columns of a row's firing cells to `cells`; return how many. See `fire_mask`.

    `row` and `left`: the place of the row's first cell in the whole.
    """
    x0 = _word(_word(seed) * _M + _A)
    y0 = _word(_word(step) * _M + _A)
    z0 = _word(_word(row) * _M + _A)
    for column in range(width):
        w = _word(_word(left + column) * _M + _A)
        x = _word(x0 + _word(y0 * w))
        y = _word(y0 + _word(z0 * x))
        z = _word(z0 + _word(x * y))
        w = _word(w + _word(y * z))
        x = _word(x ^ (x >> _word(16)))
        y = _word(y ^ (y >> _word(16)))
        w = _word(w ^ (w >> _word(16)))
        hashes[column] = _word(x + _word(y * w))
    count = 0
    for column in range(width):
        cells[count] = column
        if np.uint64(hashes[column]) < limit:
            count += 1
    return count
