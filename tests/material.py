"""Clips that tests are made on, beside those of `hostile`."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# Each odd clip: its name and the ffmpeg arguments that make it. A leading source is implied.
SMALL = ["-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=0.8"]
TONE = ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.8"]
TONE2 = ["-f", "lavfi", "-i", "sine=frequency=660:duration=0.8"]
QUICK = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
VARIABLE = ["-vf", "select='not(mod(n,3))+eq(n,4)+eq(n,5)'", "-fps_mode", "vfr"]
ODD: dict[str, tuple[str, list[str]]] = {
    "plain": ("plain.mp4", [*SMALL, *TONE, *QUICK]),
    "variable rate mp4": ("vfr.mp4", [*SMALL, *TONE, *QUICK, *VARIABLE]),
    "variable rate mkv": ("vfr.mkv", [*SMALL, *TONE, *QUICK, *VARIABLE]),
    "odd size": (
        "odd.mp4",
        ["-f", "lavfi", "-i", "testsrc2=size=213x121:rate=30:duration=0.4"]
        + ["-c:v", "libx264", "-pix_fmt", "yuv444p"],
    ),
    "10 bit": ("deep.mp4", [*SMALL, "-c:v", "libx265", "-pix_fmt", "yuv420p10le"]),
    "interlaced": ("inter.mp4", [*SMALL, *QUICK, "-flags", "+ildct+ilme", "-x264opts", "tff=1"]),
    "one frame": ("one.mp4", [*SMALL, *QUICK, "-frames:v", "1"]),
    "no sound": ("silent.mkv", [*SMALL, *QUICK]),
    "two sounds": (
        "two.mp4",
        [*SMALL, *TONE, *TONE2, *QUICK, "-map", "0", "-map", "1", "-map", "2", "-c:a", "aac"]
        + ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"],
    ),
    "late start": ("late.mkv", [*SMALL, *TONE, *QUICK, "-output_ts_offset", "3"]),
    "wide pixels": ("sar.mp4", [*SMALL, *QUICK, "-vf", "setsar=4/3"]),
    "B-frames": ("b.mp4", [*SMALL, *TONE, "-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"]),
    "29.97": (
        "ntsc.mov",
        ["-f", "lavfi", "-i", "testsrc2=size=192x108:rate=30000/1001:duration=0.8"] + QUICK,
    ),
    "gif": ("pal.gif", SMALL),
    "mjpeg": ("m.mov", [*SMALL, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]),
}

# Where the matrix begins after `tkhd` in a box of version 0 (ISO/IEC 14496-12, 8.3.2).
MATRIX = 44
ONE = 1 << 16
# Clockwise turn in degrees: the matrix' upper left part, by rows.
TURNS = {90: (0, ONE, -ONE, 0), 180: (-ONE, 0, 0, -ONE), 270: (0, -ONE, ONE, 0)}


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def turn(clip: Path, out: Path, degrees: int) -> None:
    """Write a copy of an MP4 whose picture players turn clockwise by 90, 180 or 270 degrees.

    ffmpeg 5 does so by `-metadata rotate`, which ffmpeg 7 ignores.
    """
    orient(clip, out, TURNS[degrees])
    with av.open(str(out)) as container:
        assert next(container.decode(video=0)).rotation % 360 == -degrees % 360


def orient(clip: Path, out: Path, upper_left: tuple[int, int, int, int]) -> None:
    """Write a copy of an MP4 with a display matrix, whose upper left part is given by rows."""
    data = bytearray(clip.read_bytes())
    place = data.index(b"tkhd")
    assert data[place + 4] == 0  # the box's version
    a, b, c, d = upper_left
    width, height = (v / ONE for v in struct.unpack_from(">II", data, place + MATRIX + 36))
    # What is turned away from the origin is moved back.
    x = (height if c < 0 else 0) + (width if a < 0 else 0)
    y = (width if b < 0 else 0) + (height if d < 0 else 0)
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, int(x * ONE), int(y * ONE), 1 << 30)
    data[place + MATRIX : place + MATRIX + 36] = matrix
    out.write_bytes(data)


def variable(out: Path, ticks: Sequence[int], *, tick: Fraction = Fraction(1, 25)) -> None:
    """Write a clip, 64x48 and H.264 with B-frames, whose frames are shown at `ticks`."""
    noise = np.random.default_rng(1)
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=1 / tick)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = tick
        for time in ticks:
            pixels = noise.integers(0, 255, (48, 64, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = time, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
