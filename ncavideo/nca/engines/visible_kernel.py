"""The colours of the fused engine's grid, as planes."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled


@compiled(nogil=True)
def visible(grid: np.ndarray, planes: np.ndarray) -> None:
    """Fill `planes` `[3, h, w]` with the colours of `grid` `[h, w + 2, C]`, clipped to 0..1.

    What is not a number stays none.
    """
    for y in range(planes.shape[1]):
        for x in range(planes.shape[2]):
            for channel in range(3):
                value = grid[y, x + 1, channel] + np.float32(0.5)
                if value < 0:
                    value = np.float32(0)
                elif value > 1:
                    value = np.float32(1)
                planes[channel, y, x] = value
