"""Frames of a disc, and views of frames, for tests of segmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncavideo.control import make_field
from ncavideo.control.field import Context, Field, View, make_view
from ncavideo.control.spec import parse_control

HEIGHT, WIDTH = 72, 96


def make(argument: str, context: Context | None = None) -> Field:
    return make_field(parse_control(f"segment:{argument}"), context or Context(Path()))


def frame_view(rgb: np.ndarray, time: float = 0.0, grid: tuple[int, int] | None = None) -> View:
    picture = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return make_view(picture, *(grid or picture.shape[:2]), time)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def overlap(found: np.ndarray, there: np.ndarray) -> float:
    """Return intersection over union."""
    return float(((found > 0.5) & there).sum() / ((found > 0.5) | there).sum())


FLAGS = [(0.9, 0.8, 0.3), (0.3, 0.55, 0.3), (0.1, 0.1, 0.35)]


def three_stripes(seed: int, dim: float = 1.0) -> np.ndarray:
    picture = np.repeat(np.repeat(np.array(FLAGS)[None], WIDTH // 3, 1), HEIGHT, 0)
    noise = np.random.default_rng(seed).normal(0, 0.03, picture.shape)
    return np.clip(picture * dim + noise, 0, 1)
