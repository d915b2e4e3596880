#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), NumPy 2.4.6; Python 3.11 or newer.
# Guess     With its exact flags swscale turns RGB into YUV right on average, in
#           full range as in limited, and grey has no colour: its chroma is the middle.
# Behaviour In limited range that is so. In full range both formats' chroma lies half a level too low
#           on average, and with 10 bits grey is 511 where 512 is the middle. Luma is right. Without
#           the exact flags 8 bits show it, too: most rows of a grey yuv420p picture are 127.
# Output    format        limited: grey, mean error   full: grey, mean error
#           yuv444p       128 +0.01                   128 -0.50
#           yuv444p10le   512 +0.03                   511 -0.50
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

GREY = {"yuv444p": (128, 128), "yuv444p10le": (512, 511)}
ERROR = (0.0, -0.5)
BLUE = 0.0722
EXACT = 1 << 18 | 1 << 19  # SWS_ACCURATE_RND, SWS_BITEXACT: the same on every processor
WEIGHTS = np.array([0.2126, 1 - 0.2126 - BLUE, BLUE])


def blue_chroma(rgb, form, target):
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(rgb, "rgb24"),
        format=form,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=target,
        interpolation=int(Interpolation.BICUBIC) | EXACT,
    )
    plane = frame.planes[1]
    kind = "<u2" if "10" in form else "u1"
    rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)
    return rows[: plane.height, : plane.width]


grey = np.full((64, 64, 3), 128, np.uint8)
colours = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
ok = True
print("format        limited: grey, mean error   full: grey, mean error")
for form, expected in GREY.items():
    line = f"{form:13}"
    for place, target in enumerate((ColorRange.MPEG, ColorRange.JPEG)):
        found = blue_chroma(grey, form, target)
        ok &= bool((found == expected[place]).all())
        line += f" {found[0, 0]:3d}"
        bits = 2 if "10" in form else 0
        scale = (2**bits * 224 if target == ColorRange.MPEG else 2 ** (8 + bits) - 1) / 255
        difference = (colours[..., 2] - colours @ WEIGHTS) / (2 * (1 - BLUE))
        exact = 128 * 2**bits + scale * difference
        error = float((blue_chroma(colours, form, target) - exact).mean())
        ok &= abs(error - ERROR[place]) < 0.1
        line += f" {error:+.2f}"
        line += " " * (41 - len(line)) if place == 0 else ""
    print(line)
sys.exit(not ok)
PY
