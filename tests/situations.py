"""Clips as cameras, recorders, broadcasts and editors make them, and what ffprobe says of a file.

Each is a situation that people reported to makers of video tools. `Expected` says in what a render
of it may differ from the clip itself, as ffprobe sees both.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import material
import numpy as np
from PIL import Image

Maker = Callable[[Path], None]
SECONDS = "0.4"
PICTURE = ["-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=25:duration={SECONDS}"]
TONE = ["-f", "lavfi", "-i", f"sine=duration={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
BOTH = [*PICTURE, *TONE, *H264, "-c:a", "aac"]
B_FRAMES = ["-c:v", "libx264", "-bf", 2, "-pix_fmt", "yuv420p"]
WRAP = 2**33 / 90000  # seconds after which a transport stream's counter begins anew
HDR = (
    "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
    "L(10000000,1):max-cll=1000,400"
)


@dataclass(frozen=True)
class Expected:
    """What is expected of a render where it is not what ffprobe says of the clip.

    `frames`: how many, `rate`: of evenly spaced ones; `apart`: seconds from the first frame to the
    beginning of the sound, `sound`: for how long it lasts, and `padding` longer where no edit list
    hides the end of its last packet (Matroska); `size`: as displayed; `note`: the beginning of a
    note that must be there.
    """

    frames: int | None = None
    rate: Fraction | None = None
    apart: float | None = None
    sound: float | None = None
    padding: float = 0.0
    size: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True)
class Situation:
    """A clip: its name, what makes it, and what is expected."""

    name: str
    make: Maker
    expected: Expected = Expected()


def _ffmpeg(*arguments: object) -> Maker:
    return lambda path: material.ffmpeg(*arguments, path)


def _with(name: str, arguments: list[Any], then: Callable[[Path, Path], None]) -> Maker:
    """Return what makes a clip out of another one, which is made first."""

    def make(path: Path) -> None:
        part = path.with_name(f"{path.stem}-part{name}")
        material.ffmpeg(*arguments, part)
        then(part, path)
        part.unlink()

    return make


def _without_packets(part: Path, path: Path) -> None:
    """Leave out the packets of a transport stream's third stream, but not its declaration."""
    data = part.read_bytes()
    packets = (data[i : i + 188] for i in range(0, len(data), 188))
    path.write_bytes(b"".join(p for p in packets if ((p[1] & 31) << 8 | p[2]) != 0x102))


def _twice(part: Path, path: Path) -> None:
    path.write_bytes(part.read_bytes() * 2)


def _mirrored(part: Path, path: Path) -> None:
    material.orient(part, path, (-material.ONE, 0, 0, material.ONE))


def _turned(part: Path, path: Path) -> None:
    material.turn(part, path, 90)


def screen_recording(path: Path) -> None:
    """Write six frames with a pause of 10 s, grey in steps of 40, and 10.7 s of sound."""
    base = Fraction(1, 90000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        sound = container.add_stream("aac", rate=48000)
        for number, time in enumerate(RECORDED):
            pixels = np.full((48, 64, 3), 40 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for number in range(500):
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            heard.rate, heard.pts = 48000, number * 1024
            container.mux(sound.encode(heard))
        container.mux(sound.encode(None))


RECORDED = (0, 0.0166, 0.0331, 10.4, 10.4166, 10.5)  # seconds
CROPPED = "h264_metadata=crop_left=8:crop_right=8:crop_top=4:crop_bottom=4"


def _odd_gif(path: Path) -> None:
    pictures = [Image.new("L", (64, 48), 40 * number) for number in range(6)]
    delays = [20, 70, 130, 40, 500, 30]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays, loop=0)


def _size_changes(path: Path) -> None:
    parts = [path.with_name(f"{path.stem}-{size}.h264") for size in ("64x48", "96x64")]
    for part in parts:
        source = f"testsrc2=size={part.stem.rpartition('-')[2]}:rate=25:duration=0.2"
        material.ffmpeg("-f", "lavfi", "-i", source, *H264, part)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


LONGER = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.8", "-f", "lavfi", "-i",
          "sine=duration=0.8", *H264, "-c:a", "aac"]  # fmt: skip
