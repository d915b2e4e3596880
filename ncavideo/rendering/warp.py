"""The grid's state, warped by the optical flow of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control.field import Motion
from ncavideo.util.warp import warped

if TYPE_CHECKING:
    from jaxtyping import Float32

REVISION = 2  # of how a state is warped: a render is not resumed with another one
AHEAD = 32.0  # cells: several wavelengths of a texture
LEAST_SPEED = 0.25  # cells a frame; slower texture heals before it is drawn out into stripes
SHARPNESS = 0.4  # of bicubic interpolation, 0 being bilinear
ALIKE = 0.3  # of the speed, by which the motion there may differ


def warp_state(
    state: Float32[np.ndarray, "channels h w"], motion: Motion
) -> Float32[np.ndarray, "channels h w"] | None:
    """Return the state warped by `motion`, None if there is nothing to warp.

    A cell that was occluded before, or outside, continues the texture of the thing that it moves
    with, from `AHEAD` cells further on; where nothing moves alike there, it keeps its state, and
    the rules grow over it. There is no flow across a cut.
    """
    if motion.cut or not motion.backward_flow.any():
        return None
    # The finest detail, which bicubic keeps, flickers; the rules sharpen what is lost. But bilinear
    # blurs along the motion alone, and strands grow longer. However little moves, it adds up over
    # the frames.
    return warped(state, _sources(motion), SHARPNESS)


def _sources(motion: Motion) -> Float32[np.ndarray, "h w 2"]:
    """Return the vector (x, y), in cells, from each cell to the place whose state it takes."""
    backward, occluded = motion.backward_flow, motion.occluded
    sources = np.where(occluded[..., None], np.float32(0), backward)
    rows, columns = np.nonzero(occluded)
    flow = backward[rows, columns]
    speed = np.hypot(flow[:, 0], flow[:, 1])
    # A state that stays where things come into view is copied by each frame into what moves away
    # from there, which draws parallel stripes. The state further on moves as well: from frame to
    # frame the next piece of one texture comes in.
    ahead = flow * (-AHEAD / np.maximum(speed, LEAST_SPEED))[:, None]
    x = np.rint(columns + ahead[:, 0]).astype(np.intp)
    y = np.rint(rows + ahead[:, 1]).astype(np.intp)
    height, width = occluded.shape
    known = (speed > LEAST_SPEED) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    rows, columns, flow, ahead = rows[known], columns[known], flow[known], ahead[known]
    there = backward[y[known], x[known]] - flow
    alike = np.hypot(there[:, 0], there[:, 1]) < ALIKE * speed[known]
    sources[rows[alike], columns[alike]] = flow[alike] + ahead[alike]
    return sources
