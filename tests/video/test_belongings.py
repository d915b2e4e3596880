"""What belongs to the picture, beside its pixels: timecode, HDR metadata, names, covers, fonts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import ffmpeg

from ncavideo.video.open_writer import open_writer
from ncavideo.video.pyav import open_input
from ncavideo.video.reader import VideoReader
from ncavideo.video.timecode import moved

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=0.4"]
SOUND = ["-f", "lavfi", "-i", "sine=duration=0.4"]
VIDEO = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
MASTERED = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
DEEP = ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-color_primaries", "bt2020",
        "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]  # fmt: skip


def probe(path: Path, *arguments: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True,
                                                      text=True).stdout)  # fmt: skip
    return found


def through(clip: Path, out: Path, *, start: float | None = None, **options: Any) -> list[str]:
    """Pass a clip through reader and writer; return the notes."""
    with (
        VideoReader(clip, start=start) as reader,
        open_writer(out, reader, **options) as writer,
    ):
        told = list(writer.notes)
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
        assert writer.notes == told
        return told


class TestTimecode:
    @given(st.integers(0, 2589407), st.integers(-3000000, 3000000), st.sampled_from([30, 60]))
    def test_drop_frame_timecode_counts_every_frame(self, at: int, by: int, whole: int) -> None:
        rate = Fraction(whole * 1000, 1001)
        here = moved("00:00:00;00", at, rate)
        assert here is not None
        minute, second, frame = int(here[3:5]), int(here[6:8]), int(here[9:])
        assert minute % 10 == 0 or second or frame >= whole // 15
        there = moved(here, by, rate)
        assert there is not None
        assert moved(there, -by, rate) == here

    @pytest.mark.parametrize(
        ("code", "frames", "rate", "right"),
        [
            ("01:02:03:04", 30, Fraction(25), "01:02:04:09"),
            ("00:00:00:00", -1, Fraction(25), "23:59:59:24"),
            # SMPTE ST 12-1: two numbers are left out, but not in every tenth minute.
            ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
            ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
            ("00:00:00;00", 107892, Fraction(30000, 1001), "01:00:00;00"),
            ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
            ("01:00:00;00", 1, Fraction(25), None),
            ("01:00:00:30", 1, Fraction(25), None),
            ("noon", 1, Fraction(25), None),
        ],
    )
    def test_known_answers(self, code: str, frames: int, rate: Fraction, right: str | None) -> None:
        assert moved(code, frames, rate) == right


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a clip once."""
    folder = tmp_path_factory.mktemp("belongings")

    def make(name: str, *arguments: object) -> Path:
        path = folder / name
        if not path.exists():
            ffmpeg(*arguments, path)
        return path

    return make


