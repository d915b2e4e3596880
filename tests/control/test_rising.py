"""Tongues that rise from what is active."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ncavideo.control.field import Motion, View
from ncavideo.control.levels import ClipRange
from ncavideo.control.rising import CLIMB, Rising
from ncavideo.control.spec import parse_control
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import preview_frame
from ncavideo.util.errors import UserError

HEIGHT = 40.0
SOURCE = 100  # the row from which on all is active


def view(time: float, motion: Motion | None = None) -> View:
    rgb = np.zeros((2, 2, 3), np.uint8)
    return View(rgb, np.zeros((2, 2), np.float32), time, motion=motion)


def burning(shape: tuple[int, int] = (120, 200)) -> np.ndarray:
    values = np.zeros(shape, np.float32)
    values[SOURCE:, 20:180] = 1
    return values


def risen(rising: Rising, seconds: float, rate: float = 25) -> np.ndarray:
    """What is there after so many seconds."""
    values = burning()
    for index in range(round(seconds * rate) + 1):
        found = rising(values, view(index / rate))
    return found


def test_tongues_rise_as_high_as_was_asked_and_not_evenly() -> None:
    found = risen(Rising(HEIGHT), 3 * CLIMB)
    assert (found[SOURCE:, 20:180] == 1).all()
    assert not found[: SOURCE - round(1.1 * HEIGHT)].any()
    tips = [SOURCE - row for row in (found[:, 30:170] > 0.5).argmax(0)]
    assert 0.4 * HEIGHT < max(tips) < HEIGHT
    assert min(tips) < 0.5 * max(tips)  # gaps between them


def test_nothing_sinks() -> None:
    rising, values = Rising(HEIGHT), burning()
    values[SOURCE + 2 :] = 0
    for index in range(30):
        found = rising(values, view(index / 25))
    assert found[:SOURCE].any()
    assert not found[SOURCE + 2 :].any()


def test_they_take_their_time_to_rise_and_to_go() -> None:
    rising = Rising(HEIGHT)
    at_once, later = risen(rising, 0.0), risen(rising, CLIMB)
    assert at_once[:SOURCE].sum() == 0
    assert later[:SOURCE].sum() > 100
    nothing = np.zeros_like(later)
    for index in range(50):
        gone = rising(nothing, view(CLIMB + index / 25))
    assert not gone.any()


@pytest.mark.parametrize("rate", [12.0, 60.0])
def test_they_are_as_high_at_any_frame_rate(rate: float) -> None:
    usual = risen(Rising(HEIGHT), 2 * CLIMB)[:SOURCE].sum()
    assert risen(Rising(HEIGHT), 2 * CLIMB, rate)[:SOURCE].sum() == pytest.approx(usual, rel=0.3)


def test_a_cut_begins_anew() -> None:
    rising = Rising(HEIGHT)
    risen(rising, CLIMB)
    flow, hidden = np.zeros((120, 200, 2), np.float32), np.zeros((120, 200), bool)
    found = rising(burning(), view(CLIMB + 0.04, Motion(flow, hidden, True, 0.04)))
    assert (found == burning()).all()


def test_a_resumed_render_has_the_same_tongues() -> None:
    whole, first, second = Rising(HEIGHT), Rising(HEIGHT), Rising(HEIGHT)
    risen(whole, 1.0)
    risen(first, 1.0)
    second.load_state_dict(first.state_dict())
    for index in range(26, 40):
        expected = whole(burning(), view(index / 25))
        np.testing.assert_array_equal(second(burning(), view(index / 25)), expected)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    height=st.floats(0.01, 400),
    times=st.lists(st.floats(0, 100), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_what_was_there_stays(
    shape: tuple[int, int], height: float, times: list[float], seed: int
) -> None:
    """Also on a grid of one cell, for a tongue higher than the picture, and with time jumping."""
    rising, rng = Rising(height), np.random.default_rng(seed)
    for time in times:
        values = rng.random(shape, np.float32)
        found = rising(values, view(time))
        assert found.shape == shape
        assert found.dtype == np.float32
        assert (found >= values).all()
        assert found.max() <= 1


def test_it_is_asked_for_as_other_options_are() -> None:
    spec = parse_control("fire=segment:person,rise=40,smooth=0.1")
    assert (spec.argument, spec.rise, spec.smooth) == ("person", 40.0, 0.1)
    assert parse_control(str(spec)) == spec
    for text in ("motion,rise=-1", "motion,rise=401", "motion,rise=high"):
        with pytest.raises(UserError, match="must be a number from 0 to 400"):
            parse_control(text)


def test_a_preview_shows_the_tongues_of_a_render(tmp_path: Path) -> None:
    clip, mask = tmp_path / "clip.mkv", tmp_path / "mask.png"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("ffv1", 10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(30):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))))
        output.mux(stream.encode(None))
    Image.fromarray(np.repeat(np.uint8([[0]] * 48 + [[255]] * 16), 96, 1)).save(mask)
    options = RenderOptions(("fire",), control=(f"fire=mask:{mask},rise=80",), cell=1, warmup=0)
    ruleset = find_ruleset(options.rules)
    whole = FrameRenderer(ruleset, (96, 64), ClipRange(), options, clip)
    frame = np.zeros((64, 96, 3), np.uint8)
    for index in range(26):
        rendered = whole.condition(frame, index / 10).weights[0]
    whole.close()
    moment, _ = preview_frame(clip, ruleset, ClipRange(), options, 2.5, 96)
    shown = moment.pictures["fire"][..., 0] / 255
    assert rendered[:22].sum() > 1
    assert shown[:22].sum() > 0.8 * rendered[:22].sum()
