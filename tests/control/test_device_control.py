"""Control on a device, run by torch on the processor, beside the ordinary passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_clahe import clahe as plain_clahe

from ncavideo.control import device_bilateral, device_clahe, device_luma, device_sharing
from ncavideo.control.bilateral import bilateral
from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, DeviceView, make_view
from ncavideo.control.grid_luma import grid_luminance
from ncavideo.control.levels import ClipRange, Thresholds
from ncavideo.control.light import Light, raised, raised_on_device
from ncavideo.util.device_counts import counts

RULES = ("fire", "moss", "bark")
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
# Expression: between rules 12 times as steep as the luminance, which is exact to 1e-4.
TOLERANCE, FEW = 2e-3, 1e-3


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def frame(index: int, kind: type = np.uint8, size: tuple[int, int] = (95, 161)) -> np.ndarray:
    """Return soft waves that drift, with grain."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]] / 40
    waves = 0.5 + 0.3 * np.sin(2 * x + index / 5) * np.cos(y) + 0.1 * np.sin(5 * (x + y))
    grain = np.random.default_rng(index).normal(0, 0.03, (*size, 3))
    rgb = (waves[..., None] * (1, 0.8, 0.6) + grain).clip(0, 1)
    return (rgb * np.iinfo(kind).max).astype(kind)


def on_device(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.view(np.int16) if array.dtype == np.uint16 else array)


def device_view(rgb: np.ndarray, grid: tuple[int, int], time: float) -> DeviceView:
    levels = ClipRange(0.1, 0.9)
    source = on_device(rgb)
    luma = device_luma.grid_luminance(source, *grid)
    return DeviceView(source, luma, time, levels, lambda: make_view(rgb, *grid, time, levels))


@given(
    grid=SIZES,
    more=SIZES,
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_luminance_on_the_grid(
    grid: tuple[int, int], more: tuple[int, int], kind: type, seed: int
) -> None:
    size = (grid[0] + more[0] - 1, grid[1] + more[1] - 1)
    most = np.iinfo(kind).max
    rgb = np.random.default_rng(seed).integers(0, most, (*size, 3), endpoint=True).astype(kind)
    out = device_luma.grid_luminance(on_device(rgb), *grid)
    np.testing.assert_allclose(out, grid_luminance(rgb, *grid), atol=2e-6)


@given(size=SIZES, detail=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_raised_light(size: tuple[int, int], detail: float, seed: int) -> None:
    light = np.random.default_rng(seed).random(size).astype(np.float32)
    out = raised_on_device(torch.from_numpy(light.copy()), detail)
    np.testing.assert_allclose(out, raised(light, detail), atol=1e-5)


@given(size=SIZES, tiles=st.tuples(st.integers(1, 6), st.integers(1, 6)), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_clahe_is_its_plain_definition(
    size: tuple[int, int], tiles: tuple[int, int], seed: int
) -> None:
    size = (max(size[0], tiles[1]), max(size[1], tiles[0]))
    luma = np.random.default_rng(seed).random(size).astype(np.float32)
    out = device_clahe.clahe(torch.from_numpy(luma), 3.0, tiles)
    np.testing.assert_allclose(out, plain_clahe(luma, 3.0, tiles), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (40, 33), (200, 3)])
def test_the_bilateral_filter(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).random(size).astype(np.float32)
    out = device_bilateral.bilateral(torch.from_numpy(picture), 0.12, 2.0)
    np.testing.assert_allclose(out, bilateral(picture, 0.12, 2.0), atol=2e-4)


def test_counting() -> None:
    numbers = np.random.default_rng(2).integers(0, 50, 1000)
    assert np.array_equal(counts(torch.from_numpy(numbers), 60), np.bincount(numbers, minlength=60))


def test_the_histogram_of_thresholds() -> None:
    luma = np.random.default_rng(3).random((30, 40)).astype(np.float32)
    luma[0, :2] = 0, 1
    histogram = device_sharing.histogram(torch.from_numpy(luma), Thresholds.BINS)
    followed = Thresholds(3).follow(histogram, 0.0)
    assert np.array_equal(followed, Thresholds(3).update(luma, 0.0))


CONTROLS: list[tuple[str, ...]] = [
    (),
    ("luminance,blur=2",),
    ("luminance,invert",),
    ("luminance,smooth=0.5",),
    ("luminance,rise=5",),
    ("fire=luminance:bright", "luminance,weight=1.5"),
    ("fire=luminance:0.2-0.7/2", "moss=luminance:mid,invert", "bark=luminance"),
    ("fire=hue:0-90", "moss=edges", "off"),
    ("saturation",),
    ("edges:2,weight=2",),
]


@pytest.mark.parametrize("contrast", [None, 1.0, 3.0])
@pytest.mark.parametrize("controls", CONTROLS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_expression(controls: tuple[str, ...], contrast: float | None, kind: type) -> None:
    """Over several frames, whatever has a form on the device and whatever has none."""
    grid = (48, 81)
    here, there = (Driver(RULES, controls, Context(Path())) for _ in range(2))
    for index in range(3):
        strengths = {"moss": 0.5} if index == 2 else None
        view = device_view(frame(index, kind), grid, index / 25)
        expected = here.weights(view.view, contrast, strengths)
        out, least = there.device_weights(view, contrast, strengths)
        assert out.dtype == torch.float32
        apart = np.abs(out.numpy() - expected)
        assert (apart > TOLERANCE).mean() <= FEW
        assert apart.max() < 0.02
        assert least == pytest.approx(expected.sum(0).min(), abs=0.01)
    assert there.notes() == here.notes()


def test_a_render_goes_on_in_either_form() -> None:
    """The memory that a checkpoint keeps is the same kind of thing."""
    here, there = (Driver(RULES, ("luminance,smooth=1",), Context(Path())) for _ in range(2))
    first, second = (device_view(frame(index), (48, 81), index / 25) for index in range(2))
    there.device_weights(first)
    here.load_state_dict(there.state_dict())
    expected = here.weights(second.view)
    np.testing.assert_allclose(there.device_weights(second)[0], expected, atol=0.02)


def test_light() -> None:
    view = device_view(frame(0), (48, 81), 0.0)
    light = Light()
    np.testing.assert_allclose(light.on_device(view), light(view.view), atol=1e-4)


def test_a_grid_too_small_for_tiles() -> None:
    view = device_view(frame(0, size=(20, 30)), (10, 15), 0.0)
    np.testing.assert_allclose(view.local, view.view.local, atol=2e-6)
