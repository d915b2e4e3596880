"""Clips whose times are odd come out as players show them, in every container."""

from __future__ import annotations

import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from material import ffmpeg

from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader
from ncavideo.video.survey import clip_length

pytestmark = pytest.mark.slow

SMALL = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1"]
TONE = ["-f", "lavfi", "-i", "sine=duration=1"]
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
NTSC = "testsrc2=size=64x48:rate=30000/1001:duration=1"
WRAP = 2**33 / 90000  # seconds after which a transport stream's counter begins anew
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm")


def pack(source: Path, target: Path) -> None:
    """Write an AVI whose B-frames lie in one packet with the frame before them, as of DivX 5."""
    start = b"\0\0\1\xb6"
    with av.open(str(source)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
        out: list[bytes] = []
        for packet in packets:
            if packet[packet.index(start) + 4] >> 6 == 2:  # a B-frame
                empty = start + b"\x51\x8f\x7f"  # a frame that is not coded
                out[-1:] = [out[-1] + packet, empty]
            else:
                out.append(packet)
        place = out[0].index(start)
        out[0] = out[0][:place] + b"\0\0\1\xb2DivX503b1393p" + out[0][place:]
        with av.open(str(target), "w", format="avi") as made:
            stream = made.add_stream_from_template(container.streams.video[0])
            for number, data in enumerate(out):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = number
                packet.is_keyframe = number == 0
                made.mux(packet)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    both = [*SMALL, *TONE, *H264]
    ffmpeg(*both, "-g", 5, "-c:a", "aac", folder / "part.ts")
    ffmpeg(*SMALL, *TONE, "-c:v", "mpeg2video", "-bf", 2, "-c:a", "mp2", folder / "program.vob")
    ffmpeg(*both, "-c:a", "mp2", folder / "sparse.vob")  # most of its frames have no time
    ffmpeg("-i", folder / "part.ts", "-an", "-c", "copy", folder / "v.ts")
    for name, part in (("joined.ts", "part.ts"), ("joined-silent.ts", "v.ts"),
                       ("joined.vob", "program.vob")):  # fmt: skip
        (folder / name).write_bytes((folder / part).read_bytes() * 2)
    quick = ["-muxdelay", 0, "-muxpreload", 0]
    for name, offset in (("wrapped", WRAP - 0.5), ("later", 20_000.0)):
        ffmpeg(*SMALL, *H264, *quick, "-output_ts_offset", offset, folder / f"{name}.ts")
    jump = (folder / "v.ts").read_bytes() + (folder / "later.ts").read_bytes()
    (folder / "jump.ts").write_bytes(jump)
    ffmpeg(*both, "-c:a", "aac", "-output_ts_offset", 36000, folder / "late.ts")
    ffmpeg(*both, "-c:a", "aac", "-output_ts_offset", 3, folder / "late.mkv")
    ffmpeg(*both, "-c:a", "aac", "-output_ts_offset", 3, folder / "late.mp4")
    ffmpeg(*SMALL, "-itsoffset", 0.2, *TONE, *H264, "-c:a", "aac", folder / "sound-later.mp4")
    ffmpeg("-itsoffset", 0.2, *SMALL, *TONE, *H264, "-fps_mode", "vfr", "-c:a", "aac",
           folder / "sound-first.mp4")  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", NTSC, "-c:v", "libx264", folder / "raw.h264")
    ffmpeg("-f", "lavfi", "-i", NTSC, "-c:v", "mpeg2video", "-bf", 2, folder / "raw.m2v")
    wide = NTSC.replace("64x48", "720x480").replace("duration=1", "duration=0.2")
    ffmpeg("-f", "lavfi", "-i", wide, *TONE, "-target", "ntsc-dv", folder / "camera.dv")
    ffmpeg(*SMALL, "-c:v", "mpeg4", "-bf", 2, folder / "b.avi")
    ffmpeg(*SMALL, "-c:v", "libx264", "-bf", 2, folder / "b264.avi")
    ffmpeg(*SMALL, "-c:v", "mpeg4", "-bf", 1, folder / "b1.avi")
    pack(folder / "b1.avi", folder / "packed.avi")
    return folder


# A clip's frames, its rate, and by how much its sound begins after the picture; None: no sound.
CLIPS: dict[str, tuple[int, Fraction, float | None]] = {
    "joined.ts": (50, Fraction(25), -0.023),
    "joined-silent.ts": (50, Fraction(25), None),
    "joined.vob": (50, Fraction(25), -0.011),
    "jump.ts": (50, Fraction(25), None),
    "wrapped.ts": (25, Fraction(25), None),
    "late.ts": (25, Fraction(25), -0.023),
    "late.mkv": (25, Fraction(25), -0.023),
    "late.mp4": (25, Fraction(25), -0.023),
    "part.ts": (25, Fraction(25), -0.023),
    "program.vob": (25, Fraction(25), -0.011),
    "sparse.vob": (25, Fraction(25), -0.011),
    "sound-later.mp4": (25, Fraction(25), 0.2 - 0.023),
    "raw.h264": (30, Fraction(30000, 1001), None),
    "raw.m2v": (30, Fraction(30000, 1001), None),
    "camera.dv": (6, Fraction(30000, 1001), 0.0),
    "b.avi": (25, Fraction(25), None),
    "b264.avi": (25, Fraction(25), None),
    "packed.avi": (25, Fraction(25), None),
}


def through(clip: Path, out: Path, **part: float) -> VideoReader:
    """Pass a clip through reader and writer with nothing in between."""
    with VideoReader(clip, **part) as reader, open_writer(out, reader, overwrite=True) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
        return reader


def probe(path: Path, *entries: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *entries, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shown(path: Path) -> list[float]:
    """Return when a player shows each frame, in seconds."""
    frames = probe(path, "-select_streams", "v:0", "-show_entries", "frame=pts_time")["frames"]
    return [float(frame["pts_time"]) for frame in frames]


def heard(path: Path) -> list[float]:
    """Return when each sound packet begins, in seconds."""
    asked = ("-select_streams", "a:0", "-show_entries", "packet=pts_time")
    return sorted(float(p["pts_time"]) for p in probe(path, *asked)["packets"])


def holds(suffix: str, clip: str) -> bool:
    """Return whether a container holds a clip's sound; WebM only takes Opus and Vorbis."""
    return suffix != ".webm" and not (clip == "camera.dv" and suffix == ".mp4")


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_begins_at_zero_and_has_no_gaps(name: str, clips: Path, tmp_path: Path) -> None:
    count, rate, distance = CLIPS[name]
    for suffix in CONTAINERS:
        out = tmp_path / f"out{suffix}"
        assert through(clips / name, out).loss is None
        times = shown(out)
        assert times == pytest.approx([float(n / rate) for n in range(count)], abs=1.1e-3)
        length = float(probe(out, "-show_format")["format"]["duration"])
        has_sound = distance is not None and holds(suffix, name)
        later = max(distance or 0, 0) if has_sound else 0
        assert length == pytest.approx(float(count / rate) + later, abs=0.06)
        if has_sound:
            packets = heard(out)
            assert packets[0] == pytest.approx(distance, abs=1.5e-3)
            gaps = [b - a for a, b in itertools.pairwise(packets)]
            assert max(gaps) <= 0.036  # a DV frame's sound; others have shorter packets
    out = tmp_path / "out.gif"
    through(clips / name, out)
    assert len(shown(out)) == count


def test_a_picture_that_begins_after_its_sound_stays_there(clips: Path, tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        out = tmp_path / f"out{suffix}"
        through(clips / "sound-first.mp4", out)
        first = shown(out)[0]
        assert first - heard(out)[0] == pytest.approx(0.2, abs=0.03)
        assert len(shown(out)) == 25


@pytest.mark.parametrize("name", [n for n in CLIPS if n != "camera.dv"])
def test_a_part_counts_from_the_beginning(name: str, clips: Path, tmp_path: Path) -> None:
    """`start` and `duration` cut out the frames that the whole clip shows then."""
    _, rate, distance = CLIPS[name]
    with VideoReader(clips / name) as reader:
        whole = [frame.rgb for frame in reader]
    begin = 3 * len(whole) // 4
    part = {"start": float(begin / rate), "duration": float(5 / rate)}
    with VideoReader(clips / name, **part) as reader:
        found = [(frame.time, frame.rgb) for frame in reader]
    assert [time for time, _ in found] == pytest.approx(
        [float((begin + n) / rate) for n in range(5)], abs=1e-3
    )
    for (_, rgb), expected in zip(found, whole[begin : begin + 5], strict=True):
        assert (rgb == expected).all()
    out = tmp_path / "out.mkv"
    through(clips / name, out, **part)
    assert shown(out) == pytest.approx([float(n / rate) for n in range(5)], abs=1.1e-3)
    if distance is not None:
        assert -1e-3 < heard(out)[0] < 0.03


def test_a_part_begins_with_its_first_frame(clips: Path, tmp_path: Path) -> None:
    for suffix in CONTAINERS:
        out = tmp_path / f"out{suffix}"
        through(clips / "part.ts", out, start=0.31, duration=0.3)
        assert shown(out)[0] == 0


@pytest.mark.parametrize("name", CLIPS)
def test_how_long_a_clip_is(name: str, clips: Path) -> None:
    count, rate, _ = CLIPS[name]
    assert clip_length(clips / name) == pytest.approx(float(count / rate), abs=1.1 / float(rate))


def test_a_rate_that_nothing_tells_is_measured(tmp_path: Path) -> None:
    """NUT counts in 60,000ths here and says that this is its rate."""
    clip = tmp_path / "in.nut"
    ffmpeg(*SMALL, "-c:v", "mjpeg", "-enc_time_base", "1/60000", "-r", 25, clip)
    with VideoReader(clip) as reader:
        assert reader.info.average_rate == 25
