"""A clip that goes from a whole picture into its middle."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np

from ncavideo.util.atomic_write import check_output, replacing
from ncavideo.util.errors import OutputError

FPS = 30
MOST_SIDE = 1280  # pixels of the clip's longer side
CLOSEST = 2.0  # pixels of the clip for one of the picture, at the end


def check_zoom_output(output: Path, overwrite: bool) -> None:
    """Raise `UserError` unless the clip can be written."""
    check_output(output, (".mp4", ".mov", ".mkv"), overwrite)


def save_zoom(rgb: np.ndarray, output: Path, seconds: float, overwrite: bool = True) -> None:
    """Write the clip of a picture `[H, W, 3]` uint8 or uint16, in H.264.

    Raises `OutputError` if it cannot be written; it appears under its name when it is complete.
    """
    every = frames(rgb, round(seconds * FPS))
    first = next(every)
    try:
        with replacing(output, overwrite) as partial, av.open(str(partial), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "18"})
            stream.pix_fmt = "yuv420p"
            stream.height, stream.width = first.shape[:2]
            for frame in chain([first], every):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
    except (OSError, av.error.FFmpegError) as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error


def frames(rgb: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Yield `count` frames, uint8: the whole picture first, each nearer by the same factor."""
    height, width = rgb.shape[:2]
    shrink = min(1.0, MOST_SIDE / max(height, width))
    size = (max(2, round(width * shrink / 2) * 2), max(2, round(height * shrink / 2) * 2))
    # Smaller and smaller copies, so that no pixel of a frame leaves most of those under it out.
    copies: list[np.ndarray] = [
        np.asarray(rgb if rgb.dtype == np.uint8 else rgb >> 8).astype(np.uint8)
    ]
    while copies[-1].shape[1] >= 2 * size[0]:
        half = (copies[-1].shape[1] // 2, copies[-1].shape[0] // 2)
        copies.append(cv2.resize(copies[-1], half, interpolation=cv2.INTER_AREA))
    first, last = size[0] / width, CLOSEST
    for index in range(count):
        scale = first * (last / first) ** (index / max(1, count - 1))
        near = next(c for c in reversed(copies) if c.shape[1] / width >= min(scale, 1.0))
        yield window(near, size, scale * width / near.shape[1], scale * height / near.shape[0])


def window(rgb: np.ndarray, size: tuple[int, int], across: float, down: float) -> np.ndarray:
    """Return the middle of a picture `[H, W, 3]` uint8 as a frame of `size` (width, height).

    A pixel of the picture is `across` x `down` pixels of the frame. Bilinear, at exactly the places
    asked for, which OpenCV rounds: what moves slowly would tremble. Beyond the edge is as at it.
    """
    from ncavideo.util.warp_kernel import stretch  # Numba, which few need, takes its time to load

    rgb = np.ascontiguousarray(rgb)
    frame = np.empty((size[1], size[0], 3), np.uint8)
    # The middle of n pixels is at (n - 1) / 2, where the first pixel's centre is at 0.
    x, y = (
        (length - 1) / 2 + (np.arange(wanted) - (wanted - 1) / 2) / ratio
        for length, wanted, ratio in zip(rgb.shape[1::-1], size, (across, down), strict=True)
    )
    stretch(rgb, x, y, frame)
    return frame
