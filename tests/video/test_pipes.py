"""Clips on standard input and output: real pipes between real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE, until

pytestmark = pytest.mark.slow

QUICK = ["--rules", "fire,moss", "--steps", "2", "--warmup", "4", "--cell", "8", "--device", "cpu"]
# Levels are part of the picture: a stream's come from its beginning, a file's from all of it.
LEVELS = ["--levels", "0,0.9"]
RENDER = [sys.executable, "-m", "ncavideo", "render"]
FFMPEG = ["ffmpeg", "-v", "error", "-y"]
RAW = ["--input-size", "160x90", "--input-pix-fmt", "yuv422p", "--fps", "12.5"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of 8 bits, of 10 bits with its colours named, and of picture and sound."""
    folder = tmp_path_factory.mktemp("clips")
    picture = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=0.48"]
    sound = ["-f", "lavfi", "-i", "sine=f=440:d=0.48"]
    tags = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
    for name, words in (
        ("plain.mkv", [*picture, "-c:v", "ffv1", "-pix_fmt", "yuv420p"]),
        (
            "deep.mkv",
            [*picture, "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", *tags, "-vf", "setsar=3/2"],
        ),
        ("sound.mkv", [*picture, *sound, "-c:v", "ffv1", "-pix_fmt", "yuv420p", "-c:a", "aac"]),
        ("raw.mkv", [*picture, "-r", "12.5", "-c:v", "ffv1", "-pix_fmt", "yuv422p"]),
    ):
        subprocess.run([*FFMPEG, *words, str(folder / name)], check=True)
    return folder


def through(*commands: list[str], cwd: Path) -> tuple[list[int], bytes, str]:
    """Run commands in a pipeline: their exit codes, the last one's output, all errors."""
    running: list[subprocess.Popen[bytes]] = []
    errors = (cwd / "stderr").open("w+b")
    for words in commands:
        source: Any = running[-1].stdout if running else subprocess.DEVNULL
        running.append(
            subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, stderr=errors, cwd=cwd)
        )
        if len(running) > 1:
            source.close()  # it is the next program's alone: its end must be noticed
    output, _ = running[-1].communicate(timeout=PATIENCE)
    codes = [process.wait(timeout=PATIENCE) for process in running]
    errors.seek(0)
    with errors:
        return codes, output, errors.read().decode()


def decoded(clip: Path, *, entries: str = "v:0") -> list[str]:
    """The hash of every decoded frame, with its time and size."""
    words = [*FFMPEG, "-i", str(clip), "-map", f"0:{entries}", "-f", "framemd5", "-"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if not line.startswith("#")]


def probe(clip: Path, entries: str) -> list[dict[str, Any]]:
    words = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", str(clip)]
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    streams: list[dict[str, Any]] = found["streams"]
    return streams


def as_file(clip: Path, folder: Path, *words: str) -> list[str]:
    """The frames of the same render from a file to a lossless file."""
    out = folder / "file.mkv"
    words = ("-o", str(out), "--codec", "rawvideo", "--overwrite", *words)
    subprocess.run([*RENDER, str(clip), *QUICK, *LEVELS, *words, "--quiet"], check=True)
    return decoded(out)


def test_frames_between_two_ffmpegs_are_those_of_files(clips: Path, tmp_path: Path) -> None:
    clip, out = clips / "plain.mkv", tmp_path / "out.mkv"
    codes, _, said = through(
        [*FFMPEG, "-i", str(clip), "-f", "yuv4mpegpipe", "-"],
        [*RENDER, "-", "-o", "-", *QUICK, *LEVELS],
        [*FFMPEG, "-i", "-", "-c:v", "ffv1", str(out)],
        cwd=tmp_path,
    )
    assert codes == [0, 0, 0], said
    assert "standard output: 12 frames" in said
    frames = decoded(out)
    assert len(frames) == 12
    assert frames == as_file(clip, tmp_path)
    # And in the other containers, with a file at the other end.
    for format in ("nut", "y4m"):
        words = ["-o", "-", "--format", format, *QUICK, *LEVELS, "--quiet"]
        codes, data, said = through([*RENDER, str(clip), *words], cwd=tmp_path)
        assert codes == [0] and said == "", said
        (tmp_path / format).write_bytes(data)
        assert decoded(tmp_path / format) == frames


