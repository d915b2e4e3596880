"""Frames and sounds with known answers, for tests of fields."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np

from ncavideo.control import make_field
from ncavideo.control.field import Context, Field, Motion, View, make_view
from ncavideo.control.spec import parse_control

HEIGHT, WIDTH = 48, 64


NOWHERE = Context(Path())


def make(text: str, context: Context = NOWHERE) -> Field:
    return make_field(parse_control(text), context)


def frame_view(rgb: np.ndarray, time: float = 0.0, motion: Motion | None = None) -> View:
    """Return the view of a picture in 0..1, one pixel a cell."""
    picture = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return make_view(picture, *rgb.shape[:2], time, None, lambda luma, seconds: motion)


def plain(value: float = 0.5, time: float = 0.0) -> View:
    return frame_view(np.full((HEIGHT, WIDTH, 3), value), time)


def disc(x: float, y: float, radius: float = 8) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def inside_and_outside(
    found: np.ndarray, there: np.ndarray, margin: int = 2
) -> tuple[float, float]:
    """Return the least value well inside a shape, and the most well outside it."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    inner = cv2.erode(there.astype(np.uint8), kernel) > 0
    outer = cv2.dilate(there.astype(np.uint8), kernel) == 0
    return float(found[inner].min()), float(found[outer].max())


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def encode(path: Path, frames: list[np.ndarray], fps: float, *options: object) -> Path:
    """Write uint8 frames, grey, RGB or RGBA, as a clip."""
    kind = {2: "gray", 3: "rgb24", 4: "rgba"}[
        frames[0].ndim if frames[0].ndim == 2 else frames[0].shape[2]
    ]
    height, width = frames[0].shape[:2]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", kind,
               "-s", f"{width}x{height}", "-r", str(fps), "-i", "-", *map(str, options),
               str(path)]  # fmt: skip
    subprocess.run(command, check=True, input=b"".join(f.tobytes() for f in frames))
    return path
