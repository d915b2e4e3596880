"""Enlarging: nothing moves, nothing rings, no cell shows, edges are steeper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.composite.upscale import UPSCALERS, auto, cubic, find_upscaler, sharp
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import LUMINANCE


@pytest.mark.parametrize("name", UPSCALERS)
def test_enlarging_to_the_same_size_copies(name: str) -> None:
    texture = np.random.default_rng(0).random((9, 12, 3)).astype(np.float32)
    same = UPSCALERS[name](texture, (12, 9))
    np.testing.assert_array_equal(same, texture)
    assert not np.shares_memory(same, texture)


@pytest.mark.parametrize("name", UPSCALERS)
@pytest.mark.parametrize("ratio", [2, 3, 6])
def test_even_colours_stay_even(name: str, ratio: int) -> None:
    texture = np.full((9, 12, 3), 0.3, np.float32)
    out = UPSCALERS[name](texture, (12 * ratio, 9 * ratio))
    np.testing.assert_allclose(out, 0.3, atol=1e-5)


def test_sharp_is_steeper_and_does_not_ring() -> None:
    texture = np.zeros((16, 16, 3), np.float32)
    texture[:, :8], texture[:, 8:] = 0.2, 0.7
    soft, steep = (f(texture, (96, 96)) @ LUMINANCE for f in (cubic, sharp))
    assert np.diff(steep[48]).max() > 1.3 * np.diff(soft[48]).max()
    assert steep.min() >= 0.2 - 1e-3
    assert steep.max() <= 0.7 + 1e-3
    assert soft.max() > 0.71  # as cubic interpolation does


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    over=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_any_size_stays_within_the_cells(
    height: int, width: int, over: tuple[int, int], seed: int
) -> None:
    texture = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    kept = texture.copy()
    size = width + over[0], height + over[1]
    out = sharp(texture, size)
    assert out.shape == (size[1], size[0], 3)
    assert out.dtype == np.float32
    assert np.array_equal(texture, kept)
    luma, cells = out @ LUMINANCE, texture @ LUMINANCE
    assert luma.min() >= cells.min() - 1e-5
    assert luma.max() <= cells.max() + 1e-5


@pytest.mark.parametrize("name", UPSCALERS)
@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_nothing_moves(name: str, ratio: int) -> None:
    """A picture and its mirror image are enlarged alike, and a spot stays where it was."""
    texture = np.random.default_rng(5).random((11, 14, 3)).astype(np.float32)
    size = (14 * ratio, 11 * ratio)
    out = UPSCALERS[name](texture, size)
    turned = UPSCALERS[name](np.ascontiguousarray(texture[::-1, ::-1]), size)
    np.testing.assert_allclose(turned[::-1, ::-1], out, atol=1e-5)
    spot = np.zeros((11, 11, 3), np.float32)
    spot[3, 6] = 1
    weight = UPSCALERS[name](spot, (11 * ratio, 11 * ratio)).sum(-1).clip(0)
    y, x = np.mgrid[: 11 * ratio, : 11 * ratio] + 0.5
    assert (weight * y).sum() / weight.sum() / ratio == pytest.approx(3.5, abs=0.02)
    assert (weight * x).sum() / weight.sum() / ratio == pytest.approx(6.5, abs=0.02)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_no_cell_shows(ratio: int) -> None:
    """On an even slope all steps are nearly as high, wherever in a cell they lie."""
    ramp = np.repeat(np.linspace(0, 1, 24, dtype=np.float32)[None, :, None], 12, 0).repeat(3, 2)
    steps = np.diff(sharp(ramp, (24 * ratio, 12 * ratio))[6 * ratio, :, 1])
    inner = steps[3 * ratio : -3 * ratio]
    np.testing.assert_allclose(inner, 1 / 23 / ratio, rtol=0.15)


def test_hues_of_greys_stay() -> None:
    grey = np.random.default_rng(1).random((9, 9, 1)).astype(np.float32).repeat(3, 2)
    out = sharp(grey, (54, 54))
    np.testing.assert_allclose(out, out[..., :1].repeat(3, 2), atol=1e-5)


def test_auto_is_sharp_for_coarse_grids_only() -> None:
    texture = np.random.default_rng(2).random((9, 12, 3)).astype(np.float32)
    np.testing.assert_array_equal(auto(texture, (24, 18)), cubic(texture, (24, 18)))
    np.testing.assert_array_equal(auto(texture, (48, 36)), sharp(texture, (48, 36)))


def test_an_unknown_way_is_one_sentence() -> None:
    with pytest.raises(UserError, match="there is no upscaler 'dream': use cubic or sharp"):
        find_upscaler("dream")
