"""Smoothing that keeps edges: the bilateral filter (Tomasi and Manduchi, 1998)."""

from __future__ import annotations

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
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    squares = x * x + y * y
    inside = squares <= radius * radius
    weights = np.exp(-squares[inside] / (2 * deviation**2)).astype(np.float32)
    # A picture narrower than the window has too little to mirror.
    fits = min(picture.shape) > radius
    padded = np.pad(np.asarray(picture, np.float32), radius, "reflect" if fits else "edge")
    steepness = np.float32(1 / (2 * range_deviation**2))
    smoothed = np.empty(picture.shape, np.float32)
    rows, columns = y[inside] + radius, x[inside] + radius
    smooth(padded, rows, columns, radius, weights, steepness, smoothed)
    return smoothed
