"""How the picture moved since the frame before: dense optical flow, occlusions, scene cuts."""

from __future__ import annotations

import cv2
import numpy as np

from ncavideo.control.field import Motion
from ncavideo.util.state import Stateful
from ncavideo.util.warp import warped

LONGEST_SIDE = 640  # pixels in which the flow is searched; a finer grid's is enlarged from there
# The consistency check of Sundaram, Brox and Keutzer, "Dense Point Trajectories by GPU-Accelerated
# Large Displacement Optical Flow", ECCV 2010, equation 5.
RELATIVE, ABSOLUTE = 0.01, 0.5
# Whether another scene begins. Within a scene the flow explains a frame by the one before: in fast
# shots, every fifth frame taken, the two correlate by 0.79 or more and half of the cells are torn;
# across cuts by 0.2 or less, with nine of ten cells torn.
EXPLAINED = 0.5  # correlation of a frame with the warped one before
TORN = 0.7  # share of the cells whose flow there and back does not agree
EMPTY = 1.0  # deviation, of 255, of a frame that shows nothing a flow could hold on to
JUMP = 0.1  # mean change of luminance by which a picture comes out of an empty frame, or goes


class OpticalFlow(Stateful):
    """Follows the picture from frame to frame; asked once for every frame, in order.

    Dense inverse search (Kroeger, Timofte, Dai and Van Gool, ECCV 2016), OpenCV's, there and back.
    `fine`: down to half the resolution in place of a quarter, in three times the time, for a grid
    that is warped.
    """

    state_attributes = ("_before", "_time")

    def __init__(self, fine: bool = False) -> None:
        self._fine = fine
        self._before: np.ndarray | None = None
        self._time = 0.0

    def __call__(self, luma: np.ndarray, time: float) -> Motion | None:
        """Return the motion up to a frame's luminance `[h, w]`, 0..1, at `time` in seconds.

        None for the first frame.
        """
        height, width = luma.shape
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        size = (max(16, round(width * scale)), max(16, round(height * scale)))
        now = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
        now = (np.clip(now, 0, 1) * 255 + 0.5).astype(np.uint8)
        before, seconds = self._before, time - self._time
        self._before, self._time = now, time
        if before is None:
            return None
        if np.array_equal(before, now):
            still = np.zeros((height, width, 2), np.float32)
            return Motion(still, np.zeros((height, width), bool), False, seconds)
        backward = self._search(now, before)
        forward = warp_picture(self._search(before, now), backward)
        gap = _squared(backward + forward)
        lengths = _squared(backward) + _squared(forward)
        occluded = (gap > RELATIVE * lengths + ABSOLUTE) | _outside(backward)
        cut = _is_cut(before, now, backward, occluded)
        if (height, width) != backward.shape[:2]:
            ratio = np.array([width / size[0], height / size[1]], np.float32)
            backward = cv2.resize(backward, (width, height), interpolation=cv2.INTER_LINEAR) * ratio
            occluded = cv2.resize(occluded.astype(np.uint8), (width, height)) > 0
        return Motion(backward, occluded, cut, seconds)

    def _search(self, there: np.ndarray, here: np.ndarray) -> np.ndarray:
        """Return, for each pixel of `there`, where it is in `here`, as (x, y) to add."""
        start = np.zeros((*there.shape, 2), np.float32)
        # A new one each time, which costs microseconds: on small pictures an old one's answer hangs
        # on what it was asked before.
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        if self._fine:
            search.setFinestScale(1)
            search.setVariationalRefinementIterations(2)
        return np.asarray(search.calc(there, here, start), np.float32)


def warp_picture(picture: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Return a picture `[h, w]` or `[h, w, n]` warped, as float32.

    Each place gets what was at its place plus `backward` `[h, w, 2]` (x, y), in pixels.
    """
    planes = picture.reshape(*picture.shape[:2], -1).transpose(2, 0, 1)
    return warped(planes, backward).transpose(1, 2, 0).reshape(picture.shape)


def _squared(vectors: np.ndarray) -> np.ndarray:
    # NumPy's sum over an axis of two takes ten times as long.
    return np.asarray(vectors[..., 0] * vectors[..., 0] + vectors[..., 1] * vectors[..., 1])


def _outside(backward: np.ndarray) -> np.ndarray:
    height, width = backward.shape[:2]
    x = backward[..., 0] + np.arange(width, dtype=np.float32)
    y = backward[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return np.asarray(outside)


def _is_cut(
    before: np.ndarray, now: np.ndarray, backward: np.ndarray, occluded: np.ndarray
) -> bool:
    seen = now.astype(np.float32)
    jumps, torn = bool(np.abs(seen - before).mean() > JUMP * 255), bool(occluded.mean() > TORN)
    if not jumps and not torn:
        return False  # as most frames: what the flow explains need not be worked out
    expected = warp_picture(before, backward)
    if min(expected.std(), seen.std()) < EMPTY:
        return jumps
    return torn and bool(np.corrcoef(expected.ravel(), seen.ravel())[0, 1] < EXPLAINED)
