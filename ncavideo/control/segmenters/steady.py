"""Masks that hold still: carried along the optical flow, corrected by a network's looks."""

from __future__ import annotations

import numpy as np

from ncavideo.control.field import View
from ncavideo.control.guided_filter import guided_filter
from ncavideo.control.segmenters import Segmenter
from ncavideo.util.warp import warped

# Refinement along the picture's edges, in cells and squared luminance.
RADIUS, EPSILON = 2, 2e-3
# How far a look moves the mask: a network's edges swim by less than CALM, and a change that is
# larger than SURE is one of the scene.
CALM, SURE, LEAST = 0.25, 0.7, 0.15
# What is left where somebody was, and is not quite known to be gone, is not shown.
FAINT, FULL = 0.25, 0.75


class Steady(Segmenter):
    """One part of a segmenter, from looks at every so many frames, and the optical flow between.

    A network answers each frame by itself, and its edges swim. Here a mask is what the one before
    becomes by the motion of the picture; each look, refined along the picture's edges, corrects it:
    a little where the two nearly agree, at once where they clearly differ, and wherever the flow
    has no answer (`Motion.occluded`). A cut starts again.
    """

    state_attributes = ("_mask", "_since")
    parts = ("inner",)

    def __init__(self, inner: Segmenter, every: int, part: int = 0) -> None:
        self.inner, self._every, self._part = inner, every, part
        self.name = inner.name
        self._mask: np.ndarray | None = None
        self._since = 0  # frames since the last look

    def __call__(self, view: View) -> np.ndarray:
        """Return `[1, h, w]`."""
        motion = view.motion
        expected = None
        if self._mask is not None and motion is not None and not motion.cut:
            expected = warped(self._mask, motion.backward_flow)
        self._since += 1
        if expected is not None and self._since < self._every:
            self._mask = expected
            return _clear(expected)
        self._since = 0
        seen = self.inner.look(view, None if expected is None else expected[0])[self._part]
        seen = guided_filter(seen, view.luma, RADIUS, EPSILON)[None]
        if expected is not None and motion is not None:
            away = np.abs(seen - expected)
            follow = LEAST + (1 - LEAST) * np.clip((away - CALM) / (SURE - CALM), 0, 1)
            follow[:, motion.occluded] = 1
            seen = expected + follow * (seen - expected)
        self._mask = np.ascontiguousarray(seen, np.float32)
        return _clear(self._mask)

    def notes(self) -> list[str]:
        """Return the segmenter's own."""
        return self.inner.notes()


def _clear(mask: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip((mask - FAINT) / (FULL - FAINT), 0, 1), np.float32)
