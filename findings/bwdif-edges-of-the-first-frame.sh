#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (libavfilter 11.14, FFmpeg 8.1) and PyAV 19.0.2 (libavfilter 12.1, FFmpeg 9);
#           NumPy 2.4.6; Python 3.12 or newer; x86-64.
# Guess     Deinterlacing the same pictures with bwdif gives the same pixels in both releases, as it
#           does for nearly all of them: the filter's description did not change.
# Behaviour The first frame, which has none before it and is filled from its own rows, differs next
#           to the upper and the lower edge. FFmpeg 9 continues the picture beyond its edges by
#           mirroring, so that row 1 is exactly the filter's four taps (5077 and -981 of 8192) over
#           mirrored rows. FFmpeg 8 is up to 89 of 255 levels away from that in row 1 and up to 187
#           from FFmpeg 9 in the last row. All other rows, and all other frames, are equal. Who compares
#           deinterlaced clips by checksum across the two sees another first frame.
# Output    differing rows by frame: {0: [1, 45, 47]}; row 1 from its mirrored taps: 89 in FFmpeg 8, 0 in FFmpeg 9
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6
for version in 18.1.0 19.0.2; do
    "$T/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$T/$version" "av==$version"
done
cat >"$T/deinterlace.py" <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

pictures = np.random.default_rng(0).integers(16, 236, (6, 48, 64), dtype=np.uint8)
graph = Graph()
source = graph.add("buffer", args="video_size=64x48:pix_fmt=gray:time_base=1/25:pixel_aspect=1/1")
bwdif = graph.add("bwdif", "mode=send_frame:parity=tff:deint=all")
sink = graph.add("buffersink")
source.link_to(bwdif)
bwdif.link_to(sink)
graph.configure()
out = []


def pull():
    while True:
        try:
            out.append(sink.pull().to_ndarray(format="gray"))
        except (BlockingIOError, EOFError):
            return


for number, picture in enumerate(pictures):
    frame = av.VideoFrame.from_ndarray(picture, "gray")
    frame.pts, frame.time_base = number, Fraction(1, 25)
    source.push(frame)
    pull()
source.push(None)
pull()
np.savez(sys.argv[1], source=pictures, out=np.stack(out))
PY
for version in 18.1.0 19.0.2; do
    PYTHONPATH="$T/$version" "$T/venv/bin/python" "$T/deinterlace.py" "$T/$version.npz"
done
"$T/venv/bin/python" - "$T" <<'PY'
import sys

import numpy as np

old, new = (np.load(f"{sys.argv[1]}/{v}.npz") for v in ("18.1.0", "19.0.2"))
a, b = old["out"].astype(int), new["out"].astype(int)
rows = {n: np.flatnonzero(np.abs(x - y).max(1)).tolist() for n, (x, y) in enumerate(zip(a, b))}
rows = {n: found for n, found in rows.items() if found}
p = old["source"][0].astype(int)
# Rows -2 and 4 are two beyond row 1; row -2 is row 2, mirrored.
taps = np.clip((5077 * (p[0] + p[2]) - 981 * (p[2] + p[4])) >> 13, 0, 255)
away = [int(np.abs(x[0, 1] - taps).max()) for x in (a, b)]
print("differing rows by frame:", rows)
print(f"row 1 from its mirrored taps: {away[0]} in FFmpeg 8, {away[1]} in FFmpeg 9")
same = len(a) == len(b) == 6 and rows == {0: [1, 45, 47]} and away == [89, 0]
sys.exit(0 if same else "the behaviour has changed")
PY
