"""A frame's luminance on the grid, in one pass over the frame."""

from __future__ import annotations

import numpy as np

from ncavideo.util.pixels import luminance, to_grid


def grid_luminance(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mean luminance `[height, width]` float32, 0..1, of each cell of a frame.

    `rgb` `[H, W, 3]`, uint8 or uint16, gamma-encoded. A cell's share of a pixel counts as much as
    it covers of it.
    """
    if rgb.shape[0] < height or rgb.shape[1] < width:
        return to_grid(luminance(rgb), height, width)
    from ncavideo.control.grid_luma_kernel import mean_luminance  # Numba takes its time to load

    luma = np.empty((height, width), np.float32)
    scale = np.float32(1 / np.iinfo(rgb.dtype).max)
    mean_luminance(np.ascontiguousarray(rgb), scale, luma)
    return luma
