"""Frames and grids of plain luminance, for tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ncavideo.control.field import View
from ncavideo.control.levels import ClipRange

SHARE = st.floats(0, 1, width=32)


GRIDS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


def grey(luma: np.ndarray, time: float = 0.0, levels: ClipRange | None = None) -> View:
    """Return the view of a grey frame, one pixel a cell."""
    luma = luma.astype(np.float32)
    return View(np.repeat(luma[..., None], 3, 2), luma, time, levels or ClipRange())


def halves(white: float, height: int = 90, width: int = 160) -> np.ndarray:
    """Return a frame whose left share `white` is white and the rest black."""
    luma = np.zeros((height, width), np.float32)
    luma[:, : round(white * width)] = 1
    return luma


def noise(deviation: float, seed: int = 0, height: int = 90, width: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (deviation * rng.standard_normal((height, width))).astype(np.float32)
