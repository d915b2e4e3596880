#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2, x264 core 165, x265 4.2), OpenCV 5.0.0.93 (headless), NumPy 2.4.6;
#           Python 3.11 or newer.
# Guess     A clip without colour, in limited range and tagged so, shows black (16) as 0 and white
#           (235) as 255, whether it is stored as 4:0:0 or as 4:2:0 with empty chroma.
# Behaviour Only 4:2:0 does. The decoder's `gray` keeps the tag, `color_range` 1, and swscale takes
#           grey for full range regardless: black is 16, white 235, the picture is washed out. To
#           say `src_color_range=MPEG` changes nothing. OpenCV shows the same. And it depends on the codec: the decoder of H.264
#           gives 4:0:0 out as yuv420p, so that the same pictures are right there and wrong in HEVC
#           and FFV1. Remedy: take the plane `gray` as it is and scale it oneself, or hand its bytes
#           on as the luma of a yuv420p frame.
# Output    encoder  stored    decoded  range   black and white in RGB   with src_color_range   OpenCV
#           libx264  gray      yuv420p  1       0 255                    0 255                  0 255
#           libx265  yuv420p   yuv420p  1       0 255                    0 255                  0 255
#           libx265  gray      gray     1       16 235                   16 235                 16 235
#           ffv1     gray      gray     1       16 235                   16 235                 16 235
#           ffv1     gray10le  gray10le 1       16 235                   16 235                 16 235
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$T"
venv/bin/python - <<'PY' 2>log || { cat log >&2; exit 1; }
import sys

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

LIMITED, BLACK, WHITE = int(ColorRange.MPEG), 16, 235


def show(encoder, form, level):
    deep = "10" in form
    kind = "<u2" if deep else "u1"
    with av.open("clip.mkv", "w") as out:
        stream = out.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, form
        stream.codec_context.color_range = LIMITED
        for pts in range(3):
            frame = av.VideoFrame(64, 64, form)
            frame.pts, frame.color_range = pts, LIMITED
            for plane, value in zip(frame.planes, (level, 128, 128)):
                values = np.full(plane.buffer_size // np.dtype(kind).itemsize, value << 2 * deep, kind)
                plane.update(values.tobytes())
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with av.open("clip.mkv") as clip:
        frame = next(clip.decode(video=0))
    plain = frame.to_ndarray(format="rgb24")
    told = frame.reformat(
        format="rgb24", src_color_range=ColorRange.MPEG, dst_color_range=ColorRange.JPEG
    ).to_ndarray()
    opened = cv2.VideoCapture("clip.mkv").read()[1]
    values = [int(np.median(picture)) for picture in (plain, told, opened)]
    return frame.format.name, int(frame.color_range), values


CASES = {
    ("libx264", "gray"): ("yuv420p", True),
    ("libx265", "yuv420p"): ("yuv420p", True),
    ("libx265", "gray"): ("gray", False),
    ("ffv1", "gray"): ("gray", False),
    ("ffv1", "gray10le"): ("gray10le", False),
}
changed = False
for (encoder, form), (decoded, right) in CASES.items():
    name, said, blacks = show(encoder, form, BLACK)
    _, _, whites = show(encoder, form, WHITE)
    print(f"{encoder:8} {form:9} decoded as {name:9} range {said}  RGB, told, OpenCV:",
          *(f"{b} {w}" for b, w in zip(blacks, whites)), sep="   ")  # fmt: skip
    wanted = (0, 255) if right else (BLACK, WHITE)
    near = all(abs(b - wanted[0]) < 3 and abs(w - wanted[1]) < 3 for b, w in zip(blacks, whites))
    changed |= not near or name != decoded or said != LIMITED
sys.exit("the behaviour has changed" if changed else 0)
PY
