"""The render from end to end: real clips, real encoders, the shipped preset."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from patience import PATIENCE, until

from ncavideo.cli.main import main
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress
from ncavideo.rendering.render import render as render_clip
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
# Enough for a grid that lives; a real render takes more.
QUICK = ["--steps", "2", "--warmup", "4"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def render(clip: Path, output: Path, *arguments: object) -> Result:
    return run("render", clip, "-o", output, "--rules", "fire,moss", *QUICK, *arguments)


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def probe(path: Path, entries: str, stream: str = "v:0") -> list[str]:
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", entries]
    run = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], check=True, capture_output=True, text=True
    )
    return run.stdout.split()


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames with sound, small."""
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    source = "testsrc2=size=160x90:rate=25:duration=0.4"
    sound = "sine=frequency=440:duration=0.4"
    ffmpeg("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", sound, path)
    return path


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_keeps_timestamps_and_sound(tmp_path: Path) -> None:
    clip = tmp_path / "cut.mp4"
    ffmpeg("-i", CLIP, "-t", "0.6", "-c", "copy", clip)
    out = tmp_path / "out.mp4"
    result = render(clip, out, "--cell", 8)
    assert result.exit_code == 0, result.stderr
    times = "packet=pts_time"
    assert sorted(map(float, probe(out, times))) == pytest.approx(
        sorted(map(float, probe(clip, times))), abs=1e-4
    )
    hashes = [
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", p, "-map", "0:a", "-c", "copy", "-f", "md5", "-"],
            check=True,
            capture_output=True,
        ).stdout
        for p in (clip, out)
    ]
    assert hashes[0] == hashes[1]
    assert leftovers(tmp_path) == ["cut.mp4", "out.mp4"]


