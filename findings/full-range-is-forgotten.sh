#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), NumPy 2.4.6; Python 3.11 or newer.
# Guess     An encoder that gets full-range pixels, and is told so in its context and in each frame,
#           either keeps the mark, in its own stream or in the container's, or refuses.
# Behaviour Some keep it. ProRes and MPEG-2 take the pixels as they are and come back marked as limited
#           range, CineForm as unknown, which swscale takes for limited. So does lossless FFV1 in
#           AVI or NUT, while in Matroska the same FFV1 is right. The stored numbers are unchanged,
#           their meaning is not: grey 100 is shown as 97, all from 235 up as white and all below 17
#           as black. No encoder says a word.
# Output    container  encoder     range: written 2 (full), read   grey 20, 100, 245 is shown as
#           mp4        libx264     2                               20 100 245
#           matroska   ffv1        2                               20 100 245
#           avi        ffv1        0                               4 97 255
#           nut        ffv1        0                               4 97 255
#           mov        prores_ks   1                               3 96 255
#           mov        cfhd        0                               3 96 255
#           matroska   mpeg2video  1                               4 97 255
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY' 2>"$T/log" || { cat "$T/log" >&2; exit 1; }
import io
import sys

import av
import numpy as np
from av.video.reformatter import ColorRange

FULL = int(ColorRange.JPEG)
LEVELS = (20, 100, 245)
CASES = {
    ("mp4", "libx264", "yuv420p"): FULL,
    ("matroska", "ffv1", "yuv420p"): FULL,
    ("avi", "ffv1", "yuv420p"): 0,
    ("nut", "ffv1", "yuv420p"): 0,
    ("mov", "prores_ks", "yuv422p10le"): 1,
    ("mov", "cfhd", "yuv422p10le"): 0,
    ("matroska", "mpeg2video", "yuv420p"): 1,
}


def through(container, encoder, form, level):
    deep = "10" in form
    kind = np.dtype("<u2" if deep else "u1")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, form
        stream.codec_context.color_range = FULL
        for pts in range(3):
            frame = av.VideoFrame(128, 96, form)
            for plane, value in zip(frame.planes, (level, 128, 128)):
                plane.update(np.full(plane.buffer_size // kind.itemsize, value << 2 * deep, kind).tobytes())
            frame.pts, frame.color_range = pts, FULL
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as clip:
        frame = next(clip.decode(video=0))
    return int(frame.color_range), int(np.median(frame.to_ndarray(format="rgb24")))


changed = False
for (container, encoder, form), expected in CASES.items():
    found = [through(container, encoder, form, level) for level in LEVELS]
    shown = [level for _, level in found]
    print(f"{container:9} {encoder:11} range {found[0][0]}   shown", *shown)
    changed |= {mark for mark, _ in found} != {expected}
    wanted = LEVELS if expected == FULL else [min(255, (v - 16) * 255 / 219) for v in LEVELS]
    changed |= max(abs(a - b) for a, b in zip(shown, wanted)) > 3
sys.exit("the behaviour has changed" if changed else 0)
PY
