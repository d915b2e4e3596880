"""The grid's state, warped by the optical flow of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.field import Motion
from ncavideo.util.warp import warped

if TYPE_CHECKING:
    from jaxtyping import Float32


def warp_state(
    state: Float32[np.ndarray, "channels h w"], motion: Motion
) -> Float32[np.ndarray, "channels h w"] | None:
    """Return the state warped by `motion`, None if there is nothing to warp.

    A cell that was occluded before keeps its state, and the rules grow over it. There is no flow
    across a cut.
    """
    if motion.cut or not motion.back.any():
        return None
    # Bilinear: the finest detail, which bicubic would keep, flickers; the rules sharpen what is
    # lost. However little moves, it adds up over the frames.
    return warped(state, np.where(motion.lost[..., None], np.float32(0), motion.back))
