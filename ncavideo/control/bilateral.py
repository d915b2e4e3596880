"""Smoothing that keeps edges: the bilateral filter (Tomasi and Manduchi, 1998)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

REACH = 1.5  # deviations at which the window ends, as in OpenCV


def bilateral(picture: np.ndarray, range_deviation: float, deviation: float) -> np.ndarray:
    """Return a picture `[h, w]` float32 smoothed with its edges kept.

    Each pixel becomes the mean of those in a circle around it, weighted by a Gaussian of their
    distance (`deviation`, in pixels) and one of their difference (`range_deviation`, in the
    picture's units). Beyond its edge the picture is mirrored.
    """
    from ncavideo.control.bilateral_kernel import smooth  # Numba takes its time to load

    radius = max(1, round(REACH * deviation))
    # A picture narrower than the window has too little to mirror.
    fits = min(picture.shape) > radius
    padded = np.pad(np.asarray(picture, np.float32), radius, "reflect" if fits else "edge")
    smoothed = np.empty(picture.shape, np.float32)
    smooth(
        padded, *_window(radius, deviation), np.float32(0.5 / range_deviation**2), radius, smoothed
    )
    return smoothed


@lru_cache(4)
def _window(radius: int, deviation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows, the columns and the weights of half a window: see `bilateral_kernel`."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    squares = y * y + x * x
    half = (squares <= radius * radius) & ((y > 0) | (y == 0) & (x > 0))
    return y[half], x[half], np.exp(-squares[half] / (2 * deviation**2)).astype(np.float32)
