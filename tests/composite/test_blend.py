"""Blend modes, what is kept of the source, and mixing in linear light."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ncavideo.composite.blend import BLENDS, Look, blended, mix
from ncavideo.composite.composite import Composite
from ncavideo.control.field import make_view
from ncavideo.util.pixels import LUMINANCE, to_linear, to_srgb

SHARE = st.floats(0, 1, width=32)
PICTURES = hnp.arrays(np.float32, (4, 5, 3), elements=SHARE)


def one(rgb: tuple[float, float, float]) -> np.ndarray:
    return np.array([[rgb]], np.float32)


# Worked out by hand from the formulas of W3C's "Compositing and Blending Level 1".
KNOWN = {
    "normal": (0.8, 0.25, 0.5),
    "multiply": (0.16, 0.125, 0.45),
    "screen": (0.84, 0.625, 0.95),
    "overlay": (0.32, 0.25, 0.9),
    # D(0.2) = ((16 * 0.2 - 12) * 0.2 + 4) * 0.2 = 0.448, so 0.2 + 0.6 * 0.248; then
    # 0.5 - 0.5 * 0.25; in the middle nothing changes.
    "soft-light": (0.3488, 0.375, 0.9),
}


@pytest.mark.parametrize("mode", KNOWN)
def test_known_answers(mode: str) -> None:
    out = BLENDS[mode](one((0.2, 0.5, 0.9)), one((0.8, 0.25, 0.5)))
    np.testing.assert_allclose(out, one(KNOWN[mode]), atol=1e-6)


def test_luminosity_keeps_the_hue_and_takes_the_light() -> None:
    # Lum(Cb) = 0.3 * 0.2 + 0.59 * 0.4 + 0.11 * 0.6 = 0.362, Lum(Cs) = 0.5: all move by 0.138.
    out = BLENDS["luminosity"](one((0.2, 0.4, 0.6)), one((0.5, 0.5, 0.5)))
    np.testing.assert_allclose(out, one((0.338, 0.538, 0.738)), atol=1e-6)


@given(under=PICTURES, over=PICTURES)
@settings(max_examples=60)
def test_multiply_darkens_and_screen_brightens(under: np.ndarray, over: np.ndarray) -> None:
    assert (BLENDS["multiply"](under, over) <= np.minimum(under, over) + 1e-6).all()
    assert (BLENDS["screen"](under, over) >= np.maximum(under, over) - 1e-6).all()


@given(under=PICTURES, over=PICTURES, mode=st.sampled_from(sorted(BLENDS)),
       keep=st.sampled_from(["none", "luminance", "chroma"]))  # fmt: skip
@settings(max_examples=100)
def test_pictures_stay_in_range(under: np.ndarray, over: np.ndarray, mode: str, keep: str) -> None:
    out = blended(Look(mode, keep), under, over)
    assert out.dtype == np.float32
    assert out.min() >= -1e-4
    assert out.max() <= 1 + 1e-4


@given(under=PICTURES, over=PICTURES)
@settings(max_examples=60)
def test_what_is_kept_is_kept(under: np.ndarray, over: np.ndarray) -> None:
    kept = blended(Look(keep="luminance"), under, over)
    np.testing.assert_allclose(kept @ LUMINANCE, under @ LUMINANCE, atol=1 / 255)
    lit = blended(Look(keep="chroma"), under, over)
    np.testing.assert_allclose(lit @ LUMINANCE, over @ LUMINANCE, atol=1 / 255)


@pytest.mark.parametrize("white", [255, 65535])
def test_black_and_white_meet_at_188(white: int) -> None:
    half = mix(one((0, 0, 0)), one((1, 1, 1)), np.full((1, 1), 0.5, np.float32), white)
    assert round(float(half[0, 0, 0]) * 255) == 188


@given(under=PICTURES, over=PICTURES, white=st.sampled_from([255.0, 65535.0]))
@settings(max_examples=60)
def test_the_ends_of_a_mix_are_exact(under: np.ndarray, over: np.ndarray, white: float) -> None:
    under, over = (np.round(p * white) / np.float32(white) for p in (under, over))
    for alpha, expected in ((0.0, under), (1.0, over)):
        out = mix(under, over, np.full(under.shape[:2], alpha, np.float32), white)
        np.testing.assert_array_equal(np.round(out * white), np.round(expected * white))


@given(values=hnp.arrays(np.float32, (20,), elements=SHARE))
def test_linear_light_and_back(values: np.ndarray) -> None:
    np.testing.assert_allclose(to_srgb(to_linear(values)), values, atol=2e-6)


def test_every_8_bit_level_survives_the_tables() -> None:
    levels = np.repeat(np.arange(256, dtype=np.float32)[None, :, None] / 255, 3, 2)
    for alpha in (0.0, 0.3, 1.0):
        out = mix(levels, levels, np.full((1, 256), alpha, np.float32), 255)
        np.testing.assert_array_equal(np.round(out * 255), np.round(levels * 255))


# In the composite


def composed(
    look: Look, opacity: float | np.ndarray, kind: type = np.uint8
) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(2)
    source = rng.integers(0, np.iinfo(kind).max, (48, 64, 3), endpoint=True).astype(kind)
    texture = rng.random((24, 32, 3)).astype(np.float32)
    light = np.full((24, 32), 0.5, np.float32)
    view = make_view(source, 24, 32, 0)
    composite = Composite((64, 48), 2, 0.1, 0.8, look)
    return source, composite(texture, light, None, view, source, 0, opacity)


@pytest.mark.parametrize("mode", BLENDS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_no_opacity_is_the_source(mode: str, kind: type) -> None:
    source, out = composed(Look(mode), 0.0, kind)
    np.testing.assert_array_equal(out, source)


def test_a_composite_is_mixed_in_linear_light() -> None:
    source = np.zeros((48, 64, 3), np.uint8)
    texture, light = np.ones((24, 32, 3), np.float32), np.full((24, 32), 0.5, np.float32)
    composite = Composite((64, 48), 2, 0.1, 0.8, Look())
    out = composite(texture, light, None, make_view(source, 24, 32, 0), source, 0, 0.5)
    np.testing.assert_array_equal(out, 188)


def test_opacity_may_be_a_map() -> None:
    opacity = np.zeros((24, 32), np.float32)
    opacity[:, :16] = 1
    source, out = composed(Look(), opacity)
    whole = composed(Look(), 1.0)[1]
    np.testing.assert_array_equal(out[:, 36:], source[:, 36:])
    assert np.abs(out[:, :28].astype(int) - whole[:, :28]).max() <= 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_matte_has_the_texture_and_its_alpha(kind: type) -> None:
    _, matte = composed(Look(matte=True), 0.25, kind)
    _, whole = composed(Look(), 1.0, kind)
    assert matte.shape[2] == 4
    np.testing.assert_array_equal(matte[..., :3], whole)
    assert np.abs(matte[..., 3] / np.iinfo(kind).max - 0.25).max() < 1 / 255