def test_deep_colours_and_sound_come_through(clips: Path, tmp_path: Path) -> None:
    codes, data, said = through(
        [*FFMPEG, "-i", str(clips / "deep.mkv"), "-c", "copy", "-f", "matroska", "-"],
        [*RENDER, "-", "-o", "-", *QUICK, *LEVELS],
        cwd=tmp_path,
    )
    assert codes == [0, 0], said
    out = tmp_path / "out.mkv"
    out.write_bytes(data)
    tags = "pix_fmt,color_space,color_transfer,color_primaries,sample_aspect_ratio"
    assert probe(out, f"stream={tags}") == probe(clips / "deep.mkv", f"stream={tags}")
    assert decoded(out) == as_file(clips / "deep.mkv", tmp_path)
    y4m = ["-o", "-", "--format", "y4m", *QUICK, *LEVELS, "--quiet"]
    codes, data, said = through([*RENDER, str(clips / "deep.mkv"), *y4m], cwd=tmp_path)
    assert codes == [0], said
    (tmp_path / "out.y4m").write_bytes(data)
    assert decoded(tmp_path / "out.y4m") == decoded(out)
    # NUT, and sound that is copied bit for bit in its place; the first packet comes before 0.
    codes, data, said = through(
        [*FFMPEG, "-i", str(clips / "sound.mkv"), "-c", "copy", "-f", "nut", "-"],
        [*RENDER, "-", "-o", "-", "--format", "nut", *QUICK, *LEVELS],
        cwd=tmp_path,
    )
    assert codes == [0, 0], said
    out = tmp_path / "out.nut"
    out.write_bytes(data)
    packets = [
        subprocess.run(
            [*FFMPEG, "-i", str(clip), "-map", "0:a", "-c", "copy", "-f", "framemd5", "-"],
            check=True, capture_output=True,
        ).stdout.splitlines()[-20:]
        for clip in (clips / "sound.mkv", out)
    ]  # fmt: skip
    assert [line.split(b",")[-1] for line in packets[0]] == [
        line.split(b",")[-1] for line in packets[1]
    ]
    starts = [
        [float(stream["start_time"]) for stream in probe(clip, "stream=start_time")]
        for clip in (clips / "sound.mkv", out)
    ]
    assert starts[1][1] - starts[1][0] == pytest.approx(starts[0][1] - starts[0][0], abs=2e-3)


def test_raw_video_goes_in_and_out(clips: Path, tmp_path: Path) -> None:
    clip = clips / "raw.mkv"
    codes, data, said = through(
        [*FFMPEG, "-i", str(clip), "-f", "rawvideo", "-"],
        [*RENDER, "-", "-o", "-", *RAW, "--format", "rawvideo", *QUICK, *LEVELS],
        cwd=tmp_path,
    )
    assert codes == [0, 0], said
    assert "the raw video is yuv420p, 160x90 pixels, at 12.5 frames a second" in said
    words = ["-f", "rawvideo", "-video_size", "160x90", "-pixel_format", "yuv420p"]
    (tmp_path / "out.raw").write_bytes(data)
    back = [*FFMPEG, *words, "-framerate", "12.5", "-i", "out.raw", "-c:v", "ffv1", "back.mkv"]
    subprocess.run(back, check=True, cwd=tmp_path)
    assert decoded(tmp_path / "back.mkv") == as_file(clip, tmp_path)


def test_a_pause_is_filled_where_frames_have_no_times(clips: Path, tmp_path: Path) -> None:
    vfr = ["-vf", "select='not(between(n,3,8))'", "-vsync", "vfr", "-c:v", "ffv1", "vfr.mkv"]
    subprocess.run([*FFMPEG, "-i", str(clips / "plain.mkv"), *vfr], check=True, cwd=tmp_path)
    words = ["vfr.mkv", "-o", "-", "--format", "y4m", *QUICK, "--quiet"]
    codes, data, said = through([*RENDER, *words], cwd=tmp_path)
    assert codes == [0], said
    (tmp_path / "out.y4m").write_bytes(data)
    hashes = [line.split(",")[-1] for line in decoded(tmp_path / "out.y4m")]
    assert len(decoded(tmp_path / "vfr.mkv")) == 6
    assert len(hashes) == 12 and len(set(hashes[2:9])) == 1 and len(set(hashes)) == 6


