"""Which numbers a label clip's luma stands for: those stored, or 16 to 235 brought to 0 to 255.

Grey and RGB clips leave no doubt. A YUV clip does: FFmpeg brings grey to 16-235 when it converts a
label map, but encoders that are given grey, as x264, store the labels as they are, and a clip that
does not say its range is taken for one of 16-235 in either case. Labels of 16-235 have nothing
below 16, where stored ones have their first numbers.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange

from ncavideo.video.colour import is_rgb
from ncavideo.video.reader import main_video, open_clip

FRAMES = 240  # that are looked at
BELOW = 8  # between it and 16 lossy coding may put what was 16
SHARE = 0.01  # of the pixels


def scaled_labels(frame: av.VideoFrame) -> np.ndarray:
    """Return a frame's luma as numbers `[H, W]` of its full range, 0 to 255."""
    return frame.to_ndarray(format="gray").astype(np.int64)


def stored_labels(frame: av.VideoFrame) -> np.ndarray:
    """Return a frame's luma as it is stored, `[H, W]`, 0 to 255."""
    full = ColorRange.JPEG
    grey = frame.reformat(format="gray", src_color_range=full, dst_color_range=full)
    return grey.to_ndarray().astype(np.int64)


def are_stored(clip: Path) -> bool:
    """Return whether a label clip's luma holds labels as they are, by one of its first frames."""
    with closing(open_clip(clip)) as container:
        stream = main_video(container, clip)
        try:
            for _, frame in zip(range(FRAMES), container.decode(stream), strict=False):
                if is_rgb(frame) or frame.format.name.startswith("gray"):
                    return False
                if (stored_labels(frame) < BELOW).mean() > SHARE:
                    return True
        except (av.error.FFmpegError, OSError):
            return False  # what can be decoded has been looked at
    return False
