#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), Pillow 12.3.0; Python 3.11 or newer. PyAV 19.0.2 names the kind.
# Guess     A photograph whose EXIF says how it lies decodes like any other picture, and the display
#           matrix that FFmpeg makes of it can be read from the frame's side data.
# Behaviour FFmpeg 8.1 attaches two pieces: the matrix (kind 6) and the EXIF block (kind 31). PyAV's
#           enumeration ends at 27, and the mapping is built whole on first access: one kind without
#           a name, and `frame.side_data` raises `ValueError` each time, so that the matrix cannot be
#           reached through it. `frame.rotation` does not go that way and works. The same picture
#           without EXIF has an empty mapping.
# Output    without EXIF   side data: 0 pieces, rotation 0
#           orientation 6  ValueError: 31 is not a valid Type, rotation -90
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 pillow==12.3.0
cd "$T"
venv/bin/python - <<'PY'
import sys

import av
from PIL import Image

picture = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
seen = []
for name, exif in (("without EXIF", None), ("orientation 6", Image.Exif())):
    if exif is not None:
        exif[274] = 6
    picture.save("photo.jpg", **({"exif": exif} if exif is not None else {}))
    with av.open("photo.jpg") as photo:
        frame = next(photo.decode(video=0))
    try:
        found = f"side data: {len(frame.side_data)} pieces"
    except ValueError as error:
        found = f"ValueError: {error}"
    seen.append((found, frame.rotation))
    print(f"{name:14} {found}, rotation {frame.rotation}")
expected = [("side data: 0 pieces", 0), ("ValueError: 31 is not a valid Type", -90)]
sys.exit("the behaviour has changed" if seen != expected else 0)
PY
