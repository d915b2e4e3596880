"""Drivers and views of frames, for tests of what they share out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, View, make_view

HEIGHT, WIDTH = 48, 64


RULES = ("fire", "moss", "water")


def view(grey: np.ndarray | float = 0.5, time: float = 0.0) -> View:
    luma = np.broadcast_to(np.asarray(grey, np.float32), (HEIGHT, WIDTH))
    picture = (luma[..., None] * 255 + 0.5).astype(np.uint8).repeat(3, 2)
    return make_view(picture, HEIGHT, WIDTH, time)


def driver(*controls: str, rules: tuple[str, ...] = RULES) -> Driver:
    return Driver(rules, controls, Context(Path()))
