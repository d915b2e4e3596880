#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), OpenCV 5.0.0.93 (headless), NumPy 2.4.6; Python 3.11 or
#           newer.
# Guess     A clip whose display matrix mirrors it left to right, as a front camera's may, is not
#           turned at all: PyAV's `frame.rotation` says 0, and OpenCV, which follows such matrices,
#           shows it mirrored.
# Behaviour `rotation` is one angle taken from the first two numbers of the matrix, so that a mirror
#           has 180 degrees and both transpositions have -90 and 90, the same as real turns. OpenCV
#           believes the angle too: the mirrored clip comes out turned by 180 degrees, its top and
#           bottom exchanged. A matrix that flips top and bottom has angle 0 and is shown as if
#           there were none. Only the determinant of the matrix, in the frame's side data, tells
#           which it was.
# Output    matrix          rotation   determinant   white corner should be   OpenCV shows it
#           none                   0             1   top left                 top left
#           half turn           -180             1   bottom right             bottom right
#           mirror              -180            -1   top right                bottom right
#           flip                   0            -1   bottom left              top left
#           transposition        -90            -1   top left                 top right
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$T"
venv/bin/python - <<'PY'
import struct
import sys

import av
import cv2
import numpy as np

ONE = 1 << 16
WIDTH, HEIGHT = 64, 48
# a, b, u, c, d, v, x, y, w: u and v are 0, w is 2**30; x and y move the picture back into the frame.
MATRICES = {
    "none": None,
    "half turn": (-ONE, 0, 0, 0, -ONE, 0, WIDTH * ONE, HEIGHT * ONE, 1 << 30),
    "mirror": (-ONE, 0, 0, 0, ONE, 0, WIDTH * ONE, 0, 1 << 30),
    "flip": (ONE, 0, 0, 0, -ONE, 0, 0, HEIGHT * ONE, 1 << 30),
    "transposition": (0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}
CORNERS = ("top left", "top right", "bottom left", "bottom right")


def white_corner(picture):
    h, w = picture.shape[:2]
    light = [picture[y, x].mean() for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    return CORNERS[int(np.argmax(light))]


def right(picture, matrix):
    """Where the white corner goes by the matrix itself."""
    a, b, _, c, d, *_ = (v // ONE for v in matrix)
    if a == 0:
        picture = picture.transpose(1, 0, 2)
        a, d = c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
picture[: HEIGHT // 2, : WIDTH // 2] = 255
seen = []
print(f"{'matrix':15} rotation   determinant   {'should be':12}   OpenCV shows")
for name, matrix in MATRICES.items():
    with av.open("clip.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if matrix:
            stream.set_display_matrix(matrix)
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())
    with av.open("clip.mp4") as clip:
        frame = next(clip.decode(video=0))
    determinant = 1
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
            determinant = (a * d - b * c) // ONE**2
    shown = cv2.VideoCapture("clip.mp4").read()[1]
    wanted = white_corner(right(picture, matrix) if matrix else picture)
    seen.append((frame.rotation, determinant, wanted, white_corner(shown)))
    print(f"{name:15} {frame.rotation:8} {determinant:13}   {wanted:12}   {seen[-1][3]}")
expected = [
    (0, 1, "top left", "top left"),
    (-180, 1, "bottom right", "bottom right"),
    (-180, -1, "top right", "bottom right"),
    (0, -1, "bottom left", "top left"),
    (-90, -1, "top left", "top right"),
]
sys.exit("the behaviour has changed" if seen != expected else 0)
PY
