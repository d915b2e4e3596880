#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), Pillow 13.0.0, NumPy 2.4.6; Python 3.11 or newer.
# Guess     An animated AVIF with one track of eight pictures opens as one video stream of eight
#           frames: what was written with one `add_stream` comes back as `streams.video[0]`, as it
#           does from GIF, APNG, MP4.
# Behaviour It opens as two video streams. The first is the still picture for programs that know no
#           animation: one frame, one frame a second, and it has the disposition `default`. The
#           animation is the second, with the same disposition. `decode(video=0)`, the usual way to
#           read a clip, ends without an error after one frame, and FFmpeg's own choice of the
#           "best" stream is right only because the second has more frames. Pillow reads eight.
# Output    wrote 1 stream, 8 frames
#           stream 0: 1 frames, 1 a second, default
#           stream 1: 8 frames, 25 a second, default
#           decode(video=0): 1; best stream: 1; Pillow: 8
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 pillow==13.0.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY' 2>"$T/log" || { cat "$T/log" >&2; exit 1; }
import io
import sys

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

FRAMES = 8
file = io.BytesIO()
with av.open(file, "w", format="avif") as out:
    stream = out.add_stream("libsvtav1", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for index in range(FRAMES):
        picture = np.full((64, 64, 3), 30 * index, np.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    out.mux(stream.encode())
    print(f"wrote {len(out.streams)} stream, {FRAMES} frames")
seen = []
file.seek(0)
with av.open(file) as clip:
    for stream in clip.streams:
        default = bool(stream.disposition & Disposition.default)
        seen.append((stream.type, stream.frames, float(stream.average_rate), default))
        print(f"stream {stream.index}: {stream.frames} frames, {seen[-1][2]:g} a second", default * "default")
    best = clip.streams.best("video").index
    decoded = sum(1 for _ in clip.decode(video=0))
file.seek(0)
with Image.open(file) as animation:
    whole = animation.n_frames
print(f"decode(video=0): {decoded}; best stream: {best}; Pillow: {whole}")
expected = [("video", 1, 1.0, True), ("video", FRAMES, 25.0, True)]
ok = seen == expected and decoded == 1 and best == 1 and whole == FRAMES
sys.exit(0 if ok else "the behaviour has changed")
PY