def test_one_seed_one_file_another_seed_another(small: Path, tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.mp4"
        assert render(small, out, "--seed", seed).exit_code == 0
        digests.append(hashlib.sha256(out.read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_default_name_is_in_the_current_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("render", small, "--rules", "fire,moss", *QUICK, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["output"] == "small.fire-moss.mp4"
    assert report["frames"] == 10
    assert leftovers(tmp_path) == ["small.fire-moss.mp4"]


def test_an_existing_file_is_only_replaced_when_asked(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("precious")
    result = render(small, out)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert out.read_text() == "precious"
    assert render(small, out, "--overwrite").exit_code == 0
    assert out.stat().st_size > 1000
    assert leftovers(tmp_path) == ["out.mp4"]


def test_mask_splits_the_picture(small: Path, tmp_path: Path) -> None:
    """White is the first rule, black the last: each half has its own rule's hue."""
    mask = tmp_path / "mask.png"
    ffmpeg(
        "-f", "lavfi", "-i", "color=white:s=80x90", "-f", "lavfi", "-i", "color=black:s=80x90",
        "-filter_complex", "hstack", "-frames:v", 1, mask,
    )  # fmt: skip
    out = tmp_path / "out.mkv"
    result = run(
        "render", small, "-o", out, "--rules", "fire,moss", "--control", f"mask:{mask}",
        "--codec", "ffv1", "--warmup", 120, "--shade", 0, "--light", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    last = frames_of(out)[-1].astype(float)
    left, right = last[:, :70].mean((0, 1)), last[:, 90:].mean((0, 1))
    assert left[0] > left[1] > left[2]  # fire: red above green above blue
    assert right[1] > right[0]  # moss: green above red


def test_a_moving_mask_keeps_the_clips_own_clock(tmp_path: Path) -> None:
    """The mask turns from black to white after a second; a part from 0.8 s on sees it turn."""
    clip, mask, out = (tmp_path / name for name in ("clip.mkv", "mask.mkv", "out.mkv"))
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=96x64:r=10:d=2", "-c:v", "ffv1", clip)
    ffmpeg(
        "-f", "lavfi", "-i", "color=black:s=48x32:r=10:d=1",
        "-f", "lavfi", "-i", "color=white:s=48x32:r=10:d=1",
        "-filter_complex", "concat", "-c:v", "ffv1", mask,
    )  # fmt: skip
    result = run(
        "render", clip, "-o", out, "--rules", "fire", "--control", f"mask:{mask}",
        "--codec", "ffv1", "--start", 0.8, *QUICK,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    changed = [np.abs(frame.astype(int) - 128).mean() > 10 for frame in frames_of(out)]
    assert changed == [False] * 2 + [True] * 10


def test_one_rule_leaves_the_dark_parts_as_they_were(tmp_path: Path) -> None:
    clip = tmp_path / "halves.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "color=white:s=80x96:r=25:d=0.2",
        "-f", "lavfi", "-i", "color=0x202020:s=80x96:r=25:d=0.2",
        "-filter_complex", "hstack", "-c:v", "ffv1", clip,
    )  # fmt: skip
    out = tmp_path / "out.mkv"
    result = run("render", clip, "-o", out, "--rules", "fire", "--codec", "ffv1", *QUICK)
    assert result.exit_code == 0, result.stderr
    before, after = frames_of(clip)[-1].astype(int), frames_of(out)[-1].astype(int)
    assert np.abs(before - after)[:, 100:].max() <= 3
    assert np.abs(before - after)[:, :60].mean() > 20


BAD = {
    "missing": ("nowhere.mp4", [], "nowhere.mp4"),
    "folder": (".", [], "folder"),
    "unknown rule": (None, ["--rules", "fier"], "did you mean 'fire'"),
    "rule twice": (None, ["--rules", "fire,fire"], "twice"),
    "no rule": (None, ["--rules", ","], "at least one rule"),
    "zero steps": (None, ["--steps", "0"], "steps"),
    "negative cell": (None, ["--cell", "-2"], "cell"),
    "contrast not a number": (None, ["--contrast", "nan"], "contrast"),
    "unknown control": (None, ["--control", "sparkle"], "luminance"),
    "mask without a path": (None, ["--control", "mask"], "mask:PATH"),
    "missing mask": (None, ["--control", "mask:no.png"], "no.png"),
    "unknown codec": (None, ["--codec", "h263000"], "h263000"),
    "unknown engine": (None, ["--engine", "steam"], "steam"),
    "unknown device": (None, ["--device", "abacus"], "abacus"),
    "unknown rule set": (None, ["--ruleset", "elementz"], "elements"),
    "start past the end": (None, ["--start", "999"], "999"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(
    case: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip, arguments, word = BAD[case]
    result = render(small if clip is None else Path(clip), tmp_path / "out.mp4", *arguments)
    assert result.exit_code == 2, result.output
    assert word in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("ncavideo: ")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc", "h264_qsv"])
def test_an_encoder_without_its_hardware_is_one_sentence(
    small: Path, tmp_path: Path, codec: str
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    done = render(small, tmp_path / "out.mp4", "--codec", codec)
    if done.exit_code == 0:
        pytest.skip("the hardware is here")
    assert done.exit_code == 2
    assert "hardware" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not leftovers(tmp_path)


def test_output_places_that_cannot_be_written(small: Path, tmp_path: Path) -> None:
    for output, word in (
        (tmp_path / "no" / "out.mp4", "folder"),
        (small, "input"),
        (tmp_path, "folder"),
        (tmp_path / "out.xyz", "xyz"),
    ):
        result = render(small, output, "--overwrite")
        assert result.exit_code == 2, (output, result.output)
        assert word in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert leftovers(tmp_path) == []


def test_rules_of_two_sets_are_told_apart(small: Path, tmp_path: Path) -> None:
    result = run("render", small, "-o", tmp_path / "o.mp4", "--rules", "fire,velvet")
    assert result.exit_code == 2
    assert "velvet" in result.stderr
    assert "moss" in result.stderr  # the rules there are


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p.write_bytes(b""),
        lambda p: p.write_text("this is no video\n" * 50),
        lambda p: ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", p),
    ],
    ids=["empty", "text", "sound only"],
)
def test_files_that_are_no_video(make, tmp_path: Path) -> None:
    clip = tmp_path / "bad.mp4"
    make(clip)
    result = render(clip, tmp_path / "out.mp4")
    assert result.exit_code == 2, result.output
    assert "bad.mp4" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert leftovers(tmp_path) == ["bad.mp4"]


def test_a_truncated_file_is_rendered_as_far_as_it_goes(tmp_path: Path) -> None:
    whole, clip, out = (tmp_path / n for n in ("whole.mkv", "cut.mkv", "out.mkv"))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=4", "-g", 10, whole)
    clip.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = render(clip, out)
    assert result.exit_code == 1, result.output
    assert "frames" in result.stderr
    assert 20 < len(frames_of(out)) < 90


@pytest.mark.parametrize("times", [1, 4], ids=["once", "impatiently"])
def test_interrupt_leaves_nothing(times: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ncavideo", "render", CLIP, "-o", tmp_path / "out.mp4"]
    process = subprocess.Popen(
        [*map(str, command), "--rules", "fire,moss"], stderr=subprocess.PIPE, text=True
    )
    until(lambda: leftovers(tmp_path), "a file that the render writes", process=process)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("stage", ["condition", "step", "composite"])
def test_an_error_in_a_stage_leaves_nothing(
    stage: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = UserError("the fourth frame")
    calls = []

    def fail(*arguments: object) -> object:
        calls.append(stage)
        if len(calls) == 4:
            raise error
        return original(*arguments)

    original = getattr(FrameRenderer, stage)
    monkeypatch.setattr(FrameRenderer, stage, fail)
    with pytest.raises(UserError) as caught:
        render_clip(small, tmp_path / "out.mp4", RenderOptions(("fire", "moss"), warmup=0, steps=1))
    assert caught.value is error
    assert leftovers(tmp_path) == []
    assert not pipeline_threads()


def test_an_interrupt_between_frames_leaves_nothing(small: Path, tmp_path: Path) -> None:
    def interrupt(news: RenderProgress) -> None:
        if news.done == 3:
            raise KeyboardInterrupt

    options = RenderOptions(("fire", "moss"), warmup=0, steps=1)
    with pytest.raises(KeyboardInterrupt):
        render_clip(small, tmp_path / "out.mp4", options, interrupt)
    assert leftovers(tmp_path) == []
    assert not pipeline_threads()


def pipeline_threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("pipeline")]


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from ncavideo.cli.main import main;"
        "r = CliRunner().invoke(main, ['--help']); assert r.exit_code == 0;"
        "assert 'torch' not in sys.modules and 'open_clip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_still_and_its_mistakes(tmp_path: Path) -> None:
    out = tmp_path / "still.png"
    asked = ["still", "--rules", "fire=0.7,moss=0.3", "--size", "101x67", "--steps", 20, "-o", out]
    assert run(*asked).exit_code == 0
    from PIL import Image

    with Image.open(out) as image:
        assert image.size == (101, 67)
        assert "fire" in image.text["ncavideo"]  # type: ignore[attr-defined]
    assert run(*asked).exit_code == 2
    for bad in (
        ["--rules", "fire=1,moss=1"],
        ["--rules", "fire=x"],
        ["--size", "0x5"],
        ["--size", "wide"],
        ["--steps", 0],
    ):
        result = run(*asked, *bad, "--overwrite")
        assert result.exit_code == 2, bad
        assert len(result.stderr.strip().splitlines()) == 1
    assert leftovers(tmp_path) == ["still.png"]


def test_presets_and_doctor() -> None:
    listing = run("presets", "list")
    assert "elements: fire, moss, water, magma" in listing.stdout
    shown = json.loads(run("presets", "show", "elements", "--json").stdout)
    assert shown["provenance"]["guide"] == "none"
    assert {rule["name"] for rule in shown["rules"]} >= {"fire", "moss", "water", "magma"}
    assert all(rule["prompt"] for rule in shown["rules"])
    told = run("presets", "show", "elements").stdout
    assert "note" not in told
    assert " from elements-sixth, 500 iterations" in told
    assert "note: the weights are a mean" in run("presets", "show", "cosmos-fine").stdout
    doctor = run("doctor")
    assert doctor.exit_code == 0, doctor.stdout


def test_a_disk_that_takes_no_more_is_told_and_left_clean(tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk: writing fails in the middle."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from ncavideo.cli.main import main; main()"
    )
    for name in ("out.mp4", "frame_%03d.png"):
        command = [sys.executable, "-c", code, "render", CLIP, "-o", tmp_path / name, "--rules"]
        run = subprocess.run(
            [*map(str, command), "fire,moss", "--cell", "8", *QUICK, "--quiet"],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1, run.stderr
        assert len(run.stderr.strip().splitlines()) == 1, run.stderr
        assert "out.mp4" in run.stderr or "frame_" in run.stderr
        assert leftovers(tmp_path) == []
