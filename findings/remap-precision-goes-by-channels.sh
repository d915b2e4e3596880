#!/usr/bin/env bash
# Versions  OpenCV 5.0.0.93 (headless), NumPy 2.4.6; Python 3.11 or newer; x86-64.
# Guess     `cv2.remap` and `cv2.warpAffine` treat every channel by itself: how a channel comes out
#           does not depend on how many others lie beside it. (OpenCV 4.13 rounds all positions to
#           1/32 pixel; OpenCV 5 has new, exact linear interpolation.)
# Behaviour The new code is there for 1, 3 and 4 channels. 2, and 5 and more, still go the old way:
#           the position is rounded to 1/32 pixel, so that a shift of 0.01 pixel is no shift at all.
#           Optical flow, a pair of channels, or a texture's hidden channels drift apart from the
#           RGB they belong to when they are carried along by the same map. Three calls of fewer
#           channels are exact; one call with all of them is not.
# Output    channels   remap: greatest error   warpAffine: greatest error   (float32, shift of 0.01 and 0.013 pixel)
#           1, 3, 4    0.00000                 0.00000
#           2, 5, 8    0.02166                 0.02166
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys

import cv2
import numpy as np

SIZE, DX, DY = 64, 0.01, 0.013
plane = np.random.default_rng(0).random((SIZE, SIZE), np.float32)
x, y = np.meshgrid(np.arange(SIZE, dtype=np.float32) + DX, np.arange(SIZE, dtype=np.float32) + DY)
shift = np.array([[1, 0, -DX], [0, 1, -DY]])
rows = (1 - DX) * plane[:, :-1] + DX * plane[:, 1:]
exact = (1 - DY) * rows[:-1] + DY * rows[1:]


def error(result):
    first = result if result.ndim == 2 else result[..., 0]
    return float(np.abs(first[:-1, :-1] - exact).max())


print("channels   remap     warpAffine")
errors = {}
for channels in (1, 2, 3, 4, 5, 8):
    picture = plane if channels == 1 else np.repeat(plane[..., None], channels, 2)
    errors[channels] = (
        error(cv2.remap(picture, x, y, cv2.INTER_LINEAR)),
        error(cv2.warpAffine(picture, shift, (SIZE, SIZE), flags=cv2.INTER_LINEAR)),
    )
    print(f"{channels:8}   {errors[channels][0]:.5f}   {errors[channels][1]:.5f}")
unmoved = float(np.abs(plane[:-1, :-1] - exact).max())
print(f"not moving at all would have an error of {unmoved:.5f}")
good = all(max(errors[n]) < 1e-4 for n in (1, 3, 4))
rounded = all(abs(e - unmoved) < 1e-4 for n in (2, 5, 8) for e in errors[n])
sys.exit(0 if good and rounded else "the behaviour has changed")
PY
