"""Reader and writer: what goes through them comes out with its times, sound, colour and names."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

import material
import numpy as np
import pytest
from material import ODD, QUICK, SMALL, TONE, ffmpeg

from ncavideo.util.errors import UserError
from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader

pytestmark = pytest.mark.slow


def probe(path: Path, *arguments: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def video(path: Path) -> dict[str, Any]:
    stream: dict[str, Any] = probe(path, "-select_streams", "v:0", "-show_streams")["streams"][0]
    return stream


def times(path: Path) -> list[float]:
    frames = probe(path, "-select_streams", "v:0", "-show_entries", "frame=pts_time")["frames"]
    return [float(f["pts_time"]) for f in frames]


def sound(path: Path, index: int = 0) -> str:
    """Return a digest of a sound stream's packets, bit for bit."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:a:{index}", "-c", "copy"]
    run = subprocess.run([*command, "-f", "data", "-"], check=True, capture_output=True)
    assert run.stdout
    return hashlib.sha256(run.stdout).hexdigest()


def through(clip: Path, out: Path, *, start=None, duration=None, **options: Any) -> Any:
    """Pass a clip through reader and writer with nothing in between."""
    with (
        VideoReader(clip, start=start, duration=duration) as reader,
        open_writer(out, reader, **options) as writer,
    ):
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
        return reader, writer


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for name, arguments in ODD.values():
        ffmpeg(*arguments, folder / name)
    return folder


@pytest.mark.parametrize("case", ODD)
def test_times_and_sound_are_kept(case: str, clips: Path, tmp_path: Path) -> None:
    clip = clips / ODD[case][0]
    out = tmp_path / f"out{clip.suffix}"
    reader, _ = through(clip, out)
    assert reader.loss is None
    before, after = times(clip), times(out)
    tick = float(Fraction(video(out)["time_base"]))
    assert len(after) == len(before)
    late = before[0] if case == "late start" else 0  # a clip's own time begins at 0
    assert after == pytest.approx([time - late for time in before], abs=tick + 1e-6)
    lengths = [float(probe(p, "-show_format")["format"]["duration"]) for p in (clip, out)]
    assert lengths[1] == pytest.approx(lengths[0] - late, abs=max(2 * tick, 5e-3))
    streams = [s for s in probe(clip, "-show_streams")["streams"] if s["codec_type"] == "audio"]
    for index, stream in enumerate(streams):
        assert sound(clip, index) == sound(out, index)
        copies = probe(out, "-select_streams", f"a:{index}", "-show_streams")["streams"]
        assert copies[0].get("tags", {}).get("language") == stream.get("tags", {}).get("language")
    sizes = [(video(p)["width"], video(p)["height"]) for p in (clip, out)]
    assert sizes[0] == sizes[1]
    if video(clip).get("sample_aspect_ratio", "1:1") not in ("1:1", "N/A"):
        assert video(out)["sample_aspect_ratio"] == video(clip)["sample_aspect_ratio"]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def as_rgb(path: Path, width: int, height: int) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3).astype(int)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_applied(turn: int, clips: Path, tmp_path: Path) -> None:
    clip, out = tmp_path / "turned.mp4", tmp_path / "out.mp4"
    material.turn(clips / "plain.mp4", clip, turn)
    through(clip, out, crf=4)
    width, height = (108, 192) if turn % 180 else (192, 108)
    assert (video(out)["width"], video(out)["height"]) == (width, height)
    assert "side_data_list" not in video(out)
    # ffmpeg turns the picture by itself as a player does.
    assert np.abs(as_rgb(clip, width, height) - as_rgb(out, width, height)).mean() < 3


ONE = material.ONE


