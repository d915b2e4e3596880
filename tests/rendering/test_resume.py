"""A render that is cut short and resumed ends as one that was not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from interrupted import FRAMES, QUICK, TINY, cut_short, make_clip, pixels, run, segments, start
from patience import PATIENCE, until
from PIL import Image

from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.checkpoint import SEGMENT, RenderCheckpoint, State, remove
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress, render
from ncavideo.util.errors import BusyError
from ncavideo.video.packets import DIGEST, HEAD, read_packets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "in.mp4")


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What uninterrupted renders give, by kind of output."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for name in ("out.mp4", "out.mkv"):
        assert run("render", clip, "-o", folder / name, *QUICK, "--quiet").exit_code == 0
        found[name] = (folder / name).read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["out.mkv", "out.mp4"]
    return found


@pytest.fixture(scope="module")
def killed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a render that was killed once it had closed a segment."""
    folder = tmp_path_factory.mktemp("killed")
    cut_short(clip, folder / "out.mp4", 1, signal.SIGKILL)
    return folder


def copy_work(stopped: Path, folder: Path) -> Path:
    """Copy the work folder of an unfinished render, and return the copy."""
    (work,) = stopped.glob(".*.work")
    return Path(shutil.copytree(work, folder / work.name))


@pytest.mark.parametrize(
    ("name", "number", "how"),
    [
        ("out.mp4", 1, signal.SIGKILL),
        ("out.mp4", 2, signal.SIGKILL),
        ("out.mkv", 1, signal.SIGINT),
        ("out.mp4", 2, signal.SIGTERM),
    ],
)
def test_killed_and_gone_on_with(
    name: str, number: int, how: int, clip: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / name
    cut_short(clip, out, number, how)
    result = run("render", clip, "-o", out, *QUICK, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["resumed"] >= number * SEGMENT
    assert report["frames"] == FRAMES
    assert out.read_bytes() == whole[name]
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_killed_again_and_again(
    clip: Path, whole: dict[str, bytes], killed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    copy_work(killed, tmp_path)
    cut_short(clip, out, 2, signal.SIGKILL)
    assert run("render", clip, "-o", out, *QUICK, "--quiet").exit_code == 0
    assert out.read_bytes() == whole["out.mp4"]


def test_fresh_starts_over(
    clip: Path, whole: dict[str, bytes], killed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    copy_work(killed, tmp_path)
    result = run("render", clip, "-o", out, *QUICK, "--json", "--fresh")
    assert json.loads(result.stdout)["resumed"] == 0
    assert out.read_bytes() == whole["out.mp4"]


def test_other_options_are_not_mixed_in(clip: Path, killed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    copy_work(killed, tmp_path)
    result = run("render", clip, "-o", out, *QUICK, "--shade", 0.9, "--json", "--duration", 1)
    assert json.loads(result.stdout)["resumed"] == 0
    assert segments(tmp_path) == segments(killed)  # the other render can still be gone on with


def test_a_background_is_seen_again(clip: Path, tmp_path: Path) -> None:
    """OpenCV's background model cannot be kept, so the frames before are looked at again."""
    control = ["--control", "fire=background:2", "--control", "luminance"]
    assert run("render", clip, "-o", tmp_path / "a.mp4", *QUICK, *control, "--quiet").exit_code == 0
    cut_short(clip, tmp_path / "b.mp4", 1, signal.SIGKILL, *control)
    assert run("render", clip, "-o", tmp_path / "b.mp4", *QUICK, *control, "--quiet").exit_code == 0
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def until_there(folder: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    until(lambda: list(folder.glob(pattern)), pattern, process=process, every=0.01)


def test_two_at_once_do_not_meet(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    process = start(clip, out, "--quiet")
    try:
        until_there(tmp_path, ".*.work/lock", process)
        result = run("render", clip, "-o", out, *QUICK)
        assert result.exit_code == 2
        assert "another render is at work" in result.stderr
    finally:
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_damaged_work_is_told_and_rendered_again(clip: Path, killed: Path, tmp_path: Path) -> None:
    for name in ("000000.packets", "000000.npz"):
        out = tmp_path / name / "out.mp4"
        out.parent.mkdir()
        harmed = copy_work(killed, out.parent) / name
        harmed.write_bytes(harmed.read_bytes()[:-5])
        result = run("render", clip, "-o", out, *QUICK)
        assert result.exit_code == 0, result.stderr
        assert "is damaged after frame 0: it is rendered again from there" in result.stderr
        assert len(pixels(out)) == FRAMES


CONTROLS = [
    (),
    ("fire=edges,smooth=0.5",),
    ("fire=motion,smooth=0.2", "luminance,smooth=0.3"),
    ("segment:kmeans",),
    ("fire=segment:grabcut",),
    ("fire=mask:{mask}", "moss=colour:orange,smooth=1"),
]


@pytest.mark.parametrize("cell", [1, 4])
@pytest.mark.parametrize("controls", CONTROLS, ids=lambda c: " ".join(c) or "luminance")
def test_a_renderer_resumes_bit_for_bit(
    controls: tuple[str, ...], cell: int, clip: Path, tmp_path: Path
) -> None:
    Image.effect_noise((60, 40), 90).save(tmp_path / "mask.png")
    texts = tuple(text.format(mask=tmp_path / "mask.png") for text in controls)
    options = RenderOptions(
        ("fire", "moss", "water"), control=texts, flow=True, cell=cell, warmup=4,
        steps_per_second=130,
        opacity_control="edges,smooth=0.2",
    )  # fmt: skip
    with av.open(str(clip)) as container:
        frames = [
            f.to_ndarray(format="rgb24")
            for _, f in zip(range(30), container.decode(video=0), strict=False)
        ]
    ruleset = open_ruleset("elements")

    def renderer() -> FrameRenderer:
        return FrameRenderer(ruleset, (96, 64), ClipRange(), options, clip)

    one, other = renderer(), renderer()
    work = RenderCheckpoint(tmp_path / "o.mp4", "0" * 64, {}, fresh=False)
    for index, frame in enumerate(frames):
        whole = one.render(frame, index / 25)
        if index == 14:
            work.save(0, State(one.grid(), one.state_dict()))
            work.segment(0).touch()
            work.segments = work._closed()
            state = work.state()
            other.resume(state.grid, state.state_dict)
        if index > 14:
            np.testing.assert_array_equal(other.render(frame, index / 25), whole)
    assert one.notes() == other.notes()
    work.release(done=True)
    assert not work.folder.exists()


# What may happen to the files of an unfinished render.
HARMS: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda data: bytes([*data[:-200], data[-200] ^ 4, *data[-199:]]),
    "emptied": lambda data: b"",
    "cut short": lambda data: data[: len(data) * 2 // 3],
    "more behind it": lambda data: data + b"more",
}


@pytest.fixture(scope="module")
def unfinished_render(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[bytes]]:
    """A clip of three segments, a folder with its render cut short in the third, and all frames."""
    folder = tmp_path_factory.mktemp("harmed")
    clip = folder / "in.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i",
         f"testsrc2=size=32x32:rate=50:duration={(2 * SEGMENT + 40) / 50}", str(clip)],
        check=True,
    )  # fmt: skip
    render(clip, folder / "whole.mp4", TINY)
    stopped = folder / "stopped"
    stopped.mkdir()

    def stop(news: RenderProgress) -> None:
        if news.done > 2 * SEGMENT + 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(clip, stopped / "out.mp4", TINY, stop)
    return clip, stopped, pixels(folder / "whole.mp4")


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["000000.packets", "000001.packets", "000000.npz", "000001.npz"])
def test_what_is_damaged_is_rendered_again(
    name: str,
    harm: str,
    unfinished_render: tuple[Path, Path, list[bytes]],
    tmp_path: Path,
) -> None:
    clip, stopped, whole = unfinished_render
    out = tmp_path / "out.mp4"
    harmed = copy_work(stopped, tmp_path) / name
    harmed.write_bytes(HARMS[harm](harmed.read_bytes()))
    notes: list[str] = []
    report = render(clip, out, TINY, warn=notes.append)
    # An older state than the last is only needed when the last is harmed.
    kept = {"000000.packets": 0, "000000.npz": 2, "000001.npz": 1, "000001.packets": 1}[name]
    assert report.resumed == kept * SEGMENT
    assert any("is damaged after frame" in note for note in notes) == (kept < 2)
    assert pixels(out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_fresh_removes_nothing_that_is_at_work(clip: Path, tmp_path: Path) -> None:
    options = RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=8)
    out = tmp_path / "out.mp4"
    tried: list[str] = []

    def meanwhile(news: RenderProgress) -> None:
        if tried:
            return
        with pytest.raises(BusyError) as error:
            render(clip, out, replace(options, fresh=True))
        tried.append(str(error.value))
        (work,) = tmp_path.glob(".*.work")
        assert not remove(work)

    report = render(clip, out, options, meanwhile)
    assert "another render is at work" in tried[0]
    assert len(pixels(out)) == report.frames
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("ending", ["the digest", "nothing"])
def test_a_segment_without_its_last_packet_is_rendered_again(
    ending: str, unfinished_render: tuple[Path, Path, list[bytes]], tmp_path: Path
) -> None:
    clip, stopped, whole = unfinished_render
    segment = copy_work(stopped, tmp_path) / "000001.packets"
    data, last = segment.read_bytes(), list(read_packets(segment))[-1]
    cut = data[: -DIGEST - last.size - HEAD.size]
    assert (
        cut + HEAD.pack(last.pts, last.dts, last.duration, last.is_keyframe, last.size)
        == (data[: -DIGEST - last.size])
    )
    segment.write_bytes(cut + (data[-DIGEST:] if ending == "the digest" else b""))
    notes: list[str] = []
    assert render(clip, tmp_path / "out.mp4", TINY, warn=notes.append).resumed == SEGMENT
    assert any("is damaged after frame 250" in note for note in notes)
    assert pixels(tmp_path / "out.mp4") == whole


def test_neither_fresh_nor_doctor_ends_a_render_of_another_process(
    clip: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    first = start(clip, out, "--quiet")
    try:
        until_there(tmp_path, ".*.work/job.json", first)
        doctor = subprocess.Popen(
            [sys.executable, "-m", "ncavideo", "doctor", "--clean"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        second = start(clip, out, "--fresh")
        said = second.communicate(timeout=PATIENCE)[1].decode()
        assert (second.returncode, first.poll()) == (2, None), said
        assert f"another render is at work on {out}" in said
        assert b"removed" not in doctor.communicate(timeout=PATIENCE)[1]
    finally:
        first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    assert out.read_bytes() == whole["out.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
