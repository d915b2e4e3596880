"""The grid's state carried along with what moves in the picture."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.control.base import Motion

LEAST = 0.02  # cells: a picture that moves less everywhere stands still
# Bilinear: the finest detail, which bicubic would keep, flickers; the rules sharpen what is lost.
INTERPOLATION = cv2.INTER_LINEAR


def carry(state: np.ndarray, motion: Motion) -> np.ndarray | None:
    """Return the state `[C, h, w]` carried along `motion`, None if there is nothing to carry.

    A cell that was hidden before keeps the state it finds: there the rules heal what the scene
    has uncovered. Across a cut nothing can be carried.
    """
    if motion.cut or float(np.abs(motion.back).max()) < LEAST:
        return None
    height, width = motion.lost.shape
    x = motion.back[..., 0] + np.arange(width, dtype=np.float32)
    y = motion.back[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    moved = np.empty_like(state)
    for channel, plane in zip(moved, state, strict=True):
        cv2.remap(plane, x, y, INTERPOLATION, dst=channel, borderMode=cv2.BORDER_REPLICATE)
        np.copyto(channel, plane, where=motion.lost)
    return moved
