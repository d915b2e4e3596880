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
    line, total = np.empty(width, np.float32), np.empty(columns, np.float32)
    first, last = np.empty(columns, np.int64), np.empty(columns, np.int64)
    left, right = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for column in range(columns):
        begin, end = column * across, min((column + 1) * across, np.float64(width))
        first[column], last[column] = int(begin), int(np.ceil(end)) - 1
        left[column] = min(first[column] + 1, end) - begin
        right[column] = end - last[column] if last[column] > first[column] else 0
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
        # With steps that the compiler knows it can use vectors: usual sizes of a cell.
        if across == 1:
            for column in range(columns):
                total[column] = line[column]
        elif across == 2:
            for column in range(columns):
                total[column] = line[2 * column] + line[2 * column + 1]
        elif across == 3:
            for column in range(columns):
                total[column] = line[3 * column] + line[3 * column + 1] + line[3 * column + 2]
        else:
            for column in range(columns):
                a, b = first[column], last[column]
                inside = left[column] * line[a] + right[column] * line[b]
                for x in range(a + 1, b):
                    inside += line[x]
                total[column] = inside
        for column in range(columns):
            luma[row, column] = total[column] * share