@pytest.mark.parametrize(
    "matrix",
    [
        (ONE, 0, 0, ONE), (-ONE, 0, 0, ONE), (ONE, 0, 0, -ONE), (-ONE, 0, 0, -ONE),
        (0, ONE, ONE, 0), (0, -ONE, ONE, 0), (0, ONE, -ONE, 0), (0, -ONE, -ONE, 0),
    ],
)  # fmt: skip
def test_every_orientation_is_applied(
    matrix: tuple[int, int, int, int], clips: Path, tmp_path: Path
) -> None:
    clip, plain = tmp_path / "oriented.mp4", clips / "plain.mp4"
    material.orient(plain, clip, matrix)
    a, b, c, d = (value // ONE for value in matrix)
    with VideoReader(plain) as reader:
        stored = next(iter(reader)).rgb
    # A pixel at (x, y) is shown at (a x + c y, b x + d y), moved back into the frame.
    y, x = np.indices(stored.shape[:2])
    columns, rows = a * x + c * y, b * x + d * y
    columns, rows = columns - columns.min(), rows - rows.min()
    expected = np.zeros((rows.max() + 1, columns.max() + 1, 3), np.uint8)
    expected[rows, columns] = stored
    with VideoReader(clip) as reader:
        assert (reader.info.width, reader.info.height) == (expected.shape[1], expected.shape[0])
        assert (next(iter(reader)).rgb == expected).all()
    width, height = expected.shape[1], expected.shape[0]
    assert np.abs(as_rgb(clip, width, height)[0] - expected).mean() < 3


def test_the_default_video_stream_is_rendered(clips: Path, tmp_path: Path) -> None:
    for default, words in ((1, "number 2, the default one,"), (0, "the first")):
        clip = tmp_path / f"{default}.mkv"
        ffmpeg(*SMALL, "-f", "lavfi", "-i", "color=red:size=64x48:rate=25:duration=0.8", "-map", 0,
               "-map", 1, *QUICK, "-disposition:v", 0, f"-disposition:v:{default}", "default",
               clip)  # fmt: skip
        reader, _ = through(clip, tmp_path / "out.mp4", overwrite=True)
        assert reader.info.width == (64 if default else 192)
        assert reader.notes == [f"the clip has 2 video streams: {words} is rendered, and no other"]
    with VideoReader(clips / "plain.mp4") as reader:
        assert reader.notes == []


@pytest.mark.parametrize("rate", [30, 60, 120])
def test_a_gif_lasts_as_long_as_its_clip(rate: int, tmp_path: Path) -> None:
    clip, out = tmp_path / "in.mp4", tmp_path / "out.gif"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate={rate}:duration=1", *QUICK, clip)
    _, writer = through(clip, out)
    data = out.read_bytes()
    # The delays of its Graphic Control Extensions; browsers slow down those of less than 2.
    places = [n for n in range(len(data)) if data[n : n + 3] == b"\x21\xf9\x04"]
    delays = [int.from_bytes(data[n + 4 : n + 6], "little") for n in places]
    assert min(delays) >= 2
    assert sum(delays) == pytest.approx(100, abs=1)
    dropped = rate - len(delays)
    assert writer.notes == (
        [f"a GIF shows at most 50 frames a second: {dropped} of {rate} were left out"]
        if rate > 50
        else []
    )


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
def test_colour_survives(matrix: str, full: bool, tmp_path: Path) -> None:
    clip, out = tmp_path / "colour.mkv", tmp_path / "out.mp4"
    tag = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}[matrix]
    scaler = f"scale=out_color_matrix={matrix}:out_range={'pc' if full else 'tv'}"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=5:duration=0.4", "-vf",
        f"{scaler},format=yuv444p", "-colorspace", tag, "-color_range", "pc" if full else "tv",
        "-c:v", "libx264", "-qp", 4, clip,
    )  # fmt: skip
    through(clip, out, crf=4, pix_fmt="yuv444p")
    assert video(out)["color_space"] == tag
    assert video(out)["color_range"] == ("pc" if full else "tv")
    before, after = as_rgb(clip, 192, 108), as_rgb(out, 192, 108)
    assert np.abs(before - after).mean() < 2
    with VideoReader(clip) as reader:
        ours = np.stack([frame.rgb for frame in reader]).astype(int)
    assert np.abs(before - ours).mean() < 2