def test_pictures_in_a_row_have_the_rate_that_is_given(clips: Path, tmp_path: Path) -> None:
    pictures = ["-i", str(clips / "plain.mkv"), "-frames:v", "4", "f%d.png"]
    subprocess.run([*FFMPEG, *pictures], check=True, cwd=tmp_path)
    codes, _, said = through(
        ["cat", "f1.png", "f2.png", "f3.png", "f4.png"],
        [*RENDER, "-", "-o", "out.mkv", "--fps", "5", *QUICK],
        cwd=tmp_path,
    )
    assert codes == [0, 0], said
    words = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    shown = subprocess.run([*words, "out.mkv"], check=True, capture_output=True, cwd=tmp_path)
    assert sorted(map(float, shown.stdout.split())) == [0, 0.2, 0.4, 0.6]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_full_disk_behind_stdout_is_one_sentence(clips: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*RENDER, str(clips / "plain.mkv"), "-o", "-", *QUICK, "--quiet"],
            stdout=full, stderr=subprocess.PIPE,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"ncavideo: the disk is full: standard output was not written\n"


def test_a_stream_becomes_a_file_that_begins_at_0(clips: Path, tmp_path: Path) -> None:
    # MPEG-TS begins at 1.4 seconds. A part of it is cut without a seek, with its sound.
    out = tmp_path / "out.mkv"
    codes, _, said = through(
        [*FFMPEG, "-i", str(clips / "sound.mkv"), "-c:v", "mpeg2video", "-f", "mpegts", "-"],
        [*RENDER, "-", "-o", str(out), "--start", "0.2", "--duration", "0.2", *QUICK],
        cwd=tmp_path,
    )
    assert codes[1] == 0, said
    assert "note: levels 0." in said and "taken from the first" in said
    streams = probe(out, "stream=codec_type,start_time")
    assert [stream["codec_type"] for stream in streams] == ["video", "audio"]
    assert all(abs(float(stream["start_time"])) < 0.05 for stream in streams)
    assert len(decoded(out)) == 5
    assert 0.15 < 1024 / 44100 * len(decoded(out, entries="a:0")) < 0.25


@pytest.mark.parametrize("format", ["matroska", "y4m"])
def test_a_closed_pipe_is_a_clean_end(clips: Path, tmp_path: Path, format: str) -> None:
    endless = [*FFMPEG, "-stream_loop", "-1", "-i", str(clips / "plain.mkv")]
    codes, data, said = through(
        [*endless, "-f", "yuv4mpegpipe", "-"],
        [*RENDER, "-", "-o", "-", "--format", format, *QUICK],
        ["head", "-c", "100000"],
        cwd=tmp_path,
    )
    assert codes[1:] == [0, 0] and len(data) == 100000
    assert "note: nobody read standard output after frame" in said
    assert "Traceback" not in said and "damaged" not in said


