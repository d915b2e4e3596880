"""Pictures between their pixels, in machine code: places are met exactly.

OpenCV's `remap` rounds places to 1/32 of a pixel, so that slow motion never adds up: version 4
always, version 5 for 2 channels, for more than 4, and for whole numbers.
"""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled


@compiled(nogil=True, error_model="numpy")
def warp(planes: np.ndarray, back: np.ndarray, top: int, bottom: int, moved: np.ndarray) -> None:
    """Fill rows `top` to `bottom` of `moved` `[n, h, w]` with what is at `back` beside each place.

    `planes` `[n, h, w]` float32, read by bilinear interpolation and beyond the edge as at it;
    `back` `[h, w, 2]` float32: (x, y) to add to a place, in pixels.
    """
    count, height, width = planes.shape
    beside, under = np.uint64(min(1, width - 1)), np.uint64(min(1, height - 1) * width)
    # Unsigned places need no check for negative ones, which would keep the compiler from vectors.
    place = np.empty(width, np.uint64)
    right = np.empty(width, np.float32)  # how much the pixel to the right weighs
    below = np.empty(width, np.float32)
    for y in range(top, bottom):
        for x in range(width):
            across = _within(x + np.float64(back[y, x, 0]), width)
            down = _within(y + np.float64(back[y, x, 1]), height)
            column, row = min(int(across), max(width - 2, 0)), min(int(down), max(height - 2, 0))
            place[x] = row * width + column
            right[x] = across - column
            below[x] = down - row
        for channel in range(count):
            plane, filled = planes[channel].reshape(-1), moved[channel, y]
            for x in range(width):
                here = place[x]
                first, second = plane[here], plane[here + under]
                first += right[x] * (plane[here + beside] - first)
                second += right[x] * (plane[here + under + beside] - second)
                filled[x] = first + below[x] * (second - first)


@compiled(nogil=True, error_model="numpy")
def warp_sharper(
    planes: np.ndarray,
    back: np.ndarray,
    top: int,
    bottom: int,
    moved: np.ndarray,
    sharpness: np.float32,
) -> None:
    """Like `warp`, with a share `sharpness` of the difference from bilinear to bicubic.

    Catmull and Rom's cubic is the line between two pixels less f (1 - f) / 2 of the second
    differences at both, f being the place between them; across the lines it is bilinear here.
    """
    count, height, width = planes.shape
    place = np.empty(width, np.int64)
    right = np.empty(width, np.float32)  # how much the pixel to the right weighs
    below = np.empty(width, np.float32)
    near = np.empty((6, width), np.int64)  # steps to the pixels and lines around
    half = sharpness * np.float32(0.5)
    one, two = np.float32(1), np.float32(2)
    for y in range(top, bottom):
        for x in range(width):
            across = _within(x + np.float64(back[y, x, 0]), width)
            down = _within(y + np.float64(back[y, x, 1]), height)
            column, row = min(int(across), max(width - 2, 0)), min(int(down), max(height - 2, 0))
            place[x] = row * width + column
            right[x] = across - column
            below[x] = down - row
            near[0, x] = -min(column, 1)
            near[1, x] = min(column + 1, width - 1) - column
            near[2, x] = min(column + 2, width - 1) - column
            near[3, x] = -min(row, 1) * width
            near[4, x] = (min(row + 1, height - 1) - row) * width
            near[5, x] = (min(row + 2, height - 1) - row) * width
        for channel in range(count):
            plane, filled = planes[channel].reshape(-1), moved[channel, y]
            for x in range(width):
                here, f, g = place[x], right[x], below[x]
                under, beside = here + near[4, x], near[1, x]
                a, b, c, d = plane[here], plane[here + beside], plane[under], plane[under + beside]
                upper, lower = here + near[3, x], here + near[5, x]
                first, second = a + f * (b - a), c + f * (d - c)
                before = plane[upper] + f * (plane[upper + beside] - plane[upper])
                after = plane[lower] + f * (plane[lower + beside] - plane[lower])
                bent = (one - g) * (before - two * first + second)
                bent += g * (first - two * second + after)
                value = first + g * (second - first) - half * g * (one - g) * bent
                left, far = near[0, x], near[2, x]
                bent = (one - f) * (plane[here + left] - two * a + b)
                bent += f * (a - two * b + plane[here + far])
                bent_under = (one - f) * (plane[under + left] - two * c + d)
                bent_under += f * (c - two * d + plane[under + far])
                bent += g * (bent_under - bent)
                filled[x] = value - half * f * (one - f) * bent


@compiled(nogil=True, error_model="numpy")
def stretch(picture: np.ndarray, x: np.ndarray, y: np.ndarray, frame: np.ndarray) -> None:
    """Fill `frame` `[h, w, 3]` with what a picture `[H, W, 3]` has at rows `y` and columns `x`.

    Both pictures are uint8; `x` `[w]` and `y` `[h]` are float64, in pixels. Bilinear; beyond the
    edge is as at it.
    """
    height, width = picture.shape[:2]
    flat = picture.reshape(-1)
    left = np.empty(len(x), np.uint64)
    right = np.empty(len(x), np.float32)  # how much the pixel to the right weighs
    beside, line = np.uint64(3 * min(1, width - 1)), 3 * width
    for i in range(len(x)):
        place = _within(x[i], width)
        column = min(int(place), max(width - 2, 0))
        left[i], right[i] = 3 * column, place - column
    for j in range(len(y)):
        place = _within(y[j], height)
        row = min(int(place), max(height - 2, 0))
        below = np.float32(place - row)
        upper, lower = np.uint64(row * line), np.uint64(min(row + 1, height - 1) * line)
        for i in range(len(x)):
            for channel in range(3):
                a, b = upper + left[i] + np.uint64(channel), lower + left[i] + np.uint64(channel)
                first, second = np.float32(flat[a]), np.float32(flat[b])
                first += right[i] * (np.float32(flat[a + beside]) - first)
                second += right[i] * (np.float32(flat[b + beside]) - second)
                frame[j, i, channel] = np.uint8(first + below * (second - first) + np.float32(0.5))


@compiled(nogil=True, error_model="numpy", inline="always")
def _within(place: float, length: int) -> float:
    """Return `place` between the first and the last pixel's centre; what is no number is first."""
    return min(place, length - 1.0) if place >= 0 else 0.0