def test_deep_sources_are_read_in_16_bits_and_written_in_10(clips: Path, tmp_path: Path) -> None:
    with VideoReader(clips / "deep.mp4") as reader:
        assert next(iter(reader)).rgb.dtype == np.uint16
    out = tmp_path / "out.mp4"
    through(clips / "deep.mp4", out, codec="h265")
    assert video(out)["pix_fmt"] == "yuv420p10le"
    assert video(out)["codec_tag_string"] == "hvc1"
    _, writer = through(clips / "deep.mp4", tmp_path / "eight.mp4")
    assert any("8-bit" in note for note in writer.notes)


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("h264", ".mov", "h264"),
        ("h265", ".mkv", "hevc"),
        ("vp9", ".webm", "vp9"),
        ("av1", ".mp4", "av1"),
        ("prores", ".mov", "prores"),
        ("ffv1", ".mkv", "ffv1"),
        (None, ".gif", "gif"),
    ],
)
def test_codecs_are_faithful_and_repeatable(
    codec: str | None, suffix: str, name: str, clips: Path, tmp_path: Path
) -> None:
    first, second = (tmp_path / f"{n}{suffix}" for n in "ab")
    for out in (first, second):
        _, writer = through(clips / "plain.mp4", out, codec=codec)
    assert video(first)["codec_name"] == name
    assert len(times(first)) == 20
    assert first.read_bytes() == second.read_bytes()
    difference = as_rgb(clips / "plain.mp4", 192, 108) - as_rgb(first, 192, 108)
    assert np.abs(difference).mean() < (14 if suffix == ".gif" else 6)
    # AAC cannot go into WebM: it is left out, and said.
    assert bool(writer.notes) == (suffix == ".webm")


def test_subtitles_chapters_and_names_are_copied(clips: Path, tmp_path: Path) -> None:
    words, chapters = tmp_path / "words.srt", tmp_path / "chapters.txt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,500\nhello\n")
    chapters.write_text(
        ";FFMETADATA1\ntitle=A title\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=One\n"
    )
    for suffix, subtitle in ((".mkv", "srt"), (".mp4", "mov_text")):
        clip, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
        ffmpeg(
            "-i", clips / "plain.mp4", "-i", words, "-i", chapters, "-map", "0", "-map", "1",
            "-map_metadata", 2, "-c", "copy", "-c:s", subtitle, clip,
        )  # fmt: skip
        through(clip, out)
        data = probe(out, "-show_streams", "-show_format", "-show_chapters")
        kinds = [s["codec_type"] for s in data["streams"]]
        assert kinds.count("subtitle") == 1
        assert data["format"]["tags"]["title"] == "A title"
        assert [c["tags"]["title"] for c in data["chapters"]] == ["One"]


def test_a_part_starts_at_zero_with_its_sound(clips: Path, tmp_path: Path) -> None:
    for name in ("plain.mp4", "late.mkv"):
        out = tmp_path / f"part-{name}"
        reader, _ = through(clips / name, out, start=0.2, duration=0.4)
        assert reader.loss is None
        assert times(out) == pytest.approx([i / 25 for i in range(10)], abs=4e-3)
        packets = probe(out, "-select_streams", "a:0", "-show_entries", "packet=pts_time")
        stamps = [float(p["pts_time"]) for p in packets["packets"]]
        assert -0.03 < min(stamps) < 0.03
        assert 0.33 < max(stamps) < 0.42
    with pytest.raises(UserError, match="no frame at"):
        VideoReader(clips / "plain.mp4", start=50)


def test_cover_art_is_not_the_video(clips: Path, tmp_path: Path) -> None:
    song, cover = tmp_path / "song.m4a", tmp_path / "cover.jpg"
    ffmpeg("-i", clips / "plain.mp4", "-frames:v", 1, cover)
    ffmpeg(
        *TONE, "-i", cover, "-map", 0, "-map", 1, "-c:a", "aac", "-c:v", "copy",
        "-disposition:v:0", "attached_pic", song,
    )  # fmt: skip
    with pytest.raises(UserError, match="sound but no video"):
        VideoReader(song)


