"""The light that rules are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from plain_frames import SHARE, grey, halves

from ncavideo.control.light import Light, raised, weakened


@pytest.mark.parametrize("size", [(8, 8), (90, 160)], ids=str)
def test_a_brighter_frame_asks_for_brighter_light(size: tuple[int, int]) -> None:
    light = Light()
    means = [float(light(grey(np.full(size, v))).mean()) for v in np.linspace(0, 1, 9)]
    assert (np.diff(means) > 0.05).all()
    assert means[0] < 0.05
    assert means[-1] > 0.95


@given(luma=hnp.arrays(np.float32, (7, 9), elements=SHARE), strength=SHARE)
@settings(max_examples=40)
def test_light_rises_with_luminance_within_a_small_frame(luma: np.ndarray, strength: float) -> None:
    light = weakened(Light()(grey(luma)), strength)
    assert light.dtype == np.float32
    assert (np.diff(light.ravel()[luma.ravel().argsort()]) >= 0).all()
    assert np.abs(light - 0.5).max() <= strength / 2 + 1e-6


def test_light_rises_along_a_slope() -> None:
    slope = np.broadcast_to(np.linspace(0, 1, 320), (180, 320))
    light = Light()(grey(slope))
    assert np.diff(light.mean(0)).min() > -0.01
    assert np.corrcoef(light.ravel(), slope.ravel())[0, 1] > 0.97


def test_no_strength_asks_for_the_middle() -> None:
    assert (weakened(Light()(grey(halves(0.5))), 0) == 0.5).all()


def test_detail_raises_what_is_small_in_the_light() -> None:
    y, x = np.mgrid[:60, :80].astype(np.float32)
    letters = 0.4 + 0.1 * ((x % 6 < 3) & (y % 10 < 7))
    assert raised(letters, 0.4).std() > 2 * letters.std()
    assert letters.std() < raised(letters, 0.2).std() < raised(letters, 0.4).std()
    slope = np.broadcast_to(np.linspace(0, 1, 160, dtype=np.float32), (90, 160))
    assert np.abs(raised(slope, 0.4) - slope)[:, 16:-16].max() < 1e-3


@given(light=hnp.arrays(np.float32, (7, 9), elements=SHARE), detail=SHARE)
@settings(max_examples=40)
def test_raised_light_is_light(light: np.ndarray, detail: float) -> None:
    found = raised(light, detail)
    assert found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert (raised(light, 0) == light).all()
