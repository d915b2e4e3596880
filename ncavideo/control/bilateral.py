"""Smoothing that keeps edges: the bilateral filter (Tomasi and Manduchi, 1998), separated.

Along rows and then along columns (Pham and van Vliet, "Separable Bilateral Filtering for Fast Video
Preprocessing", 2005): 12 neighbours in place of 28 for a window of 7 cells, and the same picture
but for the corners of what is smaller than the window. The weight of a difference is (1 - u / 8)^8,
which is near e^-u, ends, and takes half the time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

REACH = 1.5  # deviations at which the window ends, as in OpenCV


def bilateral(picture: np.ndarray, range_deviation: float, deviation: float) -> np.ndarray:
    """Return a picture `[h, w]` float32 smoothed with its edges kept.

    Each pixel becomes the mean of those around it in its row, then in its column, weighted by a
    Gaussian of their distance (`deviation`, in pixels) and nearly one of their difference
    (`range_deviation`, in the picture's units). Beyond its edge there is nothing.
    """
    from ncavideo.control.bilateral_kernel import smooth  # Numba takes its time to load

    picture = np.ascontiguousarray(picture, np.float32)
    smoothed = np.empty_like(picture)
    smooth(picture, near(deviation), np.float32(0.5 / range_deviation**2), smoothed)
    return smoothed


@lru_cache(4)
def near(deviation: float) -> np.ndarray:
    """Return what the distances 1, 2 ... up to the window's end let a pixel count, float32."""
    distances = np.arange(1, max(1, round(REACH * deviation)) + 1)
    return np.exp(-(distances**2) / (2 * deviation**2)).astype(np.float32)
