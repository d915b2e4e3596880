"""The composite: texture over source, led by light, in the source's own type."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_composite import composed

from ncavideo.composite.blend import Look
from ncavideo.composite.composite import Composite
from ncavideo.composite.shading import MOST_DETAIL, MOST_GAIN
from ncavideo.control.field import make_view
from ncavideo.util.pixels import LUMINANCE

GRID = (36, 64)
FRAME = (144, 256)
CUBIC = Look(upscale="cubic")


def random_texture(seed: int = 0, size: tuple[int, int] = GRID) -> np.ndarray:
    return np.random.default_rng(seed).random((*size, 3)).astype(np.float32)


def random_frame(kind: type = np.uint8, size: tuple[int, int] = FRAME) -> np.ndarray:
    most = np.iinfo(kind).max
    return np.random.default_rng(1).integers(0, most, (*size, 3), endpoint=True).astype(kind)


def compose(
    texture: np.ndarray,
    light: np.ndarray,
    source: np.ndarray,
    shade: float = 0.5,
    coverage: np.ndarray | None = None,
    cell: int = FRAME[0] // GRID[0],
    look: Look = CUBIC,
    detail: float = 0.0,
) -> np.ndarray:
    height, width = source.shape[:2]
    view = make_view(source, *light.shape, 0.0)
    return Composite((width, height), cell, 0.1, 0.8, look)(
        texture, light, coverage, view, source, shade, detail=detail
    )


def test_rows_may_be_padded() -> None:
    """As decoders hand out frames whose width is not a multiple of their vectors'."""
    texture, padded = random_texture(), random_frame(size=(FRAME[0], FRAME[1] + 5))
    source = padded[:, : FRAME[1]]
    assert not source.flags.c_contiguous
    np.testing.assert_array_equal(
        compose(texture, slope(), source), compose(texture, slope(), source.copy())
    )


