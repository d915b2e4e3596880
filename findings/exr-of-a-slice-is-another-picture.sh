#!/usr/bin/env bash
# Versions  OpenEXR 3.5.3 (its own Python module), OpenCV 5.0.0.93 (headless), NumPy 2.4.6; Python
#           3.11 or newer.
# Guess     A channel cut out of a picture (`rgb[..., 0]`), or the first three of a state's many
#           channels, is written to an EXR as it shows, as OpenCV does with a PNG.
# Behaviour `OpenEXR.File` looks at an array's shape and takes the bytes in a row from its first one:
#           the red channel that is written is red, green, blue, red ... of the first third of the
#           picture. File, size and type are all right, and nothing is said; only the picture is
#           another one. `np.ascontiguousarray` before writing helps.
# Output    channel of a picture     differs: 0 3 6 9 12 .. came back as 0 1 2 3 4 ..
#           the same, contiguous     equal
#           first 3 of 6 channels    differs
#           the same, contiguous     equal
#           PNG by OpenCV            equal
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check OpenEXR==3.5.3 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$T"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import OpenEXR

HEADER = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
H, W = 4, 6


def back(name, array):
    with OpenEXR.File(HEADER, {name: array}) as file:
        file.write("picture.exr")
    with OpenEXR.File("picture.exr") as file:
        pixels = file.channels()[name].pixels
    assert pixels.shape == array.shape and pixels.dtype == array.dtype
    return pixels.copy()


rgb = np.arange(H * W * 3, dtype=np.float32).reshape(H, W, 3)
state = np.arange(H * W * 6, dtype=np.float32).reshape(H, W, 6)
cases = {
    "channel of a picture": ("Y", rgb[..., 0]),
    "that, contiguous": ("Y", np.ascontiguousarray(rgb[..., 0])),
    "first 3 of 6 channels": ("RGB", state[..., :3]),
    "those, contiguous": ("RGB", np.ascontiguousarray(state[..., :3])),
}
equal = []
for name, (channel, array) in cases.items():
    pixels = back(channel, array)
    equal.append(np.array_equal(pixels, array))
    first = [" ".join(f"{v:g}" for v in a.ravel()[:6]) for a in (array, pixels)]
    print(f"{name:22} {'equal  ' if equal[-1] else 'differs'}  wrote {first[0]} ..  read {first[1]} ..")
part = state.astype(np.uint8)[..., :3]
png = cv2.imdecode(cv2.imencode(".png", part)[1], cv2.IMREAD_UNCHANGED)
equal.append(np.array_equal(png, part))
print(f"{'PNG by OpenCV':22} {'equal' if equal[-1] else 'differs'}")
sys.exit(0 if equal == [False, True, False, True, True] else "the behaviour has changed")
PY