def test_numbered_pictures(clips: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "frame_%03d.png"
    through(clips / "plain.mp4", pattern)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"frame_{i:03}.png" for i in range(1, 21)]
    with pytest.raises(UserError, match="overwrite"):
        through(clips / "plain.mp4", pattern)
    with pytest.raises(UserError, match="%05d"):
        through(clips / "plain.mp4", tmp_path / "still.png")


def test_codecs_that_do_not_fit_are_told(clips: Path, tmp_path: Path) -> None:
    for out, options, word in (
        ("a.webm", {"codec": "h264"}, "webm cannot hold"),
        ("a.mp4", {"codec": "nonsense"}, "nonsense"),
        ("a.mkv", {"codec": "aac"}, "not a video encoder"),
        ("a.mov", {"codec": "prores", "crf": 12.0}, "no --crf"),
        ("a.mp4", {"pix_fmt": "pal8"}, "pix-fmt"),
        ("a.mp4", {"pix_fmt": "nonsense"}, "pix-fmt"),
    ):
        with pytest.raises(UserError, match=word):
            through(clips / "plain.mp4", tmp_path / out, **options)
        assert not list(tmp_path.iterdir()), (out, options)


def test_an_error_in_the_middle_leaves_nothing(clips: Path, tmp_path: Path) -> None:
    for name in ("out.mp4", "frame_%02d.png"):
        with (
            pytest.raises(ZeroDivisionError),
            VideoReader(clips / "plain.mp4") as reader,
            open_writer(tmp_path / name, reader) as writer,
        ):
            frame = next(iter(reader))
            writer.write(frame.rgb, frame.pts, frame.duration)
            _ = 1 / 0
        assert not list(tmp_path.iterdir())


def test_h264_is_repeatable_many_times(clips: Path, tmp_path: Path) -> None:
    """One in three encodes differed while x264's macroblock tree was on."""
    digests = set()
    for index in range(12):
        out = tmp_path / f"{index}.mp4"
        through(clips / "plain.mp4", out)
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("h265", ".mkv"), ("vp9", ".webm"),
                                               ("av1", ".mp4"), ("ffv1", ".mkv")])  # fmt: skip
def test_the_number_of_cores_changes_no_bit(codec: str, suffix: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"  # of a size at which x264 would use more threads by itself
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=384x288:rate=25:duration=0.4", *QUICK, clip)
    script = """
        import os, sys
        from pathlib import Path
        clip, out, codec, cores = sys.argv[1:]
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
        from ncavideo.video.reader import VideoReader
        from ncavideo.video.open_writer import open_writer
        with VideoReader(Path(clip)) as reader, open_writer(Path(out), reader, codec=codec) as to:
            for frame in reader:
                to.write(frame.rgb, frame.pts, frame.duration)
            to.close()
    """
    files = []
    for cores in ("1", "64"):
        out = tmp_path / f"{cores}{suffix}"
        command = [sys.executable, "-c", textwrap.dedent(script), str(clip)]
        subprocess.run([*command, str(out), codec, cores], check=True)
        files.append(out.read_bytes())
    assert files[0] == files[1]


def test_frames_of_rgb_with_gaps_between_their_rows_are_contiguous(tmp_path: Path) -> None:
    # FFmpeg's PNG decoder aligns rows; the compiled loops take none with gaps.
    clip = tmp_path / "clip.mov"
    words = ["-f", "lavfi", "-i", "testsrc2=s=170x90:r=5:d=1", "-c:v", "png", "-pix_fmt", "rgb24"]
    subprocess.run(["ffmpeg", "-v", "error", *words, str(clip)], check=True)
    with VideoReader(clip) as reader:
        frames = list(reader)
    assert len(frames) == 5
    assert all(frame.rgb.flags.c_contiguous for frame in frames)
