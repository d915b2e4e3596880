"""A few frames from all over a clip, cheaply: key frames only."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import av.error
import numpy as np

from ncavideo.video.reader import main_video, open_clip

FRAMES = 16
LEAST = 4  # with fewer key frames than this, ordinary frames are looked at too
DECODED = 240  # how many of those are decoded at most
LONGEST_SIDE = 160  # pixels: enough for levels


def survey(path: Path) -> list[np.ndarray]:
    """Return some small RGB frames `[h, w, 3]`, uint8, spread over the clip.

    Decodes the key frame before each of 16 evenly spread times; a clip with hardly any key frames
    gives an even choice of its first 240 frames instead. Damage is skipped.
    """
    frames = _key_frames(path)
    return frames if len(frames) >= LEAST else _first_frames(path)


def _key_frames(path: Path) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    with contextlib.closing(open_clip(path)) as container:
        stream = main_video(container, path)
        stream.codec_context.skip_frame = "NONKEY"
        origin, length = container.start_time or 0, container.duration or 0
        seen: set[int | None] = set()
        for index in range(FRAMES if length else 1):
            with contextlib.suppress(av.error.FFmpegError, OSError, StopIteration):
                if index:
                    container.seek(origin + length * index // FRAMES)
                frame = next(container.decode(stream))
                if frame.pts not in seen:
                    seen.add(frame.pts)
                    frames.append(_small(frame))
    return frames


def _first_frames(path: Path) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    with contextlib.closing(open_clip(path)) as container:
        stream = main_video(container, path)
        stream.thread_type = "AUTO"
        with contextlib.suppress(av.error.FFmpegError, OSError):
            for index, frame in enumerate(container.decode(stream)):
                if index >= DECODED:
                    break
                if index % (DECODED // FRAMES) == 0:
                    frames.append(_small(frame))
    return frames


def _small(frame: av.VideoFrame) -> np.ndarray:
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    return frame.reformat(*size, "rgb24").to_ndarray()
