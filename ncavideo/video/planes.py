"""RGB of 8 bits to planes of yuv420p, as most encoders take them, in one pass over the frame.

FFmpeg's swscale needs a copy of the frame in its own memory first, and then two passes. The luma is
what swscale makes, to one level in 255. The chroma is the mean of two by two pixels, where swscale
weighs more rows; that lies below what 4:2:0 loses anyhow.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

# Weights of red and blue in luma (H.273).
_WEIGHTS = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
FORMAT = "yuv420p"


def takes(rgb: np.ndarray, form: str, matrix: Colorspace) -> bool:
    """Return whether `to_planes` makes a format of such a frame."""
    height, width, channels = rgb.shape
    plain = rgb.dtype == np.uint8 and channels == 3 and width % 2 == height % 2 == 0
    return plain and form == FORMAT and matrix in _WEIGHTS


def to_planes(rgb: np.ndarray, matrix: Colorspace, target: ColorRange) -> av.VideoFrame:
    """Return a frame `[H, W, 3]` uint8, of even sides and full range, as yuv420p."""
    from ncavideo.video.planes_kernel import fill  # Numba takes its time to load

    height, width = rgb.shape[:2]
    frame = av.VideoFrame(width, height, FORMAT)
    # PyAV's types do not say that a plane is a buffer.
    memory: list[Any] = list(frame.planes)
    luma, blue, red = (
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in memory
    )
    coefficients = coefficients_of(matrix, target)
    fill(np.ascontiguousarray(rgb).reshape(-1), width, coefficients, luma, blue, red)
    return frame


def coefficients_of(matrix: Colorspace, target: ColorRange) -> np.ndarray:
    """Return how red, green and blue make luma and chroma: `[3, 4]`, the last what is added."""
    red, blue = _WEIGHTS[matrix]
    weights = np.array([red, 1 - red - blue, blue])
    full = target == ColorRange.JPEG
    luma, chroma = (1.0, 1.0) if full else (219 / 255, 224 / 255)
    difference = np.eye(3)[[2, 0]] - weights
    rows = [weights * luma, *difference * chroma / (2 * (1 - np.array([[blue], [red]])))]
    offsets = [[0.0 if full else 16.0], [128.0], [128.0]]
    return np.concatenate([np.array(rows), np.array(offsets)], 1).astype(np.float32)
