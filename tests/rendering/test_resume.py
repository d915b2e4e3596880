"""A render that is cut short and gone on with ends as one that was not."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ncavideo.cli import doctor
from ncavideo.cli.main import main
from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, make_view
from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import find_ruleset, open_ruleset
from ncavideo.rendering.checkpoint import SEGMENT, State, Work, fingerprint, remove, unfinished
from ncavideo.rendering.frame_renderer import Painter
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress, render
from ncavideo.rendering.rule_order import in_order
from ncavideo.util.errors import BusyError, OutputError, UserError
from ncavideo.video.packets import DIGEST, HEAD, MAGIC, PacketFile, read_packets
from ncavideo.video.reader import VideoReader

EXAMPLE = Path(__file__).parents[2] / "examples" / "clip.mp4"
FRAMES = 2 * SEGMENT + 70
QUICK = ["--rules", "fire,moss", "--steps", "2", "--warmup", "4", "--cell", "4", "--flow"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nearly three segments, small, with sound."""
    path = tmp_path_factory.mktemp("clips") / "in.mp4"
    length = FRAMES / 25
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi",
         "-i", f"testsrc2=size=96x64:rate=25:duration={length}", "-f", "lavfi",
         "-i", f"sine=frequency=440:duration={length}", str(path)],
        check=True,
    )  # fmt: skip
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def start(clip: Path, out: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ncavideo", "render", clip, "-o", out, *QUICK, *arguments]
    return subprocess.Popen(
        [str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def segments(folder: Path) -> int:
    return len(list(folder.glob(".*.work/*.packets")))


def cut_short(clip: Path, out: Path, number: int, how: int, *arguments: object) -> None:
    """Start a render and end it once it has closed so many segments."""
    process = start(clip, out, "--quiet", *arguments)
    deadline = time.monotonic() + 120
    while segments(out.parent) < number and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert not out.exists()


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


def test_killed_again_and_again(clip: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    cut_short(clip, out, 1, signal.SIGKILL)
    cut_short(clip, out, 2, signal.SIGKILL)
    assert run("render", clip, "-o", out, *QUICK, "--quiet").exit_code == 0
    assert out.read_bytes() == whole["out.mp4"]


def test_fresh_starts_over(clip: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    cut_short(clip, out, 1, signal.SIGKILL)
    result = run("render", clip, "-o", out, *QUICK, "--json", "--fresh")
    assert json.loads(result.stdout)["resumed"] == 0
    assert out.read_bytes() == whole["out.mp4"]


def test_other_options_are_not_mixed_in(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    cut_short(clip, out, 1, signal.SIGKILL)
    result = run("render", clip, "-o", out, *QUICK, "--shade", 0.9, "--json", "--duration", 1)
    assert json.loads(result.stdout)["resumed"] == 0
    assert segments(tmp_path) == 1  # the other render can still be gone on with


def test_a_background_is_seen_again(clip: Path, tmp_path: Path) -> None:
    """OpenCV's background model cannot be kept, so the frames before are looked at again."""
    control = ["--control", "fire=background:2", "--control", "luminance"]
    assert run("render", clip, "-o", tmp_path / "a.mp4", *QUICK, *control, "--quiet").exit_code == 0
    cut_short(clip, tmp_path / "b.mp4", 1, signal.SIGKILL, *control)
    assert run("render", clip, "-o", tmp_path / "b.mp4", *QUICK, *control, "--quiet").exit_code == 0
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_two_at_once_do_not_meet(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    process = start(clip, out, "--quiet")
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".*.work/lock")) and time.monotonic() < deadline:
            time.sleep(0.01)
        result = run("render", clip, "-o", out, *QUICK)
        assert result.exit_code == 2
        assert "another render is at work" in result.stderr
    finally:
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_damaged_work_is_told_and_rendered_again(clip: Path, tmp_path: Path) -> None:
    for name in ("000000.packets", "000000.npz"):
        out = tmp_path / name / "out.mp4"
        out.parent.mkdir()
        cut_short(clip, out, 1, signal.SIGKILL)
        (harmed,) = out.parent.glob(f".*.work/{name}")
        harmed.write_bytes(harmed.read_bytes()[:-5])
        result = run("render", clip, "-o", out, *QUICK)
        assert result.exit_code == 0, result.stderr
        assert "is damaged after frame 0: it is rendered again from there" in result.stderr
        assert len(pixels(out)) == FRAMES


def test_doctor_knows_what_was_left(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short(clip, tmp_path / "out.mp4", 1, signal.SIGKILL)
    monkeypatch.chdir(tmp_path)
    said = run("doctor").stdout
    assert "unfinished render" in said
    assert "out.mp4: 250 frames" in said or "out.mp4: 500 frames" in said
    assert "removed .out.mp4." in run("doctor", "--clean").stderr
    assert list(tmp_path.iterdir()) == []


# The pieces


@given(
    packets=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**40), 2**40), st.none() | st.integers(-(2**40), 2**40),
            st.integers(0, 2**30), st.booleans(), st.binary(min_size=1, max_size=50),
        ),
        max_size=6,
    ),
    base=st.fractions(Fraction(1, 10**6), 10, max_denominator=10**6),
)  # fmt: skip
@settings(max_examples=60)
def test_packets_come_back(
    packets: list[tuple[int | None, int | None, int, bool, bytes]],
    base: Fraction,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("p") / "a.packets"
    with PacketFile(path) as file:
        for pts, dts, duration, key, data in packets:
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.duration = pts, dts, duration
            packet.time_base, packet.is_keyframe = base, key
            file.write(packet)
        assert not path.exists()
        file.close()
    found = [(p.pts, p.dts, p.duration, p.is_keyframe, bytes(p)) for p in read_packets(path)]
    assert found == packets


def test_a_full_disk_is_told_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "a.part").symlink_to("/dev/full")
    packet = av.Packet(bytes(100_000))
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 25)
    with pytest.raises(OSError, match="No space left"), PacketFile(tmp_path / "a.packets") as file:
        file.write(packet)
        file.close()
    assert list(tmp_path.iterdir()) == []


@given(data=st.binary(max_size=80))
def test_noise_is_not_packets(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("p") / "a.packets"
    # With a digest that fits, so that what is inside is read.
    data = MAGIC + b"1/25\n" + data
    path.write_bytes(data + hashlib.blake2b(data, digest_size=DIGEST).digest())
    try:
        assert all(len(bytes(p)) <= len(data) for p in read_packets(path))
    except OutputError as error:
        assert "is damaged" in str(error)


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
def test_a_painter_goes_on_bit_for_bit(
    controls: tuple[str, ...], cell: int, clip: Path, tmp_path: Path
) -> None:
    Image.effect_noise((60, 40), 90).save(tmp_path / "mask.png")
    texts = tuple(text.format(mask=tmp_path / "mask.png") for text in controls)
    options = RenderOptions(
        ("fire", "moss", "water"), control=texts, flow=True, cell=cell, warmup=4, tempo=130,
        opacity_control="edges,smooth=0.2",
    )  # fmt: skip
    with av.open(str(clip)) as container:
        frames = [
            f.to_ndarray(format="rgb24")
            for _, f in zip(range(30), container.decode(video=0), strict=False)
        ]
    ruleset = open_ruleset("elements")

    def painter() -> Painter:
        return Painter(ruleset, (96, 64), ClipRange(), options, clip)

    one, other = painter(), painter()
    work = Work(tmp_path / "o.mp4", "0" * 64, {}, fresh=False)
    for index, frame in enumerate(frames):
        whole = one.paint(frame, index / 25)
        if index == 14:
            work.save(0, State(one.grid(), one.memory()))
            work.segment(0).touch()
            work.segments = work._closed()
            state = work.state()
            other.go_on(state.grid, state.memory)
        if index > 14:
            np.testing.assert_array_equal(other.paint(frame, index / 25), whole)
    assert one.notes() == other.notes()
    work.release(done=True)
    assert not work.folder.exists()


def test_what_decides_the_bits_decides_the_folder(clip: Path, tmp_path: Path) -> None:
    mask = tmp_path / "m.png"
    Image.new("L", (8, 8)).save(mask)
    ruleset = open_ruleset("elements")
    options = RenderOptions(("fire",), control=(f"fire=mask:{mask}#alpha,invert",))
    key = fingerprint(clip, ruleset, options)
    assert key == fingerprint(clip, ruleset, replace(options, overwrite=True))
    assert key != fingerprint(clip, ruleset, replace(options, seed=1))
    assert key != fingerprint(clip, open_ruleset("earth"), options)
    Image.new("L", (8, 8), 9).save(mask)
    assert key != fingerprint(clip, ruleset, options)
    with pytest.raises(UserError, match="cannot open"):
        fingerprint(tmp_path / "none.mp4", ruleset, options)


# Every control that reads a file, `{f}` being the folder, and the file whose content matters.
READ = {
    "mask": ("mask:{f}/m.png", "m.png"),
    "mask's alpha": ("mask:{f}/m.png#alpha", "m.png"),
    "a mask that repeats": ("mask:{f}/m.png?loop", "m.png"),
    "numbered masks": ("mask:{f}/n_%03d.png", "n_002.png"),
    "numbered masks at a rate": ("mask:{f}/n_%03d.png@12?loop#alpha", "n_001.png"),
    "a name with commas": ("mask:{f}/a,b=c.png", "a,b=c.png"),
    "labels": ("labels:{f}/m.png", "m.png"),
    "one label": ("labels:{f}/m.png:9", "m.png"),
    "one label of many pictures": ("labels:{f}/n_%03d.png@12:9", "n_002.png"),
    "weights": ("segment:person@{f}/w.pth", "w.pth"),
    "named weights": ("segment:person@fcn_resnet50={f}/w.pth", "w.pth"),
    "a model's folder": ("segment:person@hf:{f}/model", "model/deep/weights.safetensors"),
}
OPTIONS = ["", ",blur=3", ",smooth=0.3", ",invert", ",weight=2", ",weight=0.5,invert,blur=1.5"]


@pytest.mark.parametrize("what", READ)
def test_every_file_that_a_control_reads_decides_the_folder(
    what: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    for name in ("m.png", "n_001.png", "n_002.png", "a,b=c.png", "w.pth",
                 "model/config.json", "model/deep/weights.safetensors"):  # fmt: skip
        (tmp_path / name).write_bytes(b"one content")
    text, name = READ[what]
    ruleset = open_ruleset("elements")
    for ends in OPTIONS:
        control = text.format(f=tmp_path) + ends
        for options in (
            RenderOptions(("fire",), control=(control,)),
            RenderOptions(("fire",), control=(f"fire={control}",)),
            RenderOptions(("fire",), light_control=control),
            RenderOptions(("fire",), opacity_control=control),
        ):
            (tmp_path / name).write_bytes(b"one content")
            key = fingerprint(clip, ruleset, options)
            assert key == fingerprint(clip, ruleset, options)
            (tmp_path / name).write_bytes(b"another one")
            assert key != fingerprint(clip, ruleset, options), options


def test_a_repository_on_the_hub_is_no_file(clip: Path) -> None:
    ruleset = open_ruleset("elements")
    for text in ("segment:person@hf:someone/model", "segment:kmeans:1of3", "segment:person",
                 "segment:person@lraspp_mobilenet_v3_large", "hue:0-60", "off"):  # fmt: skip
        assert fingerprint(clip, ruleset, RenderOptions(("fire",), control=(f"fire={text}",)))


def test_driver_memory_is_plain() -> None:
    driver = Driver(("fire", "moss"), ["fire=edges,smooth=1"], Context(Path()))
    driver.weights(make_view(np.zeros((16, 16, 3), np.uint8), 16, 16, 0.0))
    memory = driver.memory()
    assert json.dumps(memory, default=lambda value: value.tolist())


def test_an_interrupt_while_it_begins_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("ncavideo.rendering.checkpoint.json.dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Work(tmp_path / "out.mp4", "0" * 12, {}, fresh=False)
    assert not list(tmp_path.iterdir())


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


def pixels(clip: Path) -> list[bytes]:
    with VideoReader(clip) as reader:
        return [frame.rgb.tobytes() for frame in reader]


TINY = RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=4)


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
    (work,) = stopped.glob(".*.work")
    shutil.copytree(work, tmp_path / work.name)
    harmed = tmp_path / work.name / name
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
    (work,) = stopped.glob(".*.work")
    shutil.copytree(work, tmp_path / work.name)
    segment = tmp_path / work.name / "000001.packets"
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


@pytest.mark.parametrize("what", ["a file", "a dangling link"])
def test_a_work_folder_that_is_none_is_told(what: str, clip: Path, tmp_path: Path) -> None:
    options = RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=8)
    key = fingerprint(clip, open_ruleset("elements"), options)
    folder = tmp_path / f".out.mp4.{key[:12]}.work"
    if what == "a file":
        folder.touch()
    else:
        folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"the folder .*\.work cannot be"):
        render(clip, tmp_path / "out.mp4", options)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_long_name_has_a_work_folder(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / ("long" * 62 + ".mp4")
    render(clip, out, RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=8))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_doctor_cleans_what_killed_processes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.chdir(tmp_path)
    old = time.time() - 7200
    for name in (f".out.mp4.{gone.pid}.0a1b2c.part", f".s.png.{gone.pid}.0a1b2c.part.png",
                 f".alive.mp4.{os.getpid()}.0a1b2c.part", ".a user's own.part"):  # fmt: skip
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / f".f_%d.png.{gone.pid}.aaaaaa.part").mkdir()
    os.utime(tmp_path / f".f_%d.png.{gone.pid}.aaaaaa.part", (old, old))
    (tmp_path / f".new.mp4.{gone.pid}.0a1b2c.part").touch()
    listed = [check.detail for check in doctor._abandoned()]
    assert len(listed) == 3
    assert len(doctor.clean()) == 3
    assert {path.name for path in tmp_path.iterdir()} == {
        f".alive.mp4.{os.getpid()}.0a1b2c.part",
        ".a user's own.part",
        f".new.mp4.{gone.pid}.0a1b2c.part",
    }


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_neither_fresh_nor_doctor_ends_a_render_of_another_process(
    clip: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    first = start(clip, out, "--quiet")
    try:
        wait_for(tmp_path, ".*.work/job.json", first)
        doctor = subprocess.Popen(
            [sys.executable, "-m", "ncavideo", "doctor", "--clean"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        second = start(clip, out, "--fresh")
        said = second.communicate(timeout=120)[1].decode()
        assert (second.returncode, first.poll()) == (2, None), said
        assert f"another render is at work on {out}" in said
        assert b"removed" not in doctor.communicate(timeout=120)[1]
    finally:
        first.communicate(timeout=120)
    assert first.returncode == 0
    assert out.read_bytes() == whole["out.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


# A process that begins and leaves a render again and again, and never misses what it has written.
BEGINS = """
import sys, time
from pathlib import Path
from ncavideo.rendering.checkpoint import Work

deadline = time.monotonic() + 4
print("begun", flush=True)
while time.monotonic() < deadline:
    work = Work(Path(sys.argv[1], "out.mp4"), "0" * 64, {}, fresh=False)
    names = {path.name for path in work.folder.iterdir()}
    assert {"job.json", "lock"} <= names, names
    for number in range(20):
        work.segment(number).touch()
        work._state(number).touch()
    time.sleep(0.002)
    found = len(list(work.folder.iterdir()))
    assert found == 42, f"{found} files of 42 are left"
    work.release(done=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks here")
def test_cleaning_races_with_a_render_that_begins(tmp_path: Path) -> None:
    render = subprocess.Popen(
        [sys.executable, "-c", BEGINS, str(tmp_path)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert render.stdout is not None
    render.stdout.readline()
    removed = 0
    while render.poll() is None:
        for found in unfinished(tmp_path):
            removed += remove(found.folder)
    said = render.communicate()[1]
    assert render.returncode == 0, said
    assert removed, "they never met"


def test_a_link_in_the_place_of_a_work_folder_is_not_followed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("notes.txt", "000000.npz", "a.part.txt", "job.json"):
        (own / name).write_text("{}")
    folder = tmp_path / f".out.mp4.{'0' * 12}.work"
    folder.symlink_to(own)
    for fresh in (False, True):
        with pytest.raises(UserError, match=r"the folder .*\.work cannot be used: it is a link"):
            Work(tmp_path / "out.mp4", "0" * 64, {}, fresh=fresh)
    assert unfinished(tmp_path) == []
    assert not remove(folder)
    assert len(list(own.iterdir())) == 4


# A process that removes an unfinished render's folder, slowly.
REMOVES = """
import os, sys, time
from pathlib import Path
from ncavideo.rendering.checkpoint import remove

unlink = os.unlink

def slowly(*arguments, **named):
    time.sleep(0.01)
    unlink(*arguments, **named)
    print("one", flush=True)

os.unlink = slowly
remove(Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks here")
def test_who_begins_while_a_folder_is_removed_keeps_what_is_written(tmp_path: Path) -> None:
    folder = tmp_path / f".out.mp4.{'0' * 12}.work"
    folder.mkdir()
    names = [f"{number:06d}.packets" for number in range(20)]
    for name in ("job.json", *names[:10], "lock", *names[10:]):
        (folder / name).touch()
    removes = subprocess.Popen(
        [sys.executable, "-c", REMOVES, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert removes.stdout is not None
    removes.stdout.readline()
    work = Work(tmp_path / "out.mp4", "0" * 64, {}, fresh=False)
    for name in names:
        (work.folder / name).touch()
    removes.communicate(timeout=60)
    assert {path.name for path in work.folder.iterdir()} == {"job.json", "lock", *names}
    work.release(done=True)
    assert list(tmp_path.iterdir()) == []


def test_long_names_that_begin_alike_do_not_meet(clip: Path, tmp_path: Path) -> None:
    """A long name loses its suffix, which decides what packets are: these were another codec's."""
    long = "ü" * 124 + "n"
    work = Work(tmp_path / f"{long}.mp4", "0" * 64, {}, fresh=False)
    other = Work(tmp_path / f"{long}.webm", "0" * 64, {}, fresh=False)
    for one in (work, other):
        assert one.folder.name.startswith(".ü")
        assert one.folder.name.encode().endswith(b".000000000000.work")
        one.release(done=True)


# On a disk of its own, with room for so many files and 64 kB, that may be full.
ON_A_FULL_DISK = """
mount -t tmpfs -o size=64k,nr_inodes=$1 none "$2" && cd "$2" || exit 77
[ "$3" = bytes ] && head -c 1M /dev/zero > big 2>/dev/null
shift 3
"$@"
code=$?
[ "$(ls -A | grep -v '^big$')" ] && exit 99
exit $code
"""


@pytest.mark.parametrize("output", ["out.mp4", "f_%d.png"])
@pytest.mark.parametrize(
    ("files", "full"), [(1, "files"), (2, "files"), (3, "files"), (9, "bytes")]
)
def test_a_disk_that_is_full_at_the_beginning_is_told(
    files: int, full: str, output: str, tmp_path: Path
) -> None:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("there are no file systems of a process's own here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", ON_A_FULL_DISK, "sh", str(files), tmp_path, full,
         sys.executable, "-m", "ncavideo", "render", EXAMPLE, "-o", output, "--rules", "fire,moss",
         "--steps", "1", "--warmup", "2", "--cell", "32", "--duration", "0.2", "--quiet"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("this process may make no file systems of its own")
    assert done.returncode == 1, done.stderr
    assert "full" in done.stderr or "No space left" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_folder_in_the_work_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / f".out.mp4.{'0' * 12}.work" / "a.part").mkdir(parents=True)
    (tmp_path / f".out.mp4.{'0' * 12}.work" / "000000.packets").touch()
    (tmp_path / f".out.mp4.{'0' * 12}.work" / "000000.npz").touch()
    for _ in range(2):  # the lock is let go of
        with pytest.raises(UserError, match=r"the folder .*\.work cannot be used: Is a directory"):
            Work(tmp_path / "out.mp4", "0" * 64, {}, fresh=False)


def test_doctor_cleans_what_a_render_killed_at_once_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".a.mp4.0123456789ab.work", ".b.mp4.0123456789ab.work", ".c.mp4.0123456789ab.work",
                 ".mine.work", ".mine.0123456789ab.work"):  # fmt: skip
        (tmp_path / name).mkdir()
    (tmp_path / ".b.mp4.0123456789ab.work" / "lock").touch()
    (tmp_path / ".c.mp4.0123456789ab.work" / "job.json").touch()
    (tmp_path / ".mine.0123456789ab.work" / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert len(doctor._unfinished()) == 3
    assert [path.name[:2] for path in doctor.clean()] == [".a", ".b", ".c"]
    assert {path.name for path in tmp_path.iterdir()} == {".mine.work", ".mine.0123456789ab.work"}


def test_doctor_does_not_say_that_it_removed_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = tmp_path / ".s.mp4.1.0a1b2c.part", tmp_path / ".s.mp4.1.0a1b2d.part"
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == stays:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    for path in (stays, goes):
        path.touch()
    monkeypatch.setattr(Path, "unlink", refused)
    monkeypatch.setattr(doctor, "abandoned", lambda folder: [stays, goes])
    monkeypatch.chdir(tmp_path)
    assert doctor.clean() == [goes]
    assert list(tmp_path.iterdir()) == [stays]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="only root can give a folder away and then do without its own powers",
)
def test_another_users_folder_is_one_sentence(clip: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out.mp4", RenderOptions(rules=("fire",))
    ruleset = find_ruleset(options.rules, None)
    key = fingerprint(clip, ruleset, in_order(options, ruleset))
    work = Work(out, key, {}, fresh=False)
    work.release(done=True)
    work.folder.mkdir(0o700)
    (work.folder / "kept").touch()
    os.chown(work.folder, 65534, 65534)
    for command, code in ((["render", clip, "--rules", "fire", "-o", out], 2),
                          (["doctor", "--clean"], None)):  # fmt: skip
        done = subprocess.run(
            ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner",
             sys.executable, "-m", "ncavideo", *map(str, command)],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert (work.folder / "kept").exists()
        if code is not None:
            told = f"ncavideo: the folder {work.folder} cannot be used: Permission denied\n"
            assert (done.returncode, done.stderr) == (code, told)


@pytest.mark.parametrize("removed", [0, 5, 9, 10])
def test_a_removal_that_is_cut_short_is_still_known(
    removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left was once taken for no render's folder, and nothing removed it."""
    work = Work(tmp_path / "out.mp4", "0" * 64, {"output": "out.mp4"}, fresh=False)
    for number in range(10):
        work.segment(number).write_bytes(b"x")
    unlink, gone = Path.unlink, list[Path]()

    def some(path: Path, missing_ok: bool = False) -> None:
        if len(gone) == removed:
            raise OSError(errno.EIO, "a broken disk")
        gone.append(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", some)
        work.release(done=True)
    assert [render.folder for render in unfinished(tmp_path)] == [work.folder]
    assert remove(work.folder)
    assert not any(tmp_path.iterdir())
