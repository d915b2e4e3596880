"""Renders whose frames stay on a device, run by torch on the processor, beside ordinary ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from material import SMALL, ffmpeg

from ncavideo.cli.main import main
from ncavideo.control.levels import ClipRange
from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.nca.engines.folded import FoldedEngine
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering import checkpoint, gpu_memory
from ncavideo.rendering import render as rendering
from ncavideo.rendering.device_frame import DeviceFrame
from ncavideo.rendering.frame_place import SWITCH, may_be_on_device
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import OutputError, UserError

Make = Callable[..., RuleSet]
OPTIONS = RenderOptions(("fire", "moss"), warmup=6, steps=3, device="cpu")
# The grid's inputs differ by 1e-4, and few steps make little of that.
CLOSE, FEW = 1, 2e-3


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def frame(index: int, kind: type = np.uint8) -> np.ndarray:
    y, x = np.mgrid[0:91, 0:161] / 40
    waves = 0.5 + 0.3 * np.sin(2 * x + index / 5) * np.cos(y)
    rgb = (waves[..., None] * (1, 0.8, 0.6)).clip(0, 1)
    return (rgb * np.iinfo(kind).max).astype(kind)


LOOKS: dict[str, dict[str, Any]] = {
    "default": {},
    "cells of a pixel": {"cell": 1},
    "large cells": {"cell": 6, "shade": 1.0, "detail": 0.6},
    "a control of each kind": {"control": ("fire=hue:0-60", "moss=luminance:bright,blur=2")},
    "one rule": {"rules": ("fire",), "control": ("luminance",)},
    "opacity by a control": {"opacity_control": "luminance", "opacity": 0.7},
    "light by a control": {"light_control": "edges", "light": 0.5},
    "motion": {"control": ("motion",)},
    "flow": {"flow": True},
    "blend": {"blend": "soft-light", "keep": "chroma"},
    "matte": {"matte": True, "control": ("fire=luminance:bright", "off")},
    "strengths": {"keyframes": ("moss@0=1,0.1=0.2", "shade@0=0,0.1=1")},
}


@pytest.mark.parametrize(("engine", "kind"), [("fused", np.uint8), ("folded", np.uint16)])
@pytest.mark.parametrize("look", list(LOOKS))
def test_the_same_frames(kind: type, look: str, engine: str, make_ruleset: Make) -> None:
    """A part of a frame, 91 rows of cells of 2, is no whole cell."""
    options = replace(OPTIONS, engine=engine, **LOOKS[look])
    ruleset = make_ruleset()
    here, owner = (
        FrameRenderer(ruleset, (161, 91), ClipRange(0.1, 0.9), options) for _ in range(2)
    )
    there = DeviceFrame(owner)
    level = 1 if kind is np.uint8 else 257
    for index in range(3):
        rgb, seconds = frame(index, kind), index / 25
        expected = here.render(rgb, seconds)
        conditions = there.condition(rgb, seconds)
        out = there.composite(there.step(conditions), conditions, rgb)
        assert out.dtype == kind
        assert out.shape == expected.shape
        apart = np.abs(out.astype(np.int64) - expected.astype(np.int64))
        assert (apart > CLOSE * level).mean() <= FEW
    assert owner.grid().step == here.grid().step
    assert owner.notes() == here.notes()


@pytest.mark.parametrize("engine", ["fused", "folded", "torch"])
def test_the_same_frames_of_a_decoder(
    engine: str, make_ruleset: Make, make_decoder: Callable[..., DecoderWeights]
) -> None:
    options = replace(OPTIONS, engine=engine)
    ruleset = replace(make_ruleset(), decoder=make_decoder())
    here, owner = (
        FrameRenderer(ruleset, (161, 91), ClipRange(0.1, 0.9), options) for _ in range(2)
    )
    there = DeviceFrame(owner)
    for index in range(3):
        rgb, seconds = frame(index), index / 25
        expected = here.render(rgb, seconds)
        conditions = there.condition(rgb, seconds)
        out = there.composite(there.step(conditions), conditions, rgb)
        assert out.shape == expected.shape
        assert out.std() > 20
        apart = np.abs(out.astype(np.int64) - expected.astype(np.int64))
        assert (apart > CLOSE).mean() <= FEW


def test_a_checkpoint_goes_on_in_either(make_ruleset: Make) -> None:
    options = replace(OPTIONS, control=("luminance,smooth=0.2",), engine="folded")
    ruleset = make_ruleset()
    first, second = (FrameRenderer(ruleset, (161, 91), ClipRange(), options) for _ in range(2))
    for index in range(2):
        there = DeviceFrame(first)
        there.step(there.condition(frame(index), index / 25))
    second.resume(first.grid(), first.state_dict())
    expected = second.render(frame(2), 2 / 25).astype(np.int64)
    conditions = there.condition(frame(2), 2 / 25)
    out = there.composite(there.step(conditions), conditions, frame(2))
    assert (np.abs(out - expected) > 1).mean() <= FEW


def test_a_rule_set_that_is_not_sound_is_told(make_ruleset: Make) -> None:
    ruleset = make_ruleset(scale=1e30)
    there = DeviceFrame(FrameRenderer(ruleset, (161, 91), ClipRange(), OPTIONS))
    with pytest.raises(UserError, match="not sound"):
        for index in range(5):
            conditions = there.condition(frame(index), index / 25)
            there.composite(there.step(conditions), conditions, frame(index))


def test_where_frames_are_worked_on(make_ruleset: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = FrameRenderer(make_ruleset(), (161, 91), ClipRange(), OPTIONS)
    assert not may_be_on_device(renderer)
    monkeypatch.setenv(SWITCH, "device")
    assert may_be_on_device(renderer)
    shown = replace(OPTIONS, show_control=True)
    assert not may_be_on_device(FrameRenderer(make_ruleset(), (161, 91), ClipRange(), shown))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    ffmpeg(*SMALL, "-frames:v", "8", path)
    return path


def render(clip: Path, output: Path, *arguments: str) -> Result:
    words = ["render", clip, "-o", output, "--rules", "fire,moss", "--steps", "2", "--warmup", "4"]
    return CliRunner().invoke(main, [*map(str, words), "--device", "cpu", *arguments])


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return np.stack(frames).astype(np.int64)


@pytest.mark.slow
def test_a_whole_render(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice, for the same file; and beside the ordinary one."""
    lossless = ["--codec", "ffv1"]
    assert render(small, tmp_path / "here.mkv", *lossless).exit_code == 0
    monkeypatch.setenv(SWITCH, "device")
    for name in ("first.mkv", "second.mkv"):
        done = render(small, tmp_path / name, *lossless)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "first.mkv").read_bytes() == (tmp_path / "second.mkv").read_bytes()
    apart = np.abs(frames_of(tmp_path / "first.mkv") - frames_of(tmp_path / "here.mkv"))
    assert apart.shape[0] == 8
    assert (apart > 4).mean() < 0.005  # as YCbCr, of which a level is more than one of RGB


