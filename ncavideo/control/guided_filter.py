"""The guided filter: a mask that keeps to the edges of a picture."""

from __future__ import annotations

import cv2
import numpy as np


def guided_filter(mask: np.ndarray, guide: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Return a mask `[h, w]` smoothed within the surfaces of a picture, `guide` `[h, w]`.

    In every window of `2 radius + 1` cells the answer is a straight line of the guide, so that it
    has an edge where the guide has one. Edges of the guide whose variance is far below `epsilon`
    are smoothed over. All are float32, 0 to 1. He, Sun and Tang, "Guided Image Filtering",
    ECCV 2010, algorithm 1, by box filters: its time does not depend on the radius.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        side = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(values, side, borderType=cv2.BORDER_REFLECT))

    of_guide, of_mask = mean(guide), mean(mask)
    variance = mean(guide * guide) - of_guide * of_guide
    together = mean(guide * mask) - of_guide * of_mask
    slope = together / (np.maximum(variance, 0) + np.float32(epsilon))
    offset = of_mask - slope * of_guide
    return np.asarray(np.clip(mean(slope) * guide + mean(offset), 0, 1), np.float32)