@given(
    upscale=st.sampled_from(["cubic", "sharp", "auto"]),
    shade=st.sampled_from([0.0, 0.2, 0.5, 0.77, 1.0]),
    detail=st.sampled_from([0.0, 0.0, 0.4, 0.7, 1.0]),
    cell=st.integers(1, 7),
    grid=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    cut=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_the_kernel_is_its_plain_definition(
    upscale: str,
    shade: float,
    detail: float,
    cell: int,
    grid: tuple[int, int],
    cut: tuple[int, int],
    kind: type,
    seed: int,
) -> None:
    """At most one of 255 levels apart, and that in hardly any place; the last cells may be cut."""
    height, width = (n * cell - min(c, cell - 1) for n, c in zip(grid, cut, strict=True))
    source = random_frame(kind, (height, width))
    texture = random_texture(seed, grid)
    light = random_texture(seed + 1, grid)[..., 0].copy()
    look = Look(upscale=upscale)
    out = compose(texture, light, source, shade, cell=cell, look=look, detail=detail)
    out = out.astype(np.int64)
    luma = make_view(source, *grid, 0.0).luma
    ends = (0.1, 0.8)
    expected = composed(
        texture, light, luma, source, cell, shade, upscale, ends, detail=detail
    ).astype(np.int64)
    level = 1 if kind is np.uint8 else 257
    assert np.abs(out - expected).max() <= level
    # In 8 bits a difference is one of rounding; in 16 OpenCV's tables for Lanczos show.
    assert (np.abs(out - expected) > level / 8).mean() < 0.02


@pytest.mark.parametrize("shade", [0.0, 0.5])
def test_a_matte_or_a_blend_shows_the_same_texture(shade: float) -> None:
    texture, source = random_texture(), random_frame()
    whole = compose(texture, slope(), source, shade)
    matte = compose(texture, slope(), source, shade, look=Look(upscale="cubic", matte=True))
    assert np.array_equal(matte[..., :3], whole)
    assert (matte[..., 3] == 255).all()


def slope(size: tuple[int, int] = GRID) -> np.ndarray:
    return np.broadcast_to(np.linspace(0, 1, size[1], dtype=np.float32), size).copy()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_without_shading_it_is_the_enlarged_texture(kind: type) -> None:
    texture, source = random_texture(), random_frame(kind)
    out = compose(texture, slope(), source, shade=0)
    assert out.dtype == kind
    assert out.shape == source.shape
    most = np.iinfo(kind).max
    expected = np.clip(cv2.resize(texture, FRAME[::-1], interpolation=cv2.INTER_CUBIC), 0, 1) * most
    assert np.abs(out.astype(float) - expected).max() <= 0.51


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shade", [0, 0.5, 1])
def test_no_coverage_is_the_source_exactly(kind: type, shade: float) -> None:
    source = random_frame(kind)
    source[0, :2] = 0
    source[1, :2] = np.iinfo(kind).max
    out = compose(random_texture(), slope(), source, shade, np.zeros(GRID, np.float32))
    assert out.dtype == kind
    assert np.array_equal(out, source)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_full_coverage_is_no_coverage_map_at_all(kind: type) -> None:
    texture, source = random_texture(), random_frame(kind)
    whole = compose(texture, slope(), source, 0.5, None)
    covered = compose(texture, slope(), source, 0.5, np.ones(GRID, np.float32))
    assert np.abs(whole.astype(int) - covered.astype(int)).max() <= 1


def test_half_coverage_is_halfway_in_linear_light() -> None:
    texture = np.full((*GRID, 3), 0.8, np.float32)
    source = np.full((*FRAME, 3), 50, np.uint8)
    out = compose(texture, slope(), source, 0, np.full(GRID, 0.5, np.float32))
    # sRGB: 0.8 and 50 / 255 are 0.60383 and 0.03190 in linear light; their mean encodes to 0.6018.
    np.testing.assert_allclose(out, 0.6018 * 255, atol=0.6)


def test_coverage_follows_its_map() -> None:
    source = np.zeros((*FRAME, 3), np.uint8)
    coverage = np.zeros(GRID, np.float32)
    coverage[:, 32:] = 1
    out = compose(np.ones((*GRID, 3), np.float32), slope(), source, 0, coverage)
    assert not out[:, :124].any()
    assert (out[:, 132:] == 255).all()


def test_uint16_keeps_more_than_8_bits() -> None:
    texture = np.full((*GRID, 3), 0.5, np.float32) + 0.001 * slope()[..., None]
    out = compose(texture.astype(np.float32), slope(), random_frame(np.uint16), 0)
    assert len(np.unique(out)) > 40
    assert abs(int(out.mean()) - 32800) < 60


def test_white_and_black_reach_the_ends() -> None:
    for kind in (np.uint8, np.uint16):
        source = random_frame(kind)
        most = np.iinfo(kind).max
        assert (compose(np.ones((*GRID, 3), np.float32), slope(), source, 0) == most).all()
        assert not compose(np.zeros((*GRID, 3), np.float32), slope(), source, 0).any()


def blurred(rgb: np.ndarray) -> np.ndarray:
    luma = rgb.astype(np.float32) @ LUMINANCE
    return cv2.resize(cv2.GaussianBlur(luma, (0, 0), 6), GRID[::-1], interpolation=cv2.INTER_AREA)


def test_shading_leads_brightness_to_the_light() -> None:
    y, x = np.mgrid[0 : FRAME[0], 0 : FRAME[1]] / FRAME[0]
    luma = 0.5 + 0.4 * np.sin(3 * x + 2) * np.cos(4 * y)
    source = np.repeat((luma * 255).astype(np.uint8)[..., None], 3, 2)
    light = make_view(source, *GRID, 0.0).luma
    texture = cv2.GaussianBlur(random_texture(3), (0, 0), 1.5)

    def agreement(shade: float) -> float:
        out = blurred(compose(texture, light, source, shade))
        return float(np.corrcoef(out.ravel(), light.ravel())[0, 1])

    none, half, full = (agreement(shade) for shade in (0, 0.5, 1))
    assert abs(none) < 0.4
    assert half > 0.8
    assert full > 0.95
    # Fully shaded, brightness is not just in step with the light but at the asked level.
    out = blurred(compose(texture, light, source, 1)) / 255
    assert np.abs(out - (0.1 + 0.7 * light)).mean() < 0.08


@pytest.mark.parametrize("shade", [0.0, 0.5])
def test_detail_shows_letters_in_a_texture(shade: float) -> None:
    source = np.full((*FRAME, 3), 110, np.uint8)
    cv2.putText(source, "NCA", (8, FRAME[0] - 20), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (200,) * 3, 5)
    texture = cv2.GaussianBlur(random_texture(3), (0, 0), 0.7)

    def readable(detail: float) -> float:
        out = compose(texture, np.full(GRID, 0.5, np.float32), source, shade, detail=detail)
        shown, wanted = (
            cv2.GaussianBlur(luma, (0, 0), 3) - cv2.GaussianBlur(luma, (0, 0), 12)
            for luma in (frame.astype(np.float32) @ LUMINANCE for frame in (out, source))
        )
        return float(np.corrcoef(shown.ravel(), wanted.ravel())[0, 1])

    none, half, full = (readable(detail) for detail in (0, 0.5, 1))
    assert none + 0.1 < half
    assert half + 0.1 < full


def test_detail_leaves_the_texture_alone_where_the_source_has_none() -> None:
    source, light = np.full((*FRAME, 3), 90, np.uint8), np.full(GRID, 0.5, np.float32)
    plain, led = (compose(random_texture(), light, source, 0.5, detail=d) for d in (0.0, 1.0))
    assert np.abs(plain.astype(int) - led).max() <= 1


def test_shading_keeps_the_hue_of_midtones() -> None:
    texture = np.broadcast_to(np.array([0.4, 0.2, 0.1], np.float32), (*GRID, 3)).copy()
    light = np.full(GRID, 0.3, np.float32)
    source = np.full((*FRAME, 3), 90, np.uint8)
    out = compose(texture, light, source, 1).astype(float)
    np.testing.assert_allclose(out[..., 0] / out[..., 1], 2, rtol=0.05)
    np.testing.assert_allclose(out[..., 0] / out[..., 2], 4, rtol=0.1)


def test_lines_finer_than_a_cell_stay_readable() -> None:
    """Type thinner than a cell survives: dark strokes stay darker than what is around them."""
    source = np.full((*FRAME, 3), 220, np.uint8)
    source[70] = 10
    light = make_view(source, *GRID, 0.0).luma
    texture = np.full((*GRID, 3), 0.5, np.float32)
    out = compose(texture, light, source, 0.5).astype(float).mean((1, 2))
    assert out[70] < 0.85 * min(out[66], out[74])


def test_black_white_and_flat_frames_are_finite() -> None:
    with np.errstate(all="raise"):
        for value in (0, 255):
            source = np.full((*FRAME, 3), value, np.uint8)
            for tone in (0.0, 1.0):
                texture = np.full((*GRID, 3), tone, np.float32)
                light = np.full(GRID, value / 255, np.float32)
                out = compose(texture, light, source, 1)
                assert out.dtype == np.uint8
                # The bounds on gain hold: black stays black.
                assert tone > 0 or not out.any()


@given(
    shade=st.floats(0, 1),
    seed=st.integers(0, 1000),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    cell=st.integers(1, 9),
    kind=st.sampled_from([np.uint8, np.uint16]),
)
@settings(max_examples=60)
def test_any_size_any_shade(
    shade: float, seed: int, height: int, width: int, cell: int, kind: type
) -> None:
    grid = (-(-height // cell), -(-width // cell))
    source = random_frame(kind, (height, width))
    texture = random_texture(seed, grid)
    kept = texture.copy()
    light = np.random.default_rng(seed).random(grid).astype(np.float32)
    out = compose(texture, light, source, shade, cell=cell)
    assert out.shape == source.shape
    assert out.dtype == kind
    # A caller's arrays are its own.
    assert np.array_equal(texture, kept)
    most = np.iinfo(kind).max
    gain = (MOST_GAIN * MOST_DETAIL) ** shade
    assert out.max() <= min(1.0, gain * 1.3) * most
