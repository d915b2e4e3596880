"""The package as a library: what its documentation shows, and what goes in and comes out."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import ncavideo
from ncavideo import UserError

pytestmark = pytest.mark.slow

QUICK = {"steps": 1, "warmup": 4, "cell": 4}
HERE = Path(__file__).parents[2]


def noise(count: int, dtype: type = np.uint8) -> list[np.ndarray]:
    frames = np.random.default_rng(0).integers(0, 256, (count, 32, 48, 3), np.uint8)
    if dtype is np.uint16:
        return list(frames.astype(np.uint16) * 257)
    return list(frames if dtype is np.uint8 else frames.astype(dtype) / 255)


def test_render_is_the_command(clip: Path, tmp_path: Path) -> None:
    seen = []
    report = ncavideo.render(
        clip,
        "fire, moss",
        tmp_path / "a.mp4",
        progress=lambda news: seen.append(news.done),
        **QUICK,
    )
    assert (report.frames, seen) == (5, [1, 2, 3, 4, 5])
    command = [sys.executable, "-m", "ncavideo", "render", clip, "-o", tmp_path / "b.mp4",
               "--rules", "fire,moss", "--steps", 1, "--warmup", 4, "--cell", 4]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert "<video" in report._repr_html_()


def test_the_name_of_a_module_does_not_get_in_the_way() -> None:
    import ncavideo.rendering.render

    assert callable(ncavideo.render)
    with pytest.raises(AttributeError, match="nothing"):
        ncavideo.nothing  # noqa: B018
    assert set(ncavideo.__all__) == set(dir(ncavideo))
    assert all(hasattr(ncavideo, name) for name in ncavideo.__all__)


def test_every_kind_of_frame_gives_the_same_picture() -> None:
    arrays = noise(3)
    tensors = [torch.from_numpy(a.transpose(2, 0, 1).copy()) for a in arrays]
    videos = [av.VideoFrame.from_ndarray(a, "rgb24") for a in arrays]
    for index, video in enumerate(videos):
        video.pts, video.time_base = index, Fraction(1, 25)
    painted = [
        list(ncavideo.paint(k, ["fire", "moss"], **QUICK)) for k in (arrays, tensors, videos)
    ]
    for frames in painted:
        assert [tuple(f.shape) for f in frames] == [(3, 32, 48)] * 3
        assert all(f.dtype == torch.uint8 for f in frames)
        for frame, first in zip(frames, painted[0], strict=True):
            assert torch.equal(frame, first)
    as_numpy = list(ncavideo.paint(arrays, "fire,moss", output="numpy", **QUICK))
    assert np.array_equal(as_numpy[2], painted[0][2].numpy().transpose(1, 2, 0))
    assert not np.array_equal(as_numpy[2], arrays[2])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_deep_frames_stay_deep(dtype: type) -> None:
    (eight,) = ncavideo.paint(noise(1), ["fire", "moss"], output="numpy", **QUICK)
    (deep,) = ncavideo.paint(noise(1, dtype), ["fire", "moss"], output="numpy", **QUICK)
    whole = 65535 if dtype is np.uint16 else 1
    assert deep.dtype == (np.uint16 if dtype is np.uint16 else np.float32)
    assert np.abs(deep / whole - eight / 255).max() < 0.03
    assert len(np.unique(deep)) > 256


def test_frames_come_one_by_one() -> None:
    asked = []

    def frames():
        for frame in noise(3):
            asked.append(1)
            yield frame

    painted = ncavideo.paint(frames(), ["fire"], **QUICK)
    assert asked == []
    next(painted)
    assert len(asked) == 1


def test_a_texture_grows(tmp_path: Path) -> None:
    elements = ncavideo.RuleSet.open("elements")
    fire = elements.grow(24, 32, {"fire": 1}, steps=40)
    assert (fire.shape, fire.dtype) == ((24, 32, 3), np.float32)
    assert np.array_equal(fire, elements.grow(24, 32, {"fire": 1.0}, steps=40))
    assert not np.array_equal(fire, elements.grow(24, 32, {"fire": 1}, steps=40, seed=1))
    ramp = np.linspace(0, 1, 32, dtype=np.float32) * np.ones((24, 1), np.float32)
    lit = elements.grow(24, 32, {"moss": 1}, steps=200, light=ramp, edge="reflect")
    assert lit[:, -8:].mean() > lit[:, :8].mean() + 0.1
    shown = elements._repr_html_()
    assert shown.count("<img") == len(elements.rules)
    assert "data:image/png" in shown


def test_what_cannot_be(clip: Path) -> None:
    elements = ncavideo.RuleSet.open("elements")
    frame = noise(1)[0]
    for wrong, said in (
        (lambda: elements.grow(8, 8, {"fyre": 1}), "did you mean 'fire'"),
        (lambda: elements.grow(8, 8, {"fire": 2}), "at most 1"),
        (lambda: elements.grow(0, 8, {"fire": 1}), "cells a side"),
        (lambda: elements.grow(8, 8, {"fire": 1}, light=np.zeros((2, 2))), "light must be"),
        (lambda: elements.grow(8, 8, {"fire": 1}, light=3), "between 0 and 1"),
        (lambda: ncavideo.RuleSet.open("elemnts"), "did you mean 'elements'"),
        (lambda: ncavideo.render(clip, "fire", shad=1), "did you mean 'shade'"),
        (lambda: ncavideo.render(clip, []), "name at least one rule"),
        (lambda: ncavideo.paint([frame], "fire", codec="x"), "concerns files"),
        (lambda: ncavideo.paint([frame], "fire", fps=0), "fps"),
        (lambda: ncavideo.paint([frame], "fire", output="jax"), "output must be"),
        (lambda: list(ncavideo.paint(["x"], "fire")), "a frame must be"),
        (lambda: list(ncavideo.paint([frame[..., 0]], "fire")), "a frame must be"),
        (lambda: list(ncavideo.paint([frame.astype(int)], "fire")), "must hold uint8"),
        (lambda: list(ncavideo.paint([frame, frame[:8]], "fire", **QUICK)), "of one size"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            wrong()


def test_the_documentation_runs(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    text = (HERE / "docs" / "python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 3
    exec("\n".join(blocks), {})
    assert (tmp_path / "out.mp4").stat().st_size > 1000


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import ncavideo, sys; print([m for m in ('torch', 'cv2', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
