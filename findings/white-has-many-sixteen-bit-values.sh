#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2, libswscale 9.5), NumPy 2.4.6; Python 3.11 or newer; x86-64.
# Guess     8-bit white (255) becomes full white in a deeper full-range format: 65535 in 16 bits,
#           1023 in 10 bits, 1.0 in float. RGB and grey agree.
# Behaviour swscale shifts RGB by the difference in bits and fills what is left with its own
#           arithmetic, but stretches grey: white is 65283 in rgb48le, rgba64le and gbrp16le, 1020
#           in gbrp10le, and 65535 or 1023 in gray16le and gray10le. In float the roles are changed:
#           planar RGB has 0.996, and grey runs from 0.0625 to 0.918, as if it were studio range.
#           Alpha goes a third way: opaque, beside colours of 65283, becomes 65532. The other way is
#           rounded (65535 -> 255), so a trip there and back hides it. Dividing by the type's
#           greatest value gives a picture that is 0.4 % too dark, with no error on the way.
# Output    rgb24 255 -> rgb48le 65283, gbrp16le 65283, gbrp10le 1020, gray16le 65535, gray10le 1023, gbrpf32le 0.9962, grayf32le 0.9180
#           white and opaque rgba -> rgba64le 65283 65283 65283 65532
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys

import av
import numpy as np

white = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 255, np.uint8), "rgb24")
FORMATS = {
    "rgb48le": "<u2", "gbrp16le": "<u2", "gbrp10le": "<u2", "gray16le": "<u2", "gray10le": "<u2",
    "gbrpf32le": "<f4", "grayf32le": "<f4",
}  # fmt: skip
seen = {}
for name, kind in FORMATS.items():
    plane = white.reformat(format=name).planes[0]
    seen[name] = round(float(np.frombuffer(bytes(plane), kind)[0]), 4)
    print(f"rgb24 255 -> {name:10} {seen[name]:g}")
back = white.reformat(format="rgb48le").reformat(format="rgb24").to_ndarray()
print("there and back:", np.unique(back).tolist())
clear = av.VideoFrame.from_ndarray(np.full((16, 32, 4), 255, np.uint8), "rgba")
plane = clear.reformat(format="rgba64le").planes[0]
seen["rgba64le"] = np.frombuffer(bytes(plane), "<u2")[:4].tolist()
print("white and opaque rgba -> rgba64le", *seen["rgba64le"])
expected = {
    "rgb48le": 65283, "gbrp16le": 65283, "gbrp10le": 1020, "gray16le": 65535, "gray10le": 1023,
    "gbrpf32le": 0.9962, "grayf32le": 0.918, "rgba64le": [65283, 65283, 65283, 65532],
}  # fmt: skip
sys.exit("the behaviour has changed" if seen != expected or (back != 255).any() else 0)
PY
