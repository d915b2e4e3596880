"""Luminance and its mean over each cell, in machine code."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled
from ncavideo.util.pixels import LUMINANCE

RED, GREEN, BLUE = LUMINANCE


@compiled(nogil=True, error_model="numpy", fastmath={"contract"})
def mean_luminance(rgb: np.ndarray, scale: np.float32, luma: np.ndarray) -> None:
    """Fill `luma` `[h, w]` with means over the cells of `rgb` `[H, W, 3]`, multiplied by `scale`.

    No more cells than pixels, in either direction.
    """
    height, width = rgb.shape[:2]
    rows, columns = luma.shape
    down, across = height / rows, width / columns
    share = np.float32(scale / (down * across))
    line = np.empty(width, np.float32)
    for row in range(rows):
        begin, end = row * down, min((row + 1) * down, np.float64(height))
        line[:] = np.float32(0)
        for y in range(int(begin), int(np.ceil(end))):
            weight = np.float32(min(y + 1, end) - max(y, begin))
            red, green, blue = RED * weight, GREEN * weight, BLUE * weight
            pixels = rgb[y].reshape(-1)
            for x in range(width):
                line[x] += (
                    red * pixels[3 * x] + green * pixels[3 * x + 1] + blue * pixels[3 * x + 2]
                )
        for column in range(columns):
            begin, end = column * across, min((column + 1) * across, np.float64(width))
            first, last = int(begin), int(np.ceil(end)) - 1
            total = np.float32(first + 1 - begin) * line[first]
            if last > first:
                for x in range(first + 1, last):
                    total += line[x]
                total += np.float32(end - last) * line[last]
            else:
                total = np.float32(end - begin) * line[first]
            luma[row, column] = total * share
