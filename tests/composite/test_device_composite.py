"""The composite's passes on a device, run by torch on the processor, beside the ordinary ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_composite import composed

from ncavideo.composite import device_decode
from ncavideo.composite.blend import BLENDS, Look
from ncavideo.composite.composite import Composite
from ncavideo.composite.device_composite import DeviceComposite
from ncavideo.control.field import make_view
from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.nca.model import Edge
from ncavideo.util.device_filters import gaussian_blur, resized

FEW = 1e-3  # share of the samples that may be more than a level of 255 apart


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def on_device(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.view(np.int16) if array.dtype == np.uint16 else array)


def from_device(frame: torch.Tensor) -> np.ndarray:
    array = frame.numpy()
    return array.view(np.uint16) if array.dtype == np.int16 else array


def pictures(
    kind: type, grid: tuple[int, int], cell: int, cut: tuple[int, int], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a texture, a light and a source frame, whose last cells are cut off."""
    rng = np.random.default_rng(seed)
    texture = rng.random((*grid, 3)).astype(np.float32)
    light = rng.random(grid).astype(np.float32)
    height, width = (n * cell - min(c, cell - 1) for n, c in zip(grid, cut, strict=True))
    source = rng.integers(0, np.iinfo(kind).max, (height, width, 3), endpoint=True).astype(kind)
    return texture, light, source


def both(
    look: Look,
    cell: int,
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    shade: float,
    coverage: np.ndarray | None = None,
    opacity: float | np.ndarray = 1.0,
    detail: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    texture, light, source = parts
    plan = Composite(source.shape[1::-1], cell, 0.1, 0.8, look)
    view = make_view(source, *light.shape, 0.0)
    expected = plan(texture, light, coverage, view, source, shade, opacity, detail)
    out = DeviceComposite(plan)(
        on_device(texture),
        on_device(light),
        None if coverage is None else on_device(coverage),
        on_device(view.luma),
        on_device(source),
        shade,
        on_device(opacity) if isinstance(opacity, np.ndarray) else opacity,
        detail,
    )
    return from_device(out), expected


def check_same_picture(out: np.ndarray, expected: np.ndarray) -> None:
    assert out.dtype == expected.dtype
    assert out.shape == expected.shape
    level = 1 if out.dtype == np.uint8 else 257
    apart = np.abs(out.astype(np.int64) - expected.astype(np.int64))
    assert (apart > level).mean() <= FEW
    assert (apart > 0).mean() < (0.02 if level == 1 else 0.9)
    assert np.median(apart) <= level / 257


@given(
    upscale=st.sampled_from(["cubic", "sharp", "auto"]),
    shade=st.sampled_from([0.0, 0.2, 0.5, 0.77, 1.0]),
    detail=st.sampled_from([0.0, 0.0, 0.4, 0.7, 1.0]),
    cell=st.sampled_from([1, 2, 3, 4, 6]),
    grid=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    cut=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_plain_picture(
    upscale: str,
    shade: float,
    detail: float,
    cell: int,
    grid: tuple[int, int],
    cut: tuple[int, int],
    kind: type,
    seed: int,
) -> None:
    """At most a level of 255 from the plain definition and from the kernel, cells cut or not."""
    parts = pictures(kind, grid, cell, cut, seed)
    texture, light, source = parts
    out, kernel = both(Look(upscale=upscale), cell, parts, shade, detail=detail)
    luma = make_view(source, *grid, 0.0).luma
    ends = 0.1, 0.8
    plain = composed(texture, light, luma, source, cell, shade, upscale, ends, detail=detail)
    level = 1 if kind is np.uint8 else 257
    for expected in (kernel, plain):
        assert np.abs(out.astype(np.int64) - expected.astype(np.int64)).max() <= level


@given(
    shade=st.sampled_from([0.0, 0.5]),
    cell=st.integers(1, 6),
    grid=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    cut=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    edge=st.sampled_from(["wrap", "reflect"]),
    band=st.integers(1, 500),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_a_decoder_draws_the_same(
    make_decoder: Callable[..., DecoderWeights],
    shade: float,
    cell: int,
    grid: tuple[int, int],
    cut: tuple[int, int],
    edge: Edge,
    band: int,
    seed: int,
) -> None:
    """In whatever bands it is drawn, and whatever is cut off."""
    _, light, source = pictures(np.uint8, grid, cell, cut, seed)
    weights = make_decoder(seed, channels=5, hidden=7)
    state = np.random.default_rng(seed).normal(size=(*grid, 5)).astype(np.float32) / 3
    plan = Composite(source.shape[1::-1], cell, 0.1, 0.8, Look(), weights, edge)
    view = make_view(source, *grid, 0.0)
    expected = plan(state, light, None, view, source, shade)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_decode, "BAND", band)
        out = DeviceComposite(plan)(
            on_device(state), on_device(light), None, on_device(view.luma), on_device(source), shade
        )
    apart = np.abs(from_device(out).astype(np.int64) - expected.astype(np.int64))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.05 or apart.size < 200


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("keep", ["none", "luminance", "chroma"])
@pytest.mark.parametrize("blend", list(BLENDS))
def test_every_blend(kind: type, keep: str, blend: str) -> None:
    parts = pictures(kind, (20, 31), 3, (1, 2))
    check_same_picture(*both(Look(blend, keep), 3, parts, 0.5))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("matte", [True, False])
@pytest.mark.parametrize("opacity", [0.0, 0.3, 1.0, "field"])
@pytest.mark.parametrize("covered", [True, False])
@pytest.mark.parametrize("cell", [1, 4])
def test_every_opacity(
    kind: type, matte: bool, opacity: float | str, covered: bool, cell: int
) -> None:
    parts = pictures(kind, (16, 23), cell, (1, 3))
    rng = np.random.default_rng(5)
    field = rng.random((16, 23)).astype(np.float32)
    look = Look("screen" if covered else "normal", matte=matte)
    given_opacity = field if isinstance(opacity, str) else opacity
    coverage = rng.random((16, 23)).astype(np.float32) if covered else None
    check_same_picture(*both(look, cell, parts, 0.3, coverage, given_opacity))


def test_it_is_the_same_again() -> None:
    parts = pictures(np.uint8, (20, 31), 3, (1, 2))
    first, again = (both(Look(), 3, parts, 0.5)[0] for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("deviation", [0.6, 1.5, 8.0])
@pytest.mark.parametrize("shape", [(3, 5), (40, 61)])
@pytest.mark.parametrize("border", [cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE])
def test_the_blur_is_opencvs(deviation: float, shape: tuple[int, int], border: int) -> None:
    picture = np.random.default_rng(2).random(shape).astype(np.float32)
    expected = cv2.GaussianBlur(picture, (0, 0), deviation, borderType=border)
    out = gaussian_blur(torch.from_numpy(picture), deviation, border).numpy()
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(61, 40), (122, 79), (183, 121), (30, 90)])
def test_linear_resizing_is_opencvs(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(3).random((40, 61)).astype(np.float32)
    expected = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resized(torch.from_numpy(picture), size), expected, atol=2e-6)