@pytest.mark.slow
def test_a_gpu_that_is_lost(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished segments are kept, and the same command goes on after them."""
    monkeypatch.setattr(checkpoint, "SEGMENT", 3)
    monkeypatch.setattr(rendering, "SEGMENT", 3)
    monkeypatch.setenv(SWITCH, "device")
    whole = tmp_path / "whole.mp4"
    assert render(small, whole, "--engine", "folded").exit_code == 0
    original, calls = FoldedEngine.step_on_device, []

    def lost(engine: FoldedEngine, inputs: torch.Tensor, steps: int) -> None:
        calls.append(steps)
        if len(calls) == 9:  # two are the check's and the warm-up's
            raise RuntimeError("CUDA error: unspecified launch failure\nCompile with `TORCH_USE")
        original(engine, inputs, steps)

    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(FoldedEngine, "step_on_device", lost)
        done = render(small, output, "--engine", "folded")
    assert done.exit_code == 1
    assert "the GPU was lost (CUDA error: unspecified launch failure)" in done.output
    assert "Traceback" not in done.output
    assert not output.exists()
    done = render(small, output, "--engine", "folded", "--json")
    assert '"resumed": 3' in done.output or '"resumed": 6' in done.output
    assert output.read_bytes() == whole.read_bytes()


def test_errors_of_a_gpu_and_others() -> None:
    with pytest.raises(OutputError, match="memory ran out"), gpu_memory.lost_gpu_errors():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    with pytest.raises(RuntimeError, match="something else"), gpu_memory.lost_gpu_errors():
        raise RuntimeError("something else")


def test_too_little_memory_on_the_gpu(
    make_ruleset: Make, make_decoder: Callable[..., DecoderWeights]
) -> None:
    options = RenderOptions(("fire", "moss"))
    needed = gpu_memory.estimate(make_ruleset(), (3840, 2160), (640, 360), 8)
    assert 1e9 < needed < 4e9
    drawn = replace(make_ruleset(), decoder=make_decoder())
    more = gpu_memory.estimate(drawn, (3840, 2160), (640, 360), 8) - needed
    assert 5e7 < more < 5e8
    assert gpu_memory.placed(options, needed, 8e9) == (options, None)
    moved, note = gpu_memory.placed(options, needed, 1e9)
    assert moved == replace(options, device="cpu")
    assert note is not None and "1.0 GB are free: the processor renders it" in note
    assert gpu_memory.placed(options, needed, None)[0].device == "cpu"
    for asked in ({"device": "cuda"}, {"device": "cuda:1"}, {"engine": "triton"}):
        with pytest.raises(UserError, match=r"takes about \d\.\d GB .* --device cpu") as caught:
            gpu_memory.placed(replace(options, **asked), needed, 1e9)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ["auto", "fused", "triton", "nonsense"])
def test_without_a_gpu_nothing_is_asked(engine: str, make_ruleset: Make) -> None:
    options = RenderOptions(("fire", "moss"), device="cpu", engine="auto")
    object.__setattr__(options, "engine", engine)
    found = gpu_memory.fitting(options, make_ruleset(), (3840, 2160), (640, 360), 8)
    assert found == (options, None)
