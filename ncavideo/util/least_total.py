"""The least sum of several planes at any place, in one pass."""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

fast = compiled(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})


@fast
def least_total(planes: np.ndarray) -> float:
    """Return the least of `planes.sum(0)` for planes `[n, h, w]` float32."""
    total = np.empty(planes.shape[2], np.float32)
    # One for each column: a single one would have to wait for itself at every place.
    least = np.full(planes.shape[2], np.inf, np.float32)
    for y in range(planes.shape[1]):
        for x in range(planes.shape[2]):
            total[x] = planes[0, y, x]
        for n in range(1, planes.shape[0]):
            for x in range(planes.shape[2]):
                total[x] += planes[n, y, x]
        for x in range(planes.shape[2]):
            least[x] = min(least[x], total[x])
    return float(least.min())
