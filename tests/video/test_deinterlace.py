"""Interlaced clips are deinterlaced by what their frames say of themselves."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from ncavideo.cli.main import main
from ncavideo.control.footage import LABELS, Footage
from ncavideo.video.reader import SourceFrame, VideoReader
from tests.material import ffmpeg, turn

SIZE, RATE = "160x96", 50
SOURCE = ("-f", "lavfi", "-i", f"testsrc2=size={SIZE}:rate={RATE}:duration=1")
X264 = ("-c:v", "libx264", "-crf", 4)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one moving picture: progressive, and woven into either field order."""
    folder = tmp_path_factory.mktemp("fields")
    ffmpeg(*SOURCE, *X264, folder / "progressive.mp4")
    for order in ("tff", "bff"):
        woven = ("-vf", f"interlace=scan={order}:lowpass=off", "-flags", "+ildct+ilme")
        x264 = (*X264, "-x264-params", f"{order}=1:keyint=10")
        ffmpeg(*SOURCE, *woven, *x264, folder / f"{order}.mp4")
        ffmpeg(*SOURCE, *woven, "-c:v", "mpeg2video", "-q:v", 2, folder / f"{order}.mpg")
    return folder


def frames(clip: Path, **arguments: object) -> list[SourceFrame]:
    with VideoReader(clip, **arguments) as reader:  # type: ignore[arg-type]
        return list(reader)


def error(one: SourceFrame, other: SourceFrame) -> float:
    return float(np.sqrt(np.mean((one.rgb.astype(float) - other.rgb) ** 2)))


@pytest.mark.parametrize("clip", ["tff.mp4", "bff.mp4", "tff.mpg", "bff.mpg"])
def test_a_frame_becomes_the_instant_of_its_first_field(clip: str, clips: Path) -> None:
    moments = frames(clips / "progressive.mp4")
    with VideoReader(clips / clip) as reader:
        made = list(reader)
        assert reader.notes == [
            "the clip is interlaced and was deinterlaced: --fields keep leaves it so"
        ]
    kept = frames(clips / clip, fields="keep")
    assert [(f.pts, f.duration) for f in made] == [(f.pts, f.duration) for f in kept]
    assert len(made) == RATE // 2
    for index in range(1, len(made) - 1):
        first, second = moments[2 * index], moments[2 * index + 1]
        assert error(made[index], first) < 0.75 * error(kept[index], first)
        assert error(made[index], first) < error(made[index], second)


@pytest.mark.parametrize("clip", ["progressive.mp4", "woven-says-the-container.mov"])
def test_progressive_frames_are_left_alone(clip: str, clips: Path, tmp_path: Path) -> None:
    """Also where only the container says that they were interlaced."""
    path = clips / clip
    if clip != "progressive.mp4":
        path = tmp_path / clip
        ffmpeg(*SOURCE, "-c:v", "mpeg2video", "-field_order", "tt", path)
        with av.open(str(path)) as container:
            assert not any(frame.interlaced_frame for frame in container.decode(video=0))
    with VideoReader(path) as reader:
        made = [frame.rgb for frame in reader]
        assert reader.notes == []
    for ours, kept in zip(made, frames(path, fields="keep"), strict=True):
        np.testing.assert_array_equal(ours, kept.rgb)


def test_a_part_has_the_frames_of_the_whole(clips: Path) -> None:
    whole = frames(clips / "tff.mp4")
    part = frames(clips / "tff.mp4", start=0.48, duration=0.2)
    assert [frame.pts for frame in part] == [frame.pts for frame in whole[12:17]]
    for ours, others in zip(part, whole[12:17], strict=True):
        np.testing.assert_array_equal(ours.rgb, others.rgb)


