"""Fields of hue and colour, with known answers."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from field_frames import HEIGHT, WIDTH, disc, frame_view, inside_and_outside, make
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.control.colour import oklab
from ncavideo.control.field import View


def colour_wheel() -> tuple[np.ndarray, np.ndarray]:
    """Return a disc of all hues at full saturation on grey, and each cell's hue in degrees."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    hue = np.degrees(np.arctan2(rows - HEIGHT / 2, columns - WIDTH / 2)) % 360
    wheel = np.full((HEIGHT, WIDTH, 3), 0.5)
    for y, x in np.argwhere(disc(WIDTH / 2, HEIGHT / 2, 22)):
        wheel[y, x] = colorsys.hsv_to_rgb(hue[y, x] / 360, 1, 1)
    return wheel, hue


@pytest.mark.parametrize(("begin", "end"), [(90, 150), (330, 30), (0, 120), (200, 201), (0, 360)])
def test_hue_on_a_colour_wheel(begin: float, end: float) -> None:
    wheel, hue = colour_wheel()
    found = make(f"hue:{begin:g}-{end:g}").values(frame_view(wheel))
    on_wheel = disc(WIDTH / 2, HEIGHT / 2, 22)
    width = 360 if end - begin == 360 else (end - begin) % 360
    beyond = (hue - begin) % 360
    inside = on_wheel & (beyond <= width)
    away = np.minimum(beyond - width, 360 - beyond)
    outside = on_wheel & (beyond > width) & (away > 16)
    assert found[inside].min() > 0.97
    assert found[outside].max(initial=0) == 0
    assert found[~disc(WIDTH / 2, HEIGHT / 2, 23)].max() == 0  # grey has no hue


@pytest.mark.parametrize(
    ("text", "centre", "width"),
    [("120/40", 120, 40), ("0/60", 0, 60), ("350", 350, 40), ("360/180", 0, 180)],
)
def test_hue_falls_from_a_centre_to_its_width(text: str, centre: float, width: float) -> None:
    wheel, hue = colour_wheel()
    found = make(f"hue:{text}").values(frame_view(wheel))
    away = np.abs((hue - centre + 180) % 360 - 180)
    wanted = np.where(away < width, (1 + np.cos(np.pi * away / width)) / 2, 0)
    on_wheel = disc(WIDTH / 2, HEIGHT / 2, 22)
    np.testing.assert_allclose(found[on_wheel], wanted[on_wheel], atol=0.02)
    assert found[~disc(WIDTH / 2, HEIGHT / 2, 23)].max() == 0  # grey has no hue


def test_a_pale_colour_has_half_a_hue() -> None:
    green = np.full((HEIGHT, WIDTH, 3), (0.5, 0.62, 0.5))  # chroma 0.12, between 0.06 and 0.18
    assert make("hue:120").values(frame_view(green)).mean() == pytest.approx(0.5, abs=0.03)


@given(begin=st.floats(0, 360), end=st.floats(0, 360), turn=st.sampled_from([0, 30, 90, 180]))
@settings(max_examples=30)
def test_hue_has_no_beginning(begin: float, end: float, turn: float) -> None:
    hues = np.arange(0, 360, 30.0)

    def found(shift: float) -> np.ndarray:
        row = [colorsys.hsv_to_rgb(((h + shift) % 360) / 360, 1, 1) for h in hues]
        view = View(np.zeros((1, 12, 3)), np.zeros((1, 12), np.float32), 0.0)
        view.__dict__["rgb"] = np.array([row], np.float32)
        first, last = (round((edge + shift) % 360, 3) for edge in (begin, end))
        return make(f"hue:{first}-{last}").values(view)

    if round(abs(begin - end), 3) % 360 > 0.01:
        np.testing.assert_allclose(found(0), found(turn), atol=2e-3)


def test_saturation() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 0.02)
    picture[:, :20] = (0.9, 0.1, 0.1)
    picture[:, 20:40] = 0.7
    found = make("saturation").values(frame_view(picture))
    assert found[:, :19].min() > 0.78
    assert found[:, 21:].max() < 0.01
    band = make("saturation:0.5-1").values(frame_view(picture))
    assert band[:, :19].min() == 1
    assert band[:, 21:].max() == 0


def test_likeness_to_a_colour() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), (0.1, 0.2, 0.8))
    orange = disc(20, 20)
    picture[orange] = (1, 165 / 255, 0)
    for name in ("orange", "#ffa500", "orange/0.15"):
        least, most = inside_and_outside(make(f"colour:{name}").values(frame_view(picture)), orange)
        assert least > 0.99
        assert most < 0.1


def test_oklab() -> None:
    """The values in Ottosson's article's conversion of white, black and red."""
    found = oklab(np.array([(1, 1, 1), (0, 0, 0), (1, 0, 0)], np.float32))
    expected = [(1, 0, 0), (0, 0, 0), (0.62796, 0.22486, 0.12585)]
    np.testing.assert_allclose(found, expected, atol=2e-4)