COVER_FIRST = ["-f", "lavfi", "-i", "color=red:size=32x32:duration=0.04", *PICTURE,
               "-map", 0, "-map", 1, "-c:v:0", "mjpeg", "-c:v:1", "libx264",
               "-pix_fmt:v:1", "yuv420p",
               "-disposition:v:0", "attached_pic", "-disposition:v:1", "default"]  # fmt: skip


def _pauses_at_a_segments_end(path: Path) -> None:
    """Pauses before and after the frame at which a render's first segment ends."""
    ticks = [*range(249), 260, 300, *range(301, 305)]
    material.variable(path, ticks)


def _cut_tail(part: Path, path: Path) -> None:
    """Cut a transport stream within its last packets, as a recording that was switched off."""
    data = part.read_bytes()
    path.write_bytes(data[: len(data) - 188 * 3 - 100])


def _source(more: str) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2={more}"]


NTSC = Fraction(30000, 1001)
P25 = Fraction(25)
LOSSY_TAIL = "cut-tail.ts"
# What went wrong once, in the order of the list of it.
ONCE_WRONG = [
    Situation("dts.mkv", _ffmpeg(*PICTURE, *TONE, *H264, "-c:a", "dca", "-strict", -2, "-ar",
                                 48000)),
    Situation("capture.avi", _ffmpeg(*PICTURE, *TONE, "-c:v", "mjpeg", "-c:a", "pcm_s16le", "-ac",
                                     2)),
    Situation("opus.mkv", _ffmpeg(*PICTURE, *TONE, *H264, "-c:a", "libopus")),
    Situation("truehd.mkv", _ffmpeg(*PICTURE, *TONE, *H264, "-c:a", "truehd", "-strict", -2, "-ac",
                                    2, "-ar", 48000)),
    Situation("silent-track.ts", _with(".ts", [*PICTURE, *TONE, *TONE, "-map", 0, "-map", 1, "-map",
                                               2, *H264, "-c:a", "aac"], _without_packets),
              Expected(note="the sound stream 2 in aac was left out: the clip declares it")),
    Situation("joined.ts", _with(".ts", [*BOTH, "-g", 5], _twice),
              Expected(frames=20, rate=P25, sound=0.84)),
    Situation("joined-silent.ts", _with(".ts", [*PICTURE, *H264], _twice),
              Expected(frames=20, rate=P25)),
    Situation("wrapped.ts", _ffmpeg(*PICTURE, *H264, "-muxdelay", 0, "-muxpreload", 0,
                                    "-output_ts_offset", WRAP - 0.2),
              Expected(frames=10, rate=P25)),
    Situation("late.ts", _ffmpeg(*BOTH, "-output_ts_offset", 36000)),
    Situation("camera.dv", _ffmpeg(*_source("size=720x480:rate=30000/1001:duration=0.1"), *TONE,
                                   "-target", "ntsc-dv"),
              Expected(rate=NTSC, size=(720, 480), note="the clip is interlaced")),
    Situation("mirrored.mp4", _with(".mp4", [*PICTURE, *H264], _mirrored)),
    Situation("raw.h264", _ffmpeg(*_source("size=64x48:rate=30000/1001:duration=0.4"), *B_FRAMES),
              Expected(frames=12, rate=NTSC)),
    Situation("fast60.mp4", _ffmpeg(*_source("size=64x48:rate=60:duration=0.2"), *H264)),
    Situation("fast120.mp4", _ffmpeg(*_source("size=64x48:rate=120:duration=0.1"), *H264)),
    Situation("timecode.mov", _ffmpeg(*PICTURE, *TONE, *H264, "-c:a", "pcm_s16le", "-timecode",
                                      "01:02:03:04")),
    Situation("hdr10.mkv", _ffmpeg(*PICTURE, "-pix_fmt", "yuv420p10le", "-c:v", "libx265",
                                   "-x265-params", HDR, "-color_primaries", "bt2020", "-color_trc",
                                   "smpte2084", "-colorspace", "bt2020nc")),
    Situation("second-default.mkv",
              _ffmpeg(*PICTURE, *_source("size=96x64:rate=25:duration=0.2"), "-map", 0, "-map", 1,
                      *H264, "-disposition:v:0", 0, "-disposition:v:1", "default"),
              Expected(frames=5, rate=P25, size=(96, 64), note="the clip has 2 video streams")),
    Situation("interlaced.mp4", _ffmpeg(*PICTURE, "-vf", "interlace", "-flags", "+ildct+ilme",
                                        "-c:v", "libx264"),
              Expected(note="the clip is interlaced")),
]  # fmt: skip
# What has always been right.
RIGHT = [
    Situation("pauses.mp4", _pauses_at_a_segments_end),
    Situation("edit-list.mp4", _with(".mp4", [*BOTH, "-g", 5], lambda part, path: material.ffmpeg(
        "-ss", 0.13, "-i", part, "-c", "copy", path)), Expected(apart=-0.107)),
    # Cut within a group of pictures without encoding: a list hides what comes before the cut.
    Situation("trimmed.mp4", _with(".mp4", LONGER, lambda part, path: material.ffmpeg(
        "-ss", 0.5, "-i", part, "-c", "copy", path)), Expected(apart=-0.105, sound=0.41)),
    Situation("sound-later.mp4", _ffmpeg(*PICTURE, "-itsoffset", 0.2, *TONE, *H264)),
    Situation("sound-first.mkv", _ffmpeg("-itsoffset", 0.2, *PICTURE, *TONE, *H264, "-fps_mode",
                                         "vfr")),
    Situation("cover-first.mp4", _ffmpeg(*COVER_FIRST)),
    Situation("wide-turned.mp4", _with(".mp4", [*PICTURE, *H264, "-vf", "setsar=4/3"], _turned)),
    Situation("wide-ffv1.mkv", _ffmpeg(*PICTURE, "-vf", "setsar=4/3", "-c:v", "ffv1")),
    Situation("grey.mkv", _ffmpeg(*PICTURE, "-c:v", "ffv1", "-pix_fmt", "gray")),
    Situation("411.mkv", _ffmpeg(*PICTURE, "-c:v", "ffv1", "-pix_fmt", "yuv411p")),
    Situation("rgb.mkv", _ffmpeg(*PICTURE, "-c:v", "libx264rgb", "-preset", "ultrafast")),
    Situation("full-range.mov", _ffmpeg(*PICTURE, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p")),
    Situation("size-changes.mpg", _size_changes, Expected(frames=10, rate=P25, size=(64, 48))),
    Situation("open-gop.ts", _ffmpeg(*PICTURE, *B_FRAMES, "-x264-params", "open-gop=1:keyint=5")),
    Situation(LOSSY_TAIL, _with(".ts", BOTH, _cut_tail)),
    Situation("flash.flv", _ffmpeg(*BOTH, "-ar", 44100)),
    Situation("fragmented.mp4", _ffmpeg(*BOTH, "-movflags", "frag_keyframe+empty_moov")),
    Situation("5.1.mp4", _ffmpeg(*PICTURE, *TONE, *H264, "-ac", 6)),
    Situation("hlg.mkv", _ffmpeg(*PICTURE, "-pix_fmt", "yuv420p10le", "-c:v", "libx265",
                                 "-x265-params", "log-level=none", "-color_primaries", "bt2020",
                                 "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc")),
    Situation("one-pixel.mkv", _ffmpeg(*PICTURE, "-vf", "format=rgb24,crop=1:1", "-c:v", "png")),
    Situation("odd.mkv", _ffmpeg(*PICTURE, "-vf", "format=yuv444p,crop=63:47", "-c:v", "libx264")),
    Situation("widest.mkv", _ffmpeg(*_source("size=4097x47:rate=25:duration=0.08"), "-c:v",
                                    "ffv1")),
]  # fmt: skip
# Of other muxers, cameras, phones, recorders and editors.
OTHERS = [
    Situation("recorder.mkv", screen_recording),
    Situation("pcm24.avi", _ffmpeg(*PICTURE, *TONE, "-c:v", "mpeg4", "-c:a", "pcm_s24le", "-ac",
                                   2)),
    Situation("editor.mov", _ffmpeg(*PICTURE, *TONE, "-c:v", "prores_ks", "-c:a", "pcm_s24le",
                                    "-timecode", "10:00:00:00")),
    Situation("op1a.mxf", _ffmpeg(*_source("size=720x576:rate=25:duration=0.12"), "-f", "lavfi",
                                  "-i", "sine=duration=0.12", "-c:v", "mpeg2video", "-pix_fmt",
                                  "yuv422p", "-c:a", "pcm_s16le", "-ar", 48000)),
    Situation("odd.gif", _odd_gif),
    Situation("alpha.webm", _ffmpeg(*PICTURE, "-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v",
                                    "libvpx-vp9", "-pix_fmt", "yuva420p")),
    Situation("fields.y4m", _ffmpeg(*PICTURE, "-vf", "interlace", "-pix_fmt", "yuv420p", "-f",
                                    "yuv4mpegpipe"), Expected(note="the clip is interlaced")),
    Situation("animated.apng", _ffmpeg(*PICTURE, "-f", "apng")),
    Situation("cropped.mp4", _with(".mp4", [*PICTURE, *H264], lambda part, path: material.ffmpeg(
        "-i", part, "-c", "copy", "-bsf:v", CROPPED, path))),
    Situation("negative-offsets.mp4", _ffmpeg(
        *PICTURE, *TONE, "-c:v", "libx264", "-bf", 3, "-pix_fmt", "yuv420p",
        "-video_track_timescale", 90000, "-movflags", "negative_cts_offsets")),
    # Two of its packets are empty: the frame before is shown once more.
    Situation("theora.ogv", _ffmpeg(*PICTURE, *TONE, "-c:v", "libtheora", "-c:a", "libvorbis")),
    # The sound's preparation is longer than elsewhere.
    Situation("phone.3gp", _ffmpeg(*PICTURE, *TONE, "-c:v", "mpeg4", "-c:a", "aac", "-ar", 8000),
              Expected(padding=0.112)),
    Situation("untimed-sound.nut", _ffmpeg(*PICTURE, *TONE, "-c:v", "ffv1", "-c:a", "flac")),
    Situation("camcorder.m2ts", _ffmpeg(*PICTURE, *TONE, "-c:v", "libx264", "-c:a", "ac3")),
]  # fmt: skip
SITUATIONS = [*ONCE_WRONG, *RIGHT, *OTHERS]
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Facts:
    """What ffprobe says of a file.

    `times`: when its frames are shown, in seconds from the first one; `begin`: when that is;
    `sounds`: codec, seconds from the first frame to the beginning, and length of every sound
    stream; `size`: as displayed, and `aspect`: that of a pixel then; `colour`: primaries, transfer
    and matrix; `tags`: those of the file and the languages of its streams; `others`: kinds of
    streams beside picture and sound.
    """

    times: list[float]
    begin: float
    sounds: list[tuple[str, float, float]]
    size: tuple[int, int]
    aspect: Fraction
    colour: list[str]
    tags: dict[str, str]
    others: list[str]
    timecode: str


def facts(path: Path) -> Facts:
    """Ask ffprobe about a file."""
    command = ["ffprobe", "-v", "quiet", "-of", "json", "-show_streams", "-show_format",
               "-show_packets", str(path)]  # fmt: skip
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    streams = found["streams"]
    covers = [s["index"] for s in streams if s["disposition"].get("attached_pic")]
    pictures = [s for s in streams if s["codec_type"] == "video" and s["index"] not in covers]
    picture = max(pictures, key=lambda stream: stream["disposition"]["default"])

    def packets(index: int) -> list[tuple[float, float]]:
        """Return when packets begin, and for how long each lasts; of a picture those shown."""
        return sorted(
            (float(packet["pts_time"]), float(packet.get("duration_time", 0)))
            for packet in found["packets"]
            if packet["stream_index"] == index and "pts_time" in packet
            and (index != picture["index"] or "D" not in packet["flags"])
        )  # fmt: skip

    shown = [time for time, _ in packets(picture["index"])]
    begin = shown[0] if shown else 0.0
    sounds = []
    for stream in streams:
        if stream["codec_type"] == "audio" and (heard := packets(stream["index"])):
            end = heard[-1][0] + heard[-1][1]
            sounds.append((stream["codec_name"], heard[0][0] - begin, end - heard[0][0]))
    width, height = picture["width"], picture["height"]
    ratio = picture.get("sample_aspect_ratio", "1:1").replace(":", "/")
    aspect = Fraction(ratio) if ratio not in ("N/A", "0/1") else Fraction(1)
    turns = [data["rotation"] for data in picture.get("side_data_list", []) if "rotation" in data]
    if turns and turns[0] % 180:
        width, height, aspect = height, width, 1 / aspect
    colour = [
        picture.get(f"color_{name}", "unknown") for name in ("primaries", "transfer", "space")
    ]
    return Facts(
        [time - begin for time in shown], begin, sounds, (width, height), aspect, colour,
        found["format"].get("tags", {}),
        [s["codec_type"] for s in streams if s["codec_type"] not in ("audio", "video")],
        next((value for s in [found["format"], *streams]
              for name, value in s.get("tags", {}).items() if name.lower() == "timecode"), ""),
    )  # fmt: skip


def differences(clip: Path, out: Path, expected: Expected, notes: list[str]) -> list[str]:
    """Return a sentence for everything in which a render differs from what is expected."""
    before, after = facts(clip), facts(out)
    told = [note for note in notes if "left out" in note]
    wrong = []

    def compare(what: str, is_now: Any, should_be: Any, close: float | None = None) -> None:
        same = is_now == should_be
        if close is not None:
            same = len(is_now) == len(should_be) and all(
                abs(a - b) <= close for a, b in zip(is_now, should_be, strict=True)
            )
        if not same:
            wrong.append(f"{what}: {is_now}, expected {should_be}")

    times = before.times
    if expected.rate is not None:
        count = expected.frames or len(times)
        times = [float(number / expected.rate) for number in range(count)]
    compare("times", after.times, times, 1.1e-3)
    # The clip begins at 0: with its picture, or with the sound before that.
    ahead = max([0.0, *(-begin for _, begin, _ in before.sounds)])
    if not -2e-3 < after.begin < ahead + 2e-3:
        wrong.append(f"begins at {after.begin}, {ahead} s after its sound")
    lost = len([note for note in told if "the sound stream" in note and "declares" not in note])
    compare("sound streams", len(after.sounds) + lost, len(before.sounds))
    if not lost:
        for (_, apart, length), (_, now, lasts) in zip(before.sounds, after.sounds, strict=False):
            apart = apart if expected.apart is None else expected.apart
            compare("sound begins", [now], [apart], 2e-3)
            length = length if expected.sound is None else expected.sound
            longer = min(max(lasts - length, 0), expected.padding)
            compare("sound lasts", [lasts - longer], [length], 2.5e-2)
    compare("size", after.size, expected.size or before.size)
    compare("aspect", after.aspect, before.aspect)
    if "unknown" not in before.colour:
        compare("colour", after.colour, before.colour)
    if before.timecode and not any("timecode" in note for note in told):
        compare("timecode", after.timecode, before.timecode)
    if expected.note and not any(note.startswith(expected.note) for note in notes):
        wrong.append(f"no note {expected.note!r} in {notes}")
    return wrong
