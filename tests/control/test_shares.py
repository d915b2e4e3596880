"""Which rule gets what share of a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driven_views import HEIGHT, WIDTH, driver, view
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ncavideo.nca.inputs import LEAST_STRENGTH, alive
from ncavideo.util.errors import UserError


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """`left.png` and `top.png`: white there, black elsewhere; `grey.png`; `black.png`."""
    left, top = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    left[:, : WIDTH // 2] = 255
    top[: HEIGHT // 2] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    Image.fromarray(top).save(tmp_path / "top.png")
    Image.new("L", (8, 8), 128).save(tmp_path / "grey.png")
    Image.new("L", (8, 8), 0).save(tmp_path / "black.png")
    return tmp_path


def test_a_rule_of_its_own_and_the_rest(masks: Path) -> None:
    weights = driver(f"moss=mask:{masks}/left.png", rules=("fire", "moss")).weights(view())
    assert (weights[1][:, : WIDTH // 2] == 1).all()
    assert (weights[0][:, WIDTH // 2 :] == 1).all()
    np.testing.assert_array_equal(weights.sum(0), 1)


def test_rules_left_over_share_the_rest_by_luminance(masks: Path) -> None:
    bright = np.zeros((HEIGHT, WIDTH), np.float32)
    bright[24:] = 1
    fire, moss, water = driver(f"fire=mask:{masks}/left.png").weights(view(bright))
    assert fire[:, :32].min() == 1
    assert moss[30:, 32:].min() > 0.9
    assert water[:18, 32:].min() > 0.9
    np.testing.assert_allclose(fire + moss + water, 1, atol=1e-6)


def test_rules_left_over_may_stay_off(masks: Path) -> None:
    weights = driver(f"fire=mask:{masks}/left.png", "off").weights(view())
    assert weights[1:].max() == 0
    assert weights[0][:, 32:].max() == 0


def test_two_that_want_one_place_share_it(masks: Path) -> None:
    both = driver(f"fire=mask:{masks}/left.png", f"moss=mask:{masks}/top.png", "off")
    fire, moss, _ = both.weights(view())
    assert (fire[:24, :32] == 0.5).all()
    assert (moss[:24, :32] == 0.5).all()
    assert (fire[24:, :32] == 1).all()
    assert (moss[:24, 32:] == 1).all()
    assert any("same places (25%" in note for note in both.notes())


def test_what_is_nowhere_is_told(masks: Path) -> None:
    nowhere = driver(f"fire=mask:{masks}/black.png", "moss=motion")
    for index in range(3):
        nowhere.weights(view(time=index / 25))
    notes = " ".join(nowhere.notes())
    assert "black throughout" in notes
    assert "fire is nowhere to be seen" in notes
    assert "moss is nowhere to be seen: its control motion" in notes
    assert "water is" not in notes


def test_a_label_map_is_shared_out(tmp_path: Path) -> None:
    numbers = np.arange(WIDTH, dtype=np.uint8)[None].repeat(HEIGHT, 0) // 16
    Image.fromarray(numbers).save(tmp_path / "map.png")
    weights = driver(f"labels:{tmp_path}/map.png").weights(view())
    for rule in range(3):
        expected = np.zeros(WIDTH)
        expected[16 * (rule + 1) : 16 * (rule + 2)] = 1
        np.testing.assert_array_equal(weights[rule], np.broadcast_to(expected, (HEIGHT, WIDTH)))


def test_any_field_may_be_shared_out(masks: Path) -> None:
    weights = driver(f"mask:{masks}/grey.png,invert", rules=("fire", "moss")).weights(view())
    np.testing.assert_allclose(weights[0], 127 / 255, atol=2e-3)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)


def test_strengths_scale_rules() -> None:
    weights = driver("luminance").weights(view(), None, {"fire": 0.0, "moss": 0.5})
    whole = driver("luminance").weights(view())
    assert weights[0].max() == 0
    np.testing.assert_allclose(weights[1], whole[1] / 2)
    np.testing.assert_allclose(weights[2], whole[2])


@pytest.mark.parametrize(
    ("controls", "match"),
    [
        (["luminance", "motion"], "both"),
        (["stone=motion"], "not in --rules"),
        (["fire=motion", "fire=edges"], "two controls"),
        (["fire=motion", "moss=edges", "water=hue:0-9", "luminance"], "nothing is left"),
        (["off"], "every rule off"),
        (["labels:map.png:2"], "one label"),
    ],
)
def test_controls_that_contradict_each_other(controls: list[str], match: str) -> None:
    with pytest.raises(UserError, match=match):
        driver(*controls)


@given(total=st.floats(0, 1, width=32), share=st.floats(0, 1, width=32))
@settings(max_examples=50)
def test_what_is_not_seen_lives_on(total: float, share: float) -> None:
    weights = np.empty((2, 5, 6), np.float32)
    weights[0], weights[1] = total * share, total * (1 - share)
    living = alive(weights)
    expected = LEAST_STRENGTH + (1 - LEAST_STRENGTH) * total if total < 1 - 1e-4 else total
    np.testing.assert_allclose(living.sum(0), expected, atol=1e-4)
    assert (living >= weights - 1e-6).all()
    if total > 0.1:
        np.testing.assert_allclose(living[0] / living.sum(0), share, atol=0.02)


def test_an_empty_place_keeps_what_is_near() -> None:
    weights = np.zeros((2, 20, 60), np.float32)
    weights[0, :, :25] = 1
    weights[1, :, 35:] = 1
    living = alive(weights)
    assert (living[0, :, 25:29] > living[1, :, 25:29]).all()
    assert (living[1, :, 31:35] > living[0, :, 31:35]).all()