@pytest.mark.slow
class TestKept:
    @pytest.mark.parametrize(
        ("name", "codec"),
        [("o.mov", "prores"), ("o.mov", None), ("o.mp4", None), ("o.mkv", None), ("o.webm", None)],
    )
    def test_timecode(
        self, name: str, codec: str | None, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        clip = make("timecode.mov", *PICTURE, *VIDEO, "-timecode", "01:02:03:04")
        for start, right in ((None, "01:02:03:04"), (0.2, "01:02:03:09")):
            out = tmp_path / f"{start}{name}"
            assert through(clip, out, codec=codec, start=start) == []
            streams = probe(out, "-show_streams")["streams"]
            found = {key.lower(): value for key, value in streams[0]["tags"].items()}
            assert found["timecode"] == right
            tracks = [s["tags"]["timecode"] for s in streams if s.get("codec_tag_string") == "tmcd"]
            assert tracks == ([right] if name.endswith(("mov", "mp4")) else [])
        assert len(through(clip, tmp_path / f"lead{name}", codec=codec, lead=-0.08)) == 0
        tags = probe(tmp_path / f"lead{name}", "-show_streams")["streams"][0]["tags"]
        assert {k.lower(): v for k, v in tags.items()}["timecode"] == "01:02:03:02"

    def test_timecode_that_the_muxer_refuses_is_told(
        self, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        """Drop-frame timecode at 25 frames a second."""
        clip = make("wrong.mkv", *PICTURE, *VIDEO, "-metadata:s:v", "timecode=01:02:03;04")
        notes = through(clip, tmp_path / "o.mov")
        assert notes == ["the timecode was left out: the container cannot hold it"]
        assert through(clip, tmp_path / "o.mkv") == []

    @pytest.mark.parametrize(
        ("name", "codec"), [("o.mp4", "h265"), ("o.mkv", "h265"), ("o.mp4", "av1"),
                            ("o.mkv", "av1"), ("o.mp4", "h264")]
    )  # fmt: skip
    def test_static_hdr_metadata(
        self, name: str, codec: str, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        clip = make(
            "hdr10.mkv", *PICTURE, *DEEP, "-x265-params",
            f"log-level=none:master-display={MASTERED}:max-cll=1000,400",
        )  # fmt: skip
        out = tmp_path / name
        notes = through(clip, out, codec=codec)
        assert [note for note in notes if "8-bit" not in note] == []
        with VideoReader(clip) as before, VideoReader(out) as after:
            one, other = before.info.hdr, after.info.hdr
        assert one.display is not None and other.display is not None
        assert one.light == other.light == (1000, 400)
        for ours, theirs in zip(vars(other.display).values(), vars(one.display).values(),
                                strict=True):  # fmt: skip
            ours, theirs = ([v] if isinstance(v, Fraction) else v for v in (ours, theirs))
            for our, their in zip(ours, theirs, strict=True):
                # AV1 counts in 1/65536 for colours and in 1/16384 cd/m2 for black.
                assert float(our) == pytest.approx(float(their), rel=1e-3, abs=4e-5)

    def test_static_hdr_metadata_that_an_encoder_cannot_write_are_told(
        self, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        clip = make(
            "hdr10.mkv", *PICTURE, *DEEP, "-x265-params",
            f"log-level=none:master-display={MASTERED}:max-cll=1000,400",
        )  # fmt: skip
        notes = through(clip, tmp_path / "o.webm")
        assert any("mastering display and light level were left out" in note for note in notes)
        assert through(clip, tmp_path / "o.mov", codec="prores")

    @pytest.mark.parametrize("what", ["Dolby Vision", "HDR10+"])
    def test_dynamic_hdr_metadata_are_dropped_and_told(
        self, what: str, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        plain = make("plain.hevc", *PICTURE, *DEEP, "-x265-params", "log-level=none")
        clip = tmp_path / "clip.mp4"
        raw = tmp_path / "raw.hevc"
        raw.write_bytes(with_unit(plain.read_bytes(), what))
        ffmpeg("-framerate", 25, "-i", raw, "-c", "copy", clip)
        with VideoReader(clip) as reader:
            assert reader.info.hdr.dynamic == (what,)
        out = tmp_path / "o.mp4"
        notes = through(clip, out, codec="h265")
        assert notes == [
            f"the {what} metadata were left out: they describe the pixels of the source's frames"
        ]
        with VideoReader(out) as reader:
            assert reader.info.hdr.dynamic == ()

    @pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
    def test_the_pictures_language_and_name(
        self, suffix: str, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        clip = make("named.mkv", *PICTURE, *VIDEO, "-metadata:s:v", "language=fra",
                    "-metadata:s:v", "title=The main picture")  # fmt: skip
        out = tmp_path / f"o.{suffix}"
        assert through(clip, out) == []
        tags = probe(out, "-show_streams")["streams"][0]["tags"]
        assert tags["language"] == "fra"
        name = "handler_name" if suffix in ("mp4", "mov") else "title"
        assert tags[name] == "The main picture"

    @pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
    def test_quicktime_keys(self, suffix: str, make: Callable[..., Path], tmp_path: Path) -> None:
        clip = make("keys.mov", *PICTURE, *VIDEO, "-movflags", "use_metadata_tags", "-metadata",
                    "com.apple.quicktime.make=Apple", "-metadata", "title=A title")  # fmt: skip
        out = tmp_path / f"o.{suffix}"
        assert through(clip, out) == []
        tags = probe(out, "-show_format")["format"]["tags"]
        found = {key.lower(): value for key, value in tags.items()}
        assert found["com.apple.quicktime.make"] == "Apple"
        assert found["title"] == "A title"

    def test_tags_that_a_container_cannot_hold_are_told(
        self, make: Callable[..., Path], tmp_path: Path
    ) -> None:
        clip = make("tags.mkv", *PICTURE, *VIDEO, "-metadata", "WEATHER=rain",
                    "-metadata", "title=A title")  # fmt: skip
        notes = through(clip, tmp_path / "o.mp4")
        assert notes == ["left out of the file's tags, which the container cannot hold: WEATHER"]
        assert through(clip, tmp_path / "o.mkv") == []

    @pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
    def test_fonts_and_covers(self, suffix: str, make: Callable[..., Path], tmp_path: Path) -> None:
        cover, font = make("cover.jpg", *PICTURE, "-frames:v", 1), tmp_path / "font.ttf"
        font.write_bytes(b"\0\1\0\0" + bytes(range(256)) * 40)
        clip = tmp_path / "clip.mkv"
        ffmpeg(
            *PICTURE, *SOUND, *VIDEO, "-c:a", "libopus", "-attach", font, "-metadata:s:t:0",
            "mimetype=font/ttf", "-attach", cover, "-metadata:s:t:1", "mimetype=image/jpeg",
            "-metadata:s:t:1", "filename=cover.jpg", clip,
        )  # fmt: skip
        out = tmp_path / f"o.{suffix}"
        notes = "; ".join(through(clip, out))
        streams = probe(out, "-show_streams")["streams"]
        covers = [s for s in streams if s["disposition"]["attached_pic"]]
        kept = suffix in ("mkv", "mp4")
        assert bool(covers) == kept
        assert ("cover picture in mjpeg was left out" in notes) != kept
        assert ("attachment in font.ttf was left out" in notes) == (suffix != "mkv")
        if suffix == "mkv":
            with open_input(str(out)) as back:
                (copy,) = (s for s in back.streams if s.type == "attachment")
                assert copy.data == font.read_bytes()
        if kept:
            picture = ["ffmpeg", "-v", "error", "-i", str(out), "-map",
                       f"0:{covers[0]['index']}", "-c", "copy", "-f", "data", "-"]  # fmt: skip
            data = subprocess.run(picture, check=True, capture_output=True).stdout
            assert data == cover.read_bytes()


def with_unit(stream: bytes, what: str) -> bytes:
    """Return an HEVC byte stream with a unit of dynamic metadata in every picture."""
    if what == "Dolby Vision":
        unit = b"\0\0\0\1\x7c\x01" + b"\x19" + bytes(range(1, 40))
    else:
        # ITU-T T.35: United States, Samsung; ST 2094-40 in version 1 with one window.
        bits = "".join(
            f"{value:0{width}b}"
            for value, width in ((0xB5, 8), (0x3C, 16), (1, 16), (4, 8), (1, 8), (1, 2), (400, 27),
                                 (0, 1), (9000, 17), (9000, 17), (9000, 17), (5000, 17), (0, 4),
                                 (5, 10), (0, 1), (0, 1), (0, 1))
        )  # fmt: skip
        bits += "0" * (-len(bits) % 8)
        payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
        body = bytes([4, len(payload)]) + payload + b"\x80"
        for zeros in (b"\0\0\0", b"\0\0\1", b"\0\0\2", b"\0\0\3"):
            body = body.replace(zeros, b"\0\0\3" + zeros[2:])
        unit = b"\0\0\0\1\x4e\x01" + body
    # Every unit begins with 0, 0, 1; those of pictures have a type below 32.
    units = [b"\0\0\1" + part for part in stream.split(b"\0\0\1")[1:]]
    made = b""
    for part in units:
        picture = (part[3] >> 1 & 63) < 32
        # Dolby Vision's comes last in its picture, HDR10+ before its slices.
        after = picture and what == "Dolby Vision"
        made += (part + unit) if after else (unit + part) if picture else part
    return made
