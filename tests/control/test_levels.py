"""The levels of a clip, and local contrast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from plain_frames import GRIDS, SHARE, grey, noise

from ncavideo.control.levels import CLIP_LIMIT, ClipRange, clip_range, local_contrast
from ncavideo.control.light import Light


def test_clip_range_leaves_out_the_extreme_percent() -> None:
    luma = np.linspace(0.2, 0.7, 10_000).reshape(100, 100)
    luma[0, :50] = 0
    luma[-1, :50] = 1
    levels = clip_range([luma[:50], luma[50:]])
    assert levels.low == pytest.approx(0.2, abs=0.01)
    assert levels.high == pytest.approx(0.7, abs=0.01)
    assert clip_range([]) == ClipRange(0, 1)


@given(low=SHARE, high=SHARE, luma=hnp.arrays(np.float32, GRIDS, elements=SHARE))
@settings(max_examples=60)
def test_stretch_stays_in_range_and_in_order(low: float, high: float, luma: np.ndarray) -> None:
    low, high = sorted((low, high))
    stretched = ClipRange(low, high).stretch(luma)
    assert stretched.min() >= 0
    assert stretched.max() <= 1
    order = luma.ravel().argsort()
    assert (np.diff(stretched.ravel()[order]) >= 0).all()
    if high - low > 0.1:
        assert ClipRange(low, high).stretch(np.array([low, high])).tolist() == [0, 1]


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_a_clip_of_one_brightness_is_not_called_dark(value: float) -> None:
    """A white clip has no range to stretch; that makes it no black one."""
    frame = np.full((24, 32), value, np.float32)
    levels = clip_range([frame])
    assert Light()(grey(frame, levels=levels)).mean() >= 0.45


def test_local_contrast_spreads_a_face_in_even_light() -> None:
    y, x = np.mgrid[0:180, 0:320] / 180
    luma = (0.5 + 0.05 * np.sin(8 * x) * np.cos(9 * y)).astype(np.float32)
    out = local_contrast(luma)
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert out.std() > 1.5 * luma.std()
    assert np.corrcoef(out.ravel(), luma.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("size", [(90, 160), (180, 320), (360, 640)], ids=str)
def test_local_contrast_keeps_noise_down(size: tuple[int, int]) -> None:
    """The clip limit is what it says: noise in a flat region grows by no more than that."""
    luma = 0.5 + noise(0.004, 1, *size)
    assert local_contrast(luma).std() < 1.5 * CLIP_LIMIT * luma.std()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (5, 7), (12, 12), (13, 300)], ids=str)
def test_local_contrast_on_small_grids(size: tuple[int, int]) -> None:
    luma = np.random.default_rng(0).random(size).astype(np.float32)
    out = local_contrast(luma)
    assert out.shape == size
    assert np.isfinite(out).all()
