"""A clip whose end becomes its beginning."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ncavideo.util.errors import UserError
from ncavideo.video.timeline import Shot

SOFTNESS = 0.35  # of the transition, in which each place changes over
PATCH = 1 / 12  # of the frame's shorter side: how large the places are that change together
SEED = 20  # of the pattern

Painted = tuple[Shot, np.ndarray]


def looped(painted: Iterable[Painted], seconds: float) -> Iterator[Painted]:
    """Yield painted frames so that the last is followed by the first without a jump.

    The first `seconds` are kept back; in the last, they take over place by place. So the last frame
    is the one before the first that is yielded. Holds the frames of twice `seconds` in memory.
    Raises `UserError` for a clip that is not at least twice as long.
    """
    head: list[Painted] = []
    tail: deque[Painted] = deque()
    for item in painted:
        if item[0].moment < seconds:
            head.append(item)
            continue
        tail.append(item)
        # What is older than the transition cannot be part of it.
        while item[0].moment + item[0].span - tail[0][0].moment > seconds + 1e-6:
            yield tail.popleft()
    if len(tail) < len(head) - 1 or not head or not tail:
        raise UserError(f"the clip is too short to loop over {seconds:g} s: try a shorter --loop")
    pattern = _pattern(*tail[0][1].shape[:2])
    for place, (shot, frame) in enumerate(tail):
        # By place and not by time: the last of both must meet, whatever the frame rate does.
        early = head[max(len(head) - len(tail) + place, 0)][1]
        share = (place + 1) / (len(tail) + 1)
        yield shot, _dissolved(frame, early, pattern, share)


def _pattern(height: int, width: int) -> np.ndarray:
    """Return smooth noise `[height, width]` with its values spread evenly over 0..1."""
    size = max(2, round(min(height, width) * PATCH))
    small = (-(-height // size) + 2, -(-width // size) + 2)
    noise = np.random.default_rng(SEED).random(small, np.float32)
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    levels = np.quantile(smooth, np.linspace(0, 1, 65))
    spread = np.interp(smooth, levels, np.linspace(0, 1, 65))
    return np.asarray(spread, np.float32)


def _dissolved(
    frame: np.ndarray, early: np.ndarray, pattern: np.ndarray, share: float
) -> np.ndarray:
    reach = share * (1 + SOFTNESS)
    weight = np.clip((reach - pattern) / SOFTNESS, 0, 1)[..., None]
    weight = weight * weight * (3 - 2 * weight)
    mixed = frame + weight * (early.astype(np.float32) - frame)
    return np.asarray(mixed + np.float32(0.5)).astype(frame.dtype)
