"""What goes into an output beside the picture: copied, or left out and told before work begins."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import CliRunner
from material import ffmpeg

from ncavideo.cli.main import main
from ncavideo.util.errors import OutputError, RefusedError, UserError
from ncavideo.video.clip_writer import ClipWriter
from ncavideo.video.muxing import open_muxer
from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader

pytestmark = pytest.mark.slow

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=0.4"]
SOUND = ["-f", "lavfi", "-i", "sine=duration=0.4"]
VIDEO = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
# The codec of the sound, the clip's suffix, and the containers that hold it.
SOUNDS = {
    "dca": (".mkv", [".mp4", ".mov", ".mkv"], ["-strict", "-2", "-ar", "48000"]),
    "truehd": (".mkv", [".mkv"], ["-strict", "-2", "-ar", "48000", "-ac", "2"]),
    "libopus": (".mkv", [".mp4", ".mkv", ".webm"], []),
    "flac": (".mkv", [".mp4", ".mkv"], []),
    "aac": (".ts", [".mp4", ".mov", ".mkv"], []),
    "wmav2": (".asf", [".mkv"], []),
    "adpcm_ms": (".avi", [".mkv"], []),
    "pcm_alaw": (".avi", [".mov", ".mkv"], []),
    # Two channels without a layout, as AVI has them.
    "pcm_s16le": (".avi", [".mp4", ".mov", ".mkv"], ["-ac", "2"]),
}
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a clip once."""
    folder = tmp_path_factory.mktemp("copies")

    def make(name: str, *arguments: object) -> Path:
        path = folder / name
        if not path.exists():
            ffmpeg(*arguments, path)
        return path

    return make


def with_sound(make: Callable[..., Path], codec: str) -> Path:
    suffix, _, more = SOUNDS[codec]
    return make(f"{codec}{suffix}", *PICTURE, *SOUND, *VIDEO, "-c:a", codec, *more)


def through(clip: Path, out: Path, **options: Any) -> list[str]:
    """Pass a clip through reader and writer; return the notes."""
    with VideoReader(clip) as reader, open_writer(out, reader, **options) as writer:
        told = list(writer.notes)
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
        assert writer.notes == told  # all is known before the first frame
        return told


def packets(path: Path, stream: str) -> tuple[str, str]:
    """Return a stream's codec, and a digest of its packets as the file holds them."""
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-of", "json", "-show_streams",
               "-show_packets", "-show_data_hash", "sha256", str(path)]  # fmt: skip
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if not found["streams"]:
        return "", ""
    digests = "".join(packet["data_hash"] for packet in found["packets"])
    return found["streams"][0]["codec_name"], hashlib.sha256(digests.encode()).hexdigest()


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("codec", SOUNDS)
def test_sound_is_copied_where_the_muxer_takes_it(
    codec: str, suffix: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    clip, out = with_sound(make, codec), tmp_path / f"out{suffix}"
    notes = through(clip, out)
    if suffix not in SOUNDS[codec][1]:
        assert packets(out, "a") == ("", "")
        assert len(notes) == 1
        assert "the sound stream in" in notes[0]
        assert "cannot hold it (an .mkv output can)" in notes[0]
    else:
        assert notes == []
        name, digest = packets(out, "a")
        assert name == packets(clip, "a")[0]
        # A TS has a header before each packet of AAC, which other containers have once.
        assert digest == packets(clip, "a")[1] or clip.suffix == ".ts"
    assert len(packets(out, "v")[1]) == 64
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_declared_streams_without_packets_are_left_out(
    suffix: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    two = make("two.ts", *PICTURE, *SOUND, *SOUND, "-map", 0, "-map", 1, "-map", 2, *VIDEO,
               "-c:a", "aac")  # fmt: skip
    data = two.read_bytes()
    parts = (data[i : i + 188] for i in range(0, len(data), 188))
    clip, out = tmp_path / "silent.ts", tmp_path / f"out{suffix}"
    clip.write_bytes(b"".join(p for p in parts if ((p[1] & 31) << 8 | p[2]) != 0x102))
    notes = through(clip, out)
    assert "the sound stream 2 in aac was left out: the clip declares it" in notes[-1]
    assert len(notes) == (2 if suffix == ".webm" else 1)
    assert packets(out, "a:0")[0] == ("" if suffix == ".webm" else "aac")
    assert packets(out, "a:1") == ("", "")


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_video_that_the_muxer_refuses_is_told_before_any_frame(
    codec: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    """QuickTime's muxer has the codec in its table, and refuses its header."""
    clip, out, log = with_sound(make, "aac"), tmp_path / "out.mov", tmp_path / "log.jsonl"
    result = CliRunner().invoke(
        main,
        ["render", str(clip), "-o", str(out), "--rules", "fire", "--codec", codec,
         "--log-file", str(log)],
    )  # fmt: skip
    assert result.exit_code == 2, result.output
    assert f"mov cannot hold {codec} video" in result.output
    assert not out.exists()
    # A render that begins says so before its first frame.
    assert "render.begin" not in log.read_text()


def test_strict_streams_refuses_what_would_be_left_out(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    clip = with_sound(make, "libopus")
    with pytest.raises(UserError, match=r"opus was left out.*--strict-streams"):
        through(clip, tmp_path / "out.mov", strict=True)
    assert list(tmp_path.iterdir()) == []
    through(clip, tmp_path / "out.mkv", strict=True)


def test_what_is_left_out_is_told_at_the_beginning(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    clip, out = with_sound(make, "libopus"), tmp_path / "out.mov"
    result = CliRunner().invoke(
        main,
        ["render", str(clip), "-o", str(out), "--rules", "fire", "--steps", "1", "--warmup", "0",
         "--cell", "8", "--quiet", "--json", "--log-file", str(tmp_path / "log")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["notes"]) == 1
    assert "render.begin" in (tmp_path / "log").read_text()
    loud = CliRunner().invoke(
        main,
        ["render", str(clip), "-o", str(out), "--rules", "fire", "--steps", "1", "--warmup", "0",
         "--cell", "8", "--overwrite"],
    )  # fmt: skip
    assert loud.output.count("note: the sound stream in opus was left out") == 1
    assert loud.output.index("note: the sound") < loud.output.index("frames,")


def test_the_tee_muxer_takes_any_file_name(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "a|b [c] 'd' \\e ü"
    folder.mkdir()
    through(with_sound(make, "adpcm_ms"), folder / "out|1.mkv")
    assert packets(folder / "out|1.mkv", "a")[0] == "adpcm_ms"
    with (
        av.open(str(with_sound(make, "adpcm_ms"))) as source,
        pytest.raises(ValueError, match="does not support"),  # hence the tee muxer
    ):
        output = open_muxer(io.BytesIO(), "matroska", {})
        output.add_stream_from_template(source.streams.audio[0], opaque=True)


def test_only_the_systems_errors_may_pass(make: Callable[..., Path], tmp_path: Path) -> None:
    with (
        VideoReader(with_sound(make, "aac")) as reader,
        open_writer(tmp_path / "out.mp4", reader) as writer,
    ):
        assert isinstance(writer, ClipWriter)
        full = writer._failed(av.error.OSError(errno.ENOSPC, "No space left on device"))
        assert type(full) is OutputError
        for error in (av.error.ArgumentError(errno.EINVAL, "x"), av.error.InvalidDataError(1, "x")):
            assert type(writer._failed(error)) is RefusedError
