"""Interpolation from cells to pixels, for cells of a whole number of pixels.

Pixel `j * k + p` of a row stands `(p + 1/2) / k - 1/2` cells beside the centre of cell `j`, so that
all pixels of one phase `p` weigh their neighbouring cells alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

CUBIC = -0.75  # the kernel's slope at 1, as OpenCV's


@dataclass(frozen=True)
class Taps:
    """How one kind of interpolation weighs cells, for each of `k` phases.

    `first` `[k]` int64: the first cell that counts, relative to the pixel's own; `weights`
    `[k, n]` float32: of that cell and those after it, summing to 1.
    """

    first: np.ndarray
    weights: np.ndarray


@lru_cache
def linear(k: int) -> Taps:
    """Return linear interpolation for cells of `k` pixels: two taps."""
    return _taps(k, 2, lambda x: np.maximum(1 - x, 0))


@lru_cache
def cubic(k: int) -> Taps:
    """Return cubic convolution (Keys, 1981) for cells of `k` pixels: four taps."""
    a = CUBIC

    def kernel(x: np.ndarray) -> np.ndarray:
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    return _taps(k, 4, kernel)


@lru_cache
def lanczos(k: int) -> Taps:
    """Return Lanczos interpolation (Duchon, 1979) for cells of `k` pixels: eight taps."""
    return _taps(k, 8, lambda x: np.where(x < 4, np.sinc(x) * np.sinc(x / 4), 0))


def _taps(k: int, count: int, kernel: Callable[[np.ndarray], np.ndarray]) -> Taps:
    place = (np.arange(k) + 0.5) / k - 0.5
    first = np.floor(place).astype(np.int64) - (count // 2 - 1)
    distances = np.abs(place[:, None] - (first[:, None] + np.arange(count)))
    weights = kernel(distances)
    weights /= weights.sum(1, keepdims=True)
    return Taps(first, weights.astype(np.float32))
