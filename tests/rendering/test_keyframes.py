"""Keyframes, and how many steps each frame gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.rendering.keyframes import Curve, parse_keyframes
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.step_schedule import StepSchedule
from ncavideo.util.errors import UserError

TIMES = st.lists(st.floats(-10, 10, width=16), min_size=1, max_size=6, unique=True).map(sorted)
NUMBER = st.floats(0, 100, width=16)
RULES = ("fire", "moss")


@given(times=TIMES, data=st.data())
@settings(max_examples=80)
def test_a_curve_goes_through_its_keyframes(times: list[float], data: st.DataObject) -> None:
    values = data.draw(st.lists(NUMBER, min_size=len(times), max_size=len(times)))
    curve = Curve(tuple(times), tuple(values))
    for time, value in zip(times, values, strict=True):
        assert curve.at(time) == pytest.approx(value)
    assert curve.at(times[0] - 1) == values[0]
    assert curve.at(times[-1] + 1) == values[-1]
    for time in np.linspace(-11, 11, 23):
        assert curve.at(time) == pytest.approx(np.interp(time, times, values), abs=1e-6)


@given(times=TIMES, data=st.data(), begin=st.floats(-12, 12), length=st.floats(0, 20))
@settings(max_examples=60)
def test_areas_add_up(times: list[float], data: st.DataObject, begin: float, length: float) -> None:
    values = data.draw(st.lists(NUMBER, min_size=len(times), max_size=len(times)))
    curve = Curve(tuple(times), tuple(values))
    middle, end = begin + length / 3, begin + length
    whole = curve.integral(begin, middle) + curve.integral(middle, end)
    assert curve.integral(begin, end) == pytest.approx(whole, abs=1e-6)


def test_keys_are_parsed() -> None:
    curves = parse_keyframes(["opacity@0=0, 5=1", "fire@-1=0.5"])
    assert curves["opacity"].at(2.5) == pytest.approx(0.5)
    assert curves["fire"].at(9) == 0.5


@pytest.mark.parametrize(
    "text", ["", "opacity", "opacity@", "@0=1", "opacity@0", "opacity@a=1", "opacity@1=0,0=1",
             "opacity@0=nan", "opacity@0=1,0=2", "opacity@0=inf"],
)  # fmt: skip
def test_keys_that_cannot_be(text: str) -> None:
    with pytest.raises(UserError, match="--keyframes"):
        parse_keyframes([text])


@pytest.mark.parametrize(
    "keys", [("cell@0=2",), ("opacity@0=2",), ("shade@0=-1",), ("water@0=1",),
             ("light@0=1", "light@0=0"), ("steps@0=1", "steps_per_second@0=1")],
)  # fmt: skip
def test_options_that_cannot_have_keys(keys: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="key"):
        RenderOptions(RULES, keyframes=keys)


def test_options_over_time() -> None:
    options = RenderOptions(RULES, keyframes=("shade@0=0,2=1", "moss@1=0,2=1"), shade=0.3)
    assert options.at("shade", 1) == 0.5
    assert options.at("light", 1) == 1.0
    assert options.strengths(1.5) == {"moss": 0.5}


def counts(options: RenderOptions, fps: float, seconds: float) -> list[int]:
    pace = StepSchedule(options)
    return [pace(index / fps, 1 / fps) for index in range(round(seconds * fps))]


@pytest.mark.parametrize("fps", [1.0, 23.976, 25.0, 60.0, 240.0])
@pytest.mark.parametrize("tempo", [0.0, 10.0, 100.0, 333.3])
def test_a_tempo_does_not_depend_on_the_frame_rate(fps: float, tempo: float) -> None:
    steps = counts(RenderOptions(RULES, steps_per_second=tempo), fps, 10)
    assert abs(sum(steps) - 10 * tempo) <= 1 + tempo / fps
    assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    "both",
    [{"steps": 4, "steps_per_second": 90.0},
     {"steps": 4, "keyframes": ("steps_per_second@0=1,2=9",)},
     {"keyframes": ("steps@0=1,2=9",), "steps_per_second": 90.0}],
)  # fmt: skip
def test_steps_a_frame_and_a_second_at_once_are_refused(both: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="--steps or --steps-per-second"):
        RenderOptions(RULES, **both)


def test_steps_a_frame() -> None:
    assert set(counts(RenderOptions(RULES), 25, 1)) == {8}
    assert set(counts(RenderOptions(RULES, flow=True), 25, 1)) == {4}
    assert set(counts(RenderOptions(RULES, flow=True, steps=3), 25, 1)) == {3}
    halves = counts(RenderOptions(RULES, keyframes=("steps@0=0.5",)), 25, 1)
    assert sum(halves) == 12
    assert set(halves) == {0, 1}


def test_a_tempo_may_change() -> None:
    steps = counts(RenderOptions(RULES, keyframes=("steps_per_second@0=0,10=200",)), 25, 10)
    assert sum(steps) == pytest.approx(1000, abs=10)
    assert sum(steps[:125]) == pytest.approx(250, abs=6)


def test_detail_goes_with_the_shading_unless_it_is_asked_for() -> None:
    moving = RenderOptions(("fire",), keyframes=("shade@0=0,10=1",))
    assert [moving.at("detail", time) for time in (0, 2, 4, 10)] == [0, 0.2, 0.4, 0.4]
    fixed = RenderOptions(("fire",), detail=0.0, keyframes=("shade@0=0,10=1",))
    assert fixed.at("detail", 5) == 0
    assert RenderOptions(("fire",), shade=0.3, keyframes=("detail@0=1,10=0",)).at("detail", 0) == 1
