"""Segmentation of what is in a box, by GrabCut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from segmented_frames import HEIGHT, WIDTH, disc, frame_view, make, overlap

pytestmark = pytest.mark.slow


def textured(seed: int, colour: tuple[float, float, float], spread: float = 0.12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, spread, (HEIGHT // 3, WIDTH // 3, 3)).astype(np.float32)
    return np.clip(np.array(colour) + cv2.resize(coarse, (WIDTH, HEIGHT)), 0, 1)


def test_what_is_in_the_box_is_followed() -> None:
    ground, thing = textured(1, (0.25, 0.4, 0.25)), textured(2, (0.8, 0.45, 0.2))
    field = make("grabcut:0.1,0.1,0.55,0.8")
    for index in range(20):
        there = disc(34 + index * 2, 36, 17)
        found = field.values(frame_view(np.where(there[..., None], thing, ground), index / 25))
        assert overlap(found, there) > 0.9, index


def test_an_even_frame_has_no_object() -> None:
    field = make("grabcut")
    assert np.isfinite(field.values(frame_view(np.full((HEIGHT, WIDTH, 3), 0.5)))).all()