def test_a_clip_that_is_interlaced_in_part(clips: Path, tmp_path: Path) -> None:
    """With a change of size, too: each part goes through a filter of its own."""
    for name, size in (("a.ts", "160x96"), ("b.ts", "96x64")):
        source = ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=50:duration=0.4")
        woven = ("-vf", "interlace=scan=tff", "-flags", "+ildct+ilme", "-c:v", "mpeg2video")
        ffmpeg(*source, *woven, tmp_path / name)
    ffmpeg(*SOURCE, "-t", "0.4", "-r", 25, "-c:v", "mpeg2video", tmp_path / "c.ts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join((tmp_path / n).read_bytes() for n in ("c.ts", "a.ts", "b.ts")))
    with VideoReader(joined) as reader:
        made = list(reader)
        assert reader.notes == [
            "the clip is interlaced in places, and was deinterlaced there: see --fields"
        ]
    kept = frames(joined, fields="keep")
    assert [f.pts for f in made] == [f.pts for f in kept]
    same = [np.array_equal(f.rgb, k.rgb) for f, k in zip(made, kept, strict=True)]
    assert all(same[:10])
    assert not any(same[11:])


def test_one_interlaced_frame(clips: Path) -> None:
    assert len(frames(clips / "tff.mp4", start=0.96)) == 1


def test_a_png_in_seven_passes_has_no_fields(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    adam7 = b"\0abc\0def\0ghijkl"  # of 2x2 pixels, one is in pass 1, one in 6 and two in 7
    path = tmp_path / "adam7.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 1))
        + chunk(b"IDAT", zlib.compress(adam7))
        + chunk(b"IEND", b"")
    )
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame  # FFmpeg's word for it
    with VideoReader(path) as reader:
        rgb = next(iter(reader)).rgb
        assert reader.notes == []
    assert rgb.tobytes() == b"abcdefghijkl"


def test_labels_are_not_mixed_with_those_of_the_other_field(tmp_path: Path) -> None:
    clip = tmp_path / "labels.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=50:duration=0.2", "-vf",
        "format=gray,geq='40*floor(lum(X,Y)/64)',interlace=scan=tff:lowpass=off",
        "-flags", "+ildct+ilme", "-c:v", "ffv1", clip,
    )  # fmt: skip
    labels = Footage(clip, LABELS, "label map", loop=False, rate=25)
    assert set(np.unique(labels.at(0.0))) <= {0, 40, 80, 120}
    labels.close()


def test_colour_depth_and_rotation_stay(tmp_path: Path) -> None:
    clip, turned = tmp_path / "deep.mov", tmp_path / "turned.mov"
    tags = "setparams=range=pc:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    woven = f"interlace=scan=tff,format=yuv422p10,{tags}"
    ffmpeg(*SOURCE, "-vf", woven, "-flags", "+ildct+ilme", *X264, clip)
    turn(clip, turned, 90)
    with VideoReader(turned) as reader, VideoReader(turned, fields="keep") as keeping:
        assert reader.info == keeping.info
        made, kept = list(reader), list(keeping)
        assert reader.notes
    assert made[0].rgb.shape == kept[0].rgb.shape == (160, 96, 3)
    assert made[0].rgb.dtype == np.uint16
    # What does not move is the same, in every colour.
    assert abs(made[5].rgb.astype(float).mean() - kept[5].rgb.astype(float).mean()) < 20


@pytest.mark.slow
@pytest.mark.parametrize("command", ["render", "preview"])
def test_the_user_is_told_once(command: str, clips: Path, tmp_path: Path) -> None:
    said = {}
    for fields in ("deinterlace", "keep"):
        out = tmp_path / f"{fields}{'.mp4' if command == 'render' else '.png'}"
        arguments = [command, str(clips / "bff.mp4"), "-o", str(out), "--rules", "fire,moss"]
        more = ["--warmup", "1", "--steps", "1", "--fields", fields, "--json"]
        result = CliRunner().invoke(main, [*arguments, *more])
        assert result.exit_code == 0, result.output
        said[fields] = json.loads(result.stdout)["notes"]
    assert said["deinterlace"] == [
        "the clip is interlaced and was deinterlaced: --fields keep leaves it so"
    ]
    assert said["keep"] == []
