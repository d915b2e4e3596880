"""Rules that luminance drives."""

from __future__ import annotations

import numpy as np
import pytest
from plain_frames import grey, halves, noise

from ncavideo.control.levels import ClipRange, clip_range
from ncavideo.control.luminance import DEFAULT_CONTRAST, Luminance


@pytest.mark.parametrize("contrast", [1.0, DEFAULT_CONTRAST, 40.0])
@pytest.mark.parametrize("white", [0.25, 0.4, 0.5, 0.6, 0.75])
def test_white_is_the_first_rule_and_black_the_last(white: float, contrast: float) -> None:
    luma = halves(white)
    weights = Luminance(2).weights(grey(luma), contrast)
    edge = round(white * luma.shape[1])
    assert weights[0][:, : edge - 4].min() > 0.9
    assert weights[1][:, edge + 4 :].min() > 0.9


@pytest.mark.parametrize("levels", [(0.0, 1.0), (0.4, 0.6)])
def test_noise_does_not_blur_the_split(levels: tuple[float, float]) -> None:
    low, high = levels
    luma = np.clip(low + (high - low) * (0.15 + 0.7 * halves(0.5) + noise(0.03)), 0, 1)
    control = Luminance(2)
    weights = control.weights(grey(luma, levels=ClipRange(low, high)))
    assert (weights[0][:, :76] > 0.9).mean() > 0.97
    assert (weights[1][:, 84:] > 0.9).mean() > 0.97


def test_every_rule_gets_a_share_of_a_smooth_picture() -> None:
    """And most cells live by one rule."""
    y, x = np.mgrid[0:90, 0:160] / 90
    luma = np.clip(0.6 + 0.3 * np.sin(5 * x + 2 * np.cos(3 * y)), 0, 1)
    weights = Luminance(4).weights(grey(luma, levels=clip_range([luma])))
    assert weights.mean((1, 2)).min() > 0.1
    assert (weights.max(0) > 0.9).mean() > 0.6


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 3), (12, 12)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_luminance_on_small_grids(size: tuple[int, int], count: int) -> None:
    control = Luminance(count)
    rng = np.random.default_rng(0)
    for frame in range(3):
        weights = control.weights(grey(rng.random(size), frame / 25))
        assert weights.shape == (count, *size)
        assert weights.min() >= 0
        assert weights.sum(0).max() <= 1 + 1e-6


def test_contrast_1_asks_the_luminance_alone() -> None:
    """The plain ramp: no local contrast, no memory of earlier frames."""
    control = Luminance(2)
    luma = np.linspace(0.2, 0.8, 300, dtype=np.float32).reshape(15, 20)
    control.weights(grey(halves(0.5)), 1)
    weights = control.weights(grey(luma, levels=ClipRange(0.2, 0.8)), 1)
    np.testing.assert_allclose(weights[0], (luma - 0.2) / 0.6, atol=1e-5)
