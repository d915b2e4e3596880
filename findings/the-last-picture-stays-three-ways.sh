#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), Pillow 13.0.0, NumPy 2.4.6; Python 3.11 or newer.
# Guess     Four pictures shown for 40, 120, 200 and 2000 ms, every frame and packet with its
#           duration, last as long in each animated format: GIF, AVIF, WebP, APNG, as Pillow reads
#           them.
# Behaviour The first three always do. The fourth has three fates: GIF and AVIF keep 2000 ms, and so
#           does WebP when FFmpeg's muxer puts single pictures (encoder `libwebp`) together; with
#           `libwebp_anim`, which hands the whole animation to libwebp, it gets the average of those
#           before it, 120 ms; APNG gives it that of the one before it, 200 ms. For APNG the muxer's
#           option `final_delay` says it.
# Output    gif           40 120 200 2000
#           avif          40 120 200 2000
#           libwebp       40 120 200 2000
#           libwebp_anim  40 120 200 120
#           apng          40 120 200 200      with final_delay=2: 40 120 200 2000
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 pillow==13.0.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY' 2>"$T/log" || { cat "$T/log" >&2; exit 1; }
import io
import sys
from fractions import Fraction

import av
import numpy as np
from PIL import Image

LENGTHS = [40, 120, 200, 2000]
TICK = Fraction(1, 1000)


def durations(container, encoder, pix_fmt, options=None):
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pix_fmt
        stream.time_base = stream.codec_context.time_base = TICK
        times = np.cumsum([0, *LENGTHS[:-1]]).tolist()
        length = dict(zip(times, LENGTHS, strict=True))

        def mux(packets):
            for packet in packets:
                packet.duration = length.get(packet.pts, packet.duration)
                out.mux(packet)

        for index, time in enumerate(times):
            picture = np.full((64, 64, 3), 60 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base, frame.duration = time, TICK, length[time]
            mux(stream.encode(frame))
        mux(stream.encode())
    file.seek(0)
    found = []
    with Image.open(file) as animation:
        for index in range(animation.n_frames):
            animation.seek(index)
            animation.load()
            found.append(round(animation.info["duration"]))
    return found


CASES = {
    "gif": ("gif", "gif", "rgb8"),
    "avif": ("avif", "libsvtav1", "yuv420p"),
    "libwebp": ("webp", "libwebp", "yuv420p"),
    "libwebp_anim": ("webp", "libwebp_anim", "yuv420p"),
    "apng": ("apng", "apng", "rgb24"),
    "apng, final_delay=2": ("apng", "apng", "rgb24", {"final_delay": "2"}),
}
last = {}
for name, case in CASES.items():
    found = durations(*case)
    print(f"{name:20}", *found)
    if found[:3] != LENGTHS[:3]:
        sys.exit("the behaviour has changed")
    last[name] = found[3]
expected = [2000, 2000, 2000, 120, 200, 2000]
sys.exit("the behaviour has changed" if list(last.values()) != expected else 0)
PY
