"""A wide blur at half the size is nearly the exact one, for pictures of any size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.util import device_filters
from ncavideo.util.wide_blur import wide_blur


@pytest.mark.parametrize(
    ("deviation", "most"), [(1.5, 0.15), (2.0, 0.04), (2.5, 0.015), (4.5, 0.015), (8.0, 0.015)]
)
@pytest.mark.parametrize("size", [(96, 128), (97, 131)])
def test_it_is_nearly_the_exact_one(deviation: float, most: float, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random(size).astype(np.float32)
    inside = (slice(24, -24),) * 2  # enlarging mirrors what is beyond the edge in a way of its own
    exact = cv2.GaussianBlur(noise, (0, 0), deviation)[inside]
    away = wide_blur(noise, deviation)[inside] - exact
    assert away.std() < most * exact.std()


@pytest.mark.parametrize("deviation", [2.5, 3.0, 8.0])
def test_a_point_becomes_as_wide_as_it_should_wherever_it_is(deviation: float) -> None:
    places = np.arange(100)
    for at in (50, 51):
        point = np.zeros((100, 100), np.float32)
        point[at, at] = 1
        profile = wide_blur(point, deviation).sum(0)
        assert profile.sum() == pytest.approx(1, abs=1e-3)
        assert profile @ places == pytest.approx(at, abs=0.02)
        assert profile @ (places - at) ** 2 == pytest.approx(deviation**2, rel=0.02)


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), deviation=st.floats(1.5, 12))
@settings(max_examples=60, deadline=None)
def test_any_size_on_any_device(size: tuple[int, int], deviation: float) -> None:
    picture = np.random.default_rng(1).random(size).astype(np.float32)
    blurred = wide_blur(picture, deviation)
    assert blurred.shape == size
    assert picture.min() - 1e-5 <= blurred.min()
    assert blurred.max() <= picture.max() + 1e-5
    out = device_filters.wide_blur(torch.from_numpy(np.stack([picture, 1 - picture])), deviation)
    np.testing.assert_allclose(out, np.stack([blurred, 1 - blurred]), atol=1e-5)
