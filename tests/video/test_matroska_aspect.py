"""Pixels that are not square, in Matroska and WebM: in every codec, with whatever lies behind."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import ffmpeg

from ncavideo.video.matroska_aspect import with_aspect
from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader

pytestmark = pytest.mark.slow

SMALL = "testsrc2=size=64x48:rate=25:duration=0.2"


def probe(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_packets",
               "-show_chapters", str(path)]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With sound, a font, chapters and tags, all of which lie behind the tracks."""
    folder = tmp_path_factory.mktemp("aspect")
    path, font, names = folder / "wide.mkv", folder / "font.ttf", folder / "names.txt"
    font.write_bytes(b"font" * 5000)
    names.write_text(";FFMETADATA1\ntitle=wide\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\n")
    ffmpeg("-f", "lavfi", "-i", SMALL, "-f", "lavfi", "-i", "sine=duration=0.2", "-i", names,
           "-map_metadata", 2, "-map", 0, "-map", 1, "-attach", font, "-metadata:s:t",
           "mimetype=application/x-truetype-font", "-vf", "setsar=4/3", "-c:v", "ffv1", "-c:a",
           "libopus", path)  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("vp9", ".webm"), ("ffv1", ".mkv"), ("av1", ".webm"), ("prores", ".mkv"), ("h264", ".mkv")],
)
def test_pixels_keep_their_shape(codec: str, suffix: str, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    with VideoReader(clip) as reader, open_writer(out, reader, codec=codec) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
    found, before = probe(out), probe(clip)
    assert found["streams"][0]["sample_aspect_ratio"] == "4:3"
    kinds = ["video", "audio", *(["attachment"] if suffix == ".mkv" else [])]
    assert [stream["codec_type"] for stream in found["streams"]] == kinds
    assert len(found["packets"]) == len(before["packets"])
    assert len(found["chapters"]) == 1
    # The index is where the table of contents says.
    command = ["ffmpeg", "-v", "error", "-ss", "0.1", "-i", str(out), "-f", "null", "-"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stderr == ""


@given(st.binary(max_size=200))
def test_what_is_no_matroska_is_left_alone(data: bytes) -> None:
    assert with_aspect(data, Fraction(4, 3)) is None


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_header_raises_nothing(clip: Path, place: int, value: int) -> None:
    head = bytearray(clip.read_bytes()[:2000])
    assert with_aspect(bytes(head), Fraction(3, 2)) is not None
    head[place % len(head)] = value
    with_aspect(bytes(head), Fraction(3, 2))
