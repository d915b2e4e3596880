"""The ramp from luminance to the shares of rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_frames import GRIDS, SHARE

from ncavideo.control.field import even_thresholds, ramp


@given(
    position=hnp.arrays(np.float32, GRIDS, elements=SHARE),
    thresholds=st.lists(SHARE, min_size=5, max_size=5).map(sorted),
    contrast=st.floats(0.05, 1000),
    count=st.integers(1, 6),
)
@settings(max_examples=150)
def test_ramp_shares_out_the_whole(
    position: np.ndarray, thresholds: list[float], contrast: float, count: int
) -> None:
    borders = np.array(thresholds[: max(count - 1, 1)])
    weights = ramp(position, borders, contrast, count)
    assert weights.shape == (count, *position.shape)
    assert weights.dtype == np.float32
    assert weights.min() >= 0
    total = weights.sum(0)
    assert total.max() <= 1 + 1e-6
    if count > 1:
        assert np.abs(total - 1).max() < 1e-6


@given(position=hnp.arrays(np.float32, GRIDS, elements=SHARE), count=st.integers(2, 7))
@settings(max_examples=60)
def test_contrast_1_is_linear_interpolation(position: np.ndarray, count: int) -> None:
    weights = ramp(position, even_thresholds(count), 1, count)
    # Rules stand evenly from 1 (the first) to 0 (the last); each cell mixes its two neighbours.
    for rule in range(count):
        home = 1 - rule / (count - 1)
        hat = np.maximum(0, 1 - np.abs(position.astype(float) - home) * (count - 1))
        np.testing.assert_allclose(weights[rule], hat, atol=2e-5)


@given(count=st.integers(2, 7), contrast=st.floats(1, 1000))
@settings(max_examples=40)
def test_first_rule_takes_the_bright_end(count: int, contrast: float) -> None:
    ends = np.array([[1, 0]], np.float32)
    weights = ramp(ends, even_thresholds(count), contrast, count)
    np.testing.assert_allclose(weights[:, 0, 0], np.eye(count)[0], atol=1e-6)
    np.testing.assert_allclose(weights[:, 0, 1], np.eye(count)[-1], atol=1e-6)


@given(position=hnp.arrays(np.float32, GRIDS, elements=SHARE))
@settings(max_examples=20)
def test_a_single_rule_gets_its_strength(position: np.ndarray) -> None:
    weights = ramp(position, even_thresholds(1), 1, 1)
    np.testing.assert_allclose(weights[0], position, atol=1e-6)


@given(
    brightness=st.lists(SHARE, min_size=2, max_size=12).map(sorted),
    count=st.integers(2, 5),
    contrast=st.floats(1, 50),
)
@settings(max_examples=60)
def test_brighter_never_means_a_darker_rule(
    brightness: list[float], count: int, contrast: float
) -> None:
    position = np.array([brightness], np.float32)
    weights = ramp(position, even_thresholds(count), contrast, count)
    # The share of the first k rules together only grows with brightness.
    assert (np.diff(np.cumsum(weights, 0), axis=-1) >= -2e-6).all()


def test_contrast_steepens_the_change_over() -> None:
    position = np.linspace(0, 1, 1001, dtype=np.float32)[None]

    def between(contrast: float) -> float:
        weights = ramp(position, even_thresholds(3), contrast, 3)
        return float((weights.max(0) < 0.999).mean())

    assert between(1) > 0.98
    assert between(2) == pytest.approx(0.5, abs=0.01)
    assert between(10) == pytest.approx(0.1, abs=0.01)