def test_a_closed_pipe_ends_a_render_that_waits_for_its_input(clips: Path) -> None:
    data = subprocess.run(
        [*FFMPEG, "-i", str(clips / "plain.mkv"), "-f", "yuv4mpegpipe", "-"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    running = subprocess.Popen(
        [*RENDER, "-", "-o", "-", *QUICK, *LEVELS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdin is not None and running.stdout is not None and running.stderr is not None
    running.stdin.write(data)
    running.stdin.flush()
    assert running.stdout.read(20000)
    running.stdout.close()
    assert running.wait(timeout=PATIENCE) == 0
    assert b"nobody read standard output after frame" in running.stderr.read()
    running.stdin.close()
    running.stderr.close()


@pytest.mark.parametrize("content", [b"", b"no video, just words\n" * 100])
def test_nothing_to_read_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").write_bytes(content)
    codes, data, said = through(["cat", "in"], [*RENDER, "-", "-o", "-", *QUICK], cwd=tmp_path)
    assert codes == [0, 2] and data == b""
    assert said.count("\n") == 1 and said.startswith("ncavideo: standard input is ")
    assert ("is empty" in said) == (content == b"")


def test_options_that_a_pipe_cannot_have_are_one_sentence(clips: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from ncavideo.cli.main import main

    def refused(*words: str) -> str:
        done = CliRunner().invoke(main, ["render", *words, *QUICK])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1
        return done.stderr

    clip, out = str(clips / "plain.mkv"), str(tmp_path / "out.mkv")
    assert "a file's suffix says what it is" in refused(clip, "-o", out, "--format", "nut")
    assert "are for standard input" in refused(clip, "-o", out, "--input-size", "4x4")
    assert "is not WIDTHxHEIGHT" in refused("-", "-o", out, "--input-size", "4x")
    assert "no pixel format 'abc'" in refused(
        "-", "-o", out, "--input-size", "4x4", "--input-pix-fmt", "abc"
    )
    assert "give its --input-size" in refused("-", "-o", out, "--input-pix-fmt", "gray")
    assert "is not DARKEST,BRIGHTEST" in refused(clip, "-o", out, "--levels", "0.9,0.1")
    assert "can be read once only" in refused(clip, "-o", out, "--control", "mask:-")
    assert list(tmp_path.iterdir()) == []
    codes, data, said = through(
        [*RENDER, clip, "-o", "-", "--format", "y4m", "--pix-fmt", "rgb24", *QUICK], cwd=tmp_path
    )
    assert codes == [2] and data == b"" and "--format y4m cannot hold rawvideo video in rgb" in said


def test_a_terminal_is_no_place_for_a_stream(clips: Path) -> None:
    try:
        terminal, inner = os.openpty()
    except OSError as error:
        pytest.skip(f"there are no terminals here: {error}")
    for words, streams in (
        ([str(clips / "plain.mkv"), "-o", "-"], {"stdout": inner}),
        (["-", "-o", "out.mkv"], {"stdin": inner}),
    ):
        done = subprocess.run([*RENDER, *words, *QUICK], stderr=subprocess.PIPE, **streams)
        assert done.returncode == 2 and done.stderr.count(b"\n") == 1
        assert b"is a terminal: pipe" in done.stderr
    os.close(terminal)
    os.close(inner)


def test_nothing_but_the_stream_reaches_stdout(clips: Path, tmp_path: Path) -> None:
    # What a library, a child and Python print on the way, and the report.
    said = "import os, sys\nos.write(1, b'C\\n')\nos.system('echo child')\nprint('Python')\n"
    code = (
        "from ncavideo.rendering import clip_levels as module\n"
        "found = module.clip_range\n"
        f"def noisy(lumas):\n    exec({said!r})\n    return found(lumas)\n"
        "module.clip_range = noisy\n"
        "from ncavideo.cli.main import main\nmain()\n"
    )
    words = ["render", str(clips / "plain.mkv"), "-o", "-", *QUICK, "--quiet", "--json"]
    codes, data, errors = through([sys.executable, "-c", code, *words], cwd=tmp_path)
    assert codes == [0], errors
    lines = errors.splitlines()
    assert {"C", "child", "Python"} == set(lines[:3])
    assert json.loads(lines[3])["frames"] == 12
    (tmp_path / "out.mkv").write_bytes(data)
    assert data[:4] == b"\x1a\x45\xdf\xa3" and len(decoded(tmp_path / "out.mkv")) == 12


@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_ends_a_render_that_waits_for_its_input(
    clips: Path, tmp_path: Path, begun: bool
) -> None:
    data = subprocess.run(
        [*FFMPEG, "-i", str(clips / "plain.mkv"), "-f", "yuv4mpegpipe", "-"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    log = tmp_path / "log"
    running = subprocess.Popen(
        [*RENDER, "-", "-o", "-", *QUICK, *LEVELS, "--quiet", "--log-file", str(log)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdin is not None and running.stdout is not None and running.stderr is not None
    if begun:
        running.stdin.write(data)
        running.stdin.flush()
        assert running.stdout.read(20000)  # it renders
    else:
        until(lambda: log.exists() and "command" in log.read_text(), "a log", process=running)
        time.sleep(2)
    running.send_signal(signal.SIGINT)
    running.stdout.close()
    assert running.wait(timeout=PATIENCE) == 130
    assert running.stderr.read() == b"ncavideo: interrupted\n"
    running.stdin.close()
    running.stderr.close()
