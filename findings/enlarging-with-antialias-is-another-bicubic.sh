#!/usr/bin/env bash
# Versions  PyTorch 2.14.1, OpenCV 5.0.0.93 (headless), Pillow 13.0.0, NumPy 2.4.6; Python 3.11 or
#           newer. (PyPI's PyTorch for Linux brings its CUDA libraries: a download of gigabytes.)
# Guess     `interpolate(mode="bicubic", antialias=True)` widens the kernel when a picture gets
#           smaller; when it gets larger there is nothing to widen, and the switch makes no
#           difference, as it makes none with "bilinear".
# Behaviour The switch changes the kernel itself: without it Keys's parameter is -0.75, as in
#           OpenCV, with it -0.5, as in Pillow, also where the picture gets larger. Next to an edge
#           of 200 levels that is a difference of 8. Code that passes `antialias=True` for every
#           size and a reference that passes nothing do not agree, and neither do OpenCV and Pillow,
#           both of which call it bicubic.
# Output    three times as large              from a = -0.75   from a = -0.5    (greatest distance, levels)
#           PyTorch                           0.00             8.15
#           PyTorch, antialias=True           8.15             0.00
#           OpenCV                            0.00             8.15
#           Pillow                            8.15             0.00
#           bilinear, with and without        0.00
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 opencv-python-headless==5.0.0.93 \
    pillow==13.0.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SIZE, SCALE, RIM = 16, 3, 6  # the rim, where libraries continue a picture differently, is left out
picture = np.zeros((SIZE, SIZE), np.float32)
picture[:, SIZE // 2 :] = 200
picture[: SIZE // 2] += 20


def keys(a):
    """The enlarged picture by Keys's kernel (1981), with his parameter a."""
    weights = np.zeros((SIZE * SCALE, SIZE))
    for row in range(SIZE * SCALE):
        centre = (row + 0.5) / SCALE - 0.5
        for column in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            t = abs(centre - column)
            near = (a + 2) * t**3 - (a + 3) * t**2 + 1
            weight = near if t <= 1 else a * (t**3 - 5 * t**2 + 8 * t - 4)
            weights[row, min(max(column, 0), SIZE - 1)] += weight
    return weights @ picture @ weights.T


def torch_resize(mode, antialias):
    tensor = torch.from_numpy(picture)[None, None]
    return F.interpolate(tensor, scale_factor=SCALE, mode=mode, antialias=antialias)[0, 0].numpy()


side = (SIZE * SCALE, SIZE * SCALE)
results = {
    "PyTorch": torch_resize("bicubic", False),
    "PyTorch, antialias=True": torch_resize("bicubic", True),
    "OpenCV": cv2.resize(picture, side, interpolation=cv2.INTER_CUBIC),
    "Pillow": np.asarray(Image.fromarray(picture).resize(side, Image.Resampling.BICUBIC)),
}
inner = (slice(RIM, -RIM), slice(RIM, -RIM))
seen = {}
for name, result in results.items():
    seen[name] = [float(np.abs(result - keys(a))[inner].max()) for a in (-0.75, -0.5)]
    print(f"{name:25} {seen[name][0]:5.2f} from a = -0.75  {seen[name][1]:5.2f} from a = -0.5")
linear = float(np.abs(torch_resize("bilinear", False) - torch_resize("bilinear", True)).max())
print(f"bilinear, with and without antialias: {linear:.2f}")
first = all(seen[n][0] < 0.01 and seen[n][1] > 5 for n in ("PyTorch", "OpenCV"))
second = all(seen[n][1] < 0.01 and seen[n][0] > 5 for n in ("PyTorch, antialias=True", "Pillow"))
sys.exit(0 if first and second and linear < 0.01 else "the behaviour has changed")
PY
