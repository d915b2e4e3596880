"""The controls' machine code against plain definitions: OpenCV's passes and NumPy's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_clahe import clahe as plain_clahe

from ncavideo.control.bilateral import REACH, bilateral
from ncavideo.control.clahe import clahe
from ncavideo.control.grid_luma import grid_luminance
from ncavideo.util.pixels import luminance, to_grid

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(size).astype(np.float32)


@given(
    grid=SIZES,
    more=SIZES,
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_luminance_on_the_grid_is_the_mean_of_each_cell(
    grid: tuple[int, int], more: tuple[int, int], kind: type, seed: int
) -> None:
    """Also where a cell's border cuts a pixel."""
    size = (grid[0] + more[0] - 1, grid[1] + more[1] - 1)
    most = np.iinfo(kind).max
    rgb = np.random.default_rng(seed).integers(0, most, (*size, 3), endpoint=True).astype(kind)
    expected = to_grid(luminance(rgb), *grid)
    np.testing.assert_allclose(grid_luminance(rgb, *grid), expected, atol=2e-6)


def test_a_grid_finer_than_the_frame_has_a_luminance_too() -> None:
    rgb = np.full((3, 4, 3), 255, np.uint8)
    np.testing.assert_allclose(grid_luminance(rgb, 7, 9), 1, atol=1e-6)


@given(
    size=st.tuples(st.integers(12, 70), st.integers(12, 70)),
    tiles=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    limit=st.floats(1, 8),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_equalisation_is_its_plain_definition(
    size: tuple[int, int], tiles: tuple[int, int], limit: float, seed: int
) -> None:
    luma = picture(size, seed) * 1.2 - 0.1  # what leaves 0..1 counts as its end
    np.testing.assert_allclose(
        clahe(luma, limit, tiles), plain_clahe(luma, limit, tiles), atol=1e-6
    )


def plain_bilateral(line: np.ndarray, range_deviation: float, deviation: float) -> np.ndarray:
    """Return the filter along the last axis, a pixel at a time."""
    radius, length = round(REACH * deviation), line.shape[-1]
    out = np.empty_like(line)
    for x in range(length):
        near = np.arange(max(0, x - radius), min(length, x + radius + 1))
        difference = line[..., near] - line[..., x : x + 1]
        share = np.exp(-((near - x) ** 2) / (2 * deviation**2))
        share = share * np.maximum(1 - difference**2 / (16 * range_deviation**2), 0) ** 8
        out[..., x] = (share * line[..., near]).sum(-1) / share.sum(-1)
    return out


@pytest.mark.parametrize("deviation", [1.0, 2.0, 3.3])
@pytest.mark.parametrize("range_deviation", [0.03, 0.12, 1.0])
def test_bilateral_filter_is_its_plain_definition(deviation: float, range_deviation: float) -> None:
    luma = cv2.resize(picture((9, 13), 0), (130, 90)) + 0.05 * picture((90, 130), 1)
    across = plain_bilateral(luma, range_deviation, deviation)
    expected = plain_bilateral(across.T, range_deviation, deviation).T
    np.testing.assert_allclose(bilateral(luma, range_deviation, deviation), expected, atol=2e-5)


def test_bilateral_filter_is_near_the_one_in_two_dimensions() -> None:
    """As OpenCV has it: what separates two sides of an edge is the same."""
    luma = cv2.resize(picture((9, 13), 0), (130, 90), interpolation=cv2.INTER_NEAREST)
    luma += 0.05 * picture((90, 130), 1)
    away = np.abs(bilateral(luma, 0.12, 2.0) - cv2.bilateralFilter(luma, -1, 0.12, 2.0))
    assert away.mean() < 0.15 * np.abs(luma - cv2.blur(luma, (3, 3))).mean()


@given(size=st.tuples(st.integers(1, 12), st.integers(1, 12)), seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_bilateral_filter_takes_any_size_and_stays_within_the_picture(
    size: tuple[int, int], seed: int
) -> None:
    luma = picture(size, seed)
    smoothed = bilateral(luma, 0.12, 2.0)
    assert smoothed.shape == size
    assert smoothed.min() >= luma.min() - 1e-6
    assert smoothed.max() <= luma.max() + 1e-6
