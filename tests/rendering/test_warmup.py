"""The steps before the first frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ncavideo.control.levels import ClipRange
from ncavideo.nca import patchwork
from ncavideo.nca.catalog import presets
from ncavideo.nca.patchwork import SETTLE
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.device_frame import DeviceFrame
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions

ELEMENTS = RuleSet.load(presets()["elements"])
FRAME = np.full((200, 360, 3), 120, np.uint8)
FRAME[:, :180] = 200


def renderer(engine: str = "auto", warmup: int = 2 * SETTLE, **asked: object) -> FrameRenderer:
    """Return a renderer with more cells than four tiles have."""
    options = RenderOptions(
        ("moss",), cell=1, warmup=warmup, steps=1, engine=engine, device="cpu", **asked
    )
    return FrameRenderer(ELEMENTS, (360, 200), ClipRange(), options)


@pytest.mark.parametrize("warmup", [2 * SETTLE - 1, 2 * SETTLE, 150])
def test_all_steps_are_counted(warmup: int) -> None:
    made = renderer(warmup=warmup)
    made.render(FRAME, 0.0)
    assert made.grid().step == warmup + 1


def test_engines_begin_alike() -> None:
    pictures = []
    for engine in ("fused", "torch"):
        made = renderer(engine)
        pictures.append(made.render(FRAME, 0.0).astype(int))
    # Rounding grows a little in so many steps.
    assert np.mean(abs(pictures[0] - pictures[1]) > 2) < 0.01


def test_patches_look_as_if_they_had_grown_there(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = renderer(warmup=240).render(FRAME, 0.0) / 255
    monkeypatch.setattr(patchwork, "pays", lambda *_: False)
    grown = renderer(warmup=240).render(FRAME, 0.0) / 255
    assert (laid_out != grown).any()
    for half in (slice(0, 180), slice(180, 360)):
        one, other = laid_out[:, half], grown[:, half]
        assert one.mean((0, 1)) == pytest.approx(other.mean((0, 1)), abs=0.03)
        assert one.std() == pytest.approx(other.std(), rel=0.15)
        edges = [abs(np.diff(picture, axis=1)).mean() for picture in (one, other)]
        assert edges[0] == pytest.approx(edges[1], rel=0.15)


def test_a_cut_begins_with_other_patches() -> None:
    made, rng = renderer(on_cut="restart", light=0.0), np.random.default_rng(0)
    shots = [rng.integers(0, 256, (10, 18, 3), np.uint8).repeat(20, 0).repeat(20, 1) for _ in "ab"]
    states = []
    for turn, shot in enumerate((*shots, shots[0])):
        made.render(shot, 0.04 * turn)
        assert made.grid().step == (turn + 1) * (2 * SETTLE + 1)
        states.append(made.grid().state)
    assert np.mean(states[2] != states[0]) > 0.9  # though they show the same


def test_tensors_begin_alike() -> None:
    plain, other = renderer(), renderer()
    device = DeviceFrame(other)
    here, there = plain.condition(FRAME, 0.0), device.condition(FRAME, 0.0)
    texture = device.step(there).numpy()
    assert plain.grid().step == 0 and other.grid().step == 2 * SETTLE + 1
    assert np.mean(abs(plain.step(here) - texture) > 0.02) < 0.01


def test_rules_without_a_light_begin_too(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = make_ruleset(rules=("rust", "ash"), others=())
    options = RenderOptions(
        ("ash",), cell=1, warmup=2 * SETTLE, steps=1, engine="fused", device="cpu"
    )
    made = FrameRenderer(ruleset, (360, 200), ClipRange(), options)
    made.render(FRAME, 0.0)
    assert made.grid().step == 2 * SETTLE + 1


def test_steps_that_nobody_needs_are_not_taken() -> None:
    made = renderer(warmup=100_000)
    made.stop()
    made.render(FRAME, 0.0)
    assert np.isfinite(made.grid().state).all()
