#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2), NumPy 2.4.6; Python 3.11 or newer.
# Guess     An encoder whose context says BT.709 and limited or full range (`colorspace`,
#           `color_range`) gets its RGB frames converted to just that: `encode` converts them by
#           itself, and the context is the only place where the wish is written down.
# Behaviour `encode` converts format and size of a frame and looks at nothing else of the context:
#           every RGB frame becomes BT.601 in limited range, and the file says BT.709, or full range,
#           all the same. Who reads it by its tags, as all players do, gets another colour, and
#           lossless FFV1 is no help. Untagged, the clip is right. The pixels and the tags agree only
#           where the frame is converted first, with `reformat(dst_colorspace=, dst_color_range=)`.
# Output    context                 pixels stored    read back
#           untagged                96 126 195       200 39 89      (sent: 200 40 90)
#           BT.709                  96 126 195       213 58 89
#           BT.709, full range      96 126 195       202 65 92
#           reformat, BT.709        83 134 196       200 40 91
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import io
import sys

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

SENT = (200, 40, 90)
BT709 = 1  # matrix, primaries and transfer alike (ITU-T H.273)
picture = np.empty((64, 64, 3), np.uint8)
picture[:] = SENT


def through(tagged=False, full=False, first=False):
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        context = stream.codec_context
        if tagged:
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = int(ColorRange.JPEG if full else ColorRange.MPEG)
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        if first:
            frame = frame.reformat(
                format="yuv444p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as clip:
        frame = next(clip.decode(video=0))
    stored = tuple(bytes(plane)[0] for plane in frame.planes)
    return stored, tuple(frame.to_ndarray(format="rgb24")[32, 32].tolist())


cases = {
    "untagged": through(),
    "BT.709": through(tagged=True),
    "BT.709, full range": through(tagged=True, full=True),
    "reformat, BT.709": through(tagged=True, first=True),
}
print("sent", *SENT)
for name, (stored, read) in cases.items():
    print(f"{name:20} stored", *stored, " read back", *read)
stored = [s for s, _ in cases.values()]
away = [max(abs(a - b) for a, b in zip(SENT, read)) for _, read in cases.values()]
same = stored[0] == stored[1] == stored[2] != stored[3]
wrong = away[0] <= 2 and away[1] >= 15 and away[2] >= 20 and away[3] <= 2
sys.exit(0 if same and wrong else "the behaviour has changed")
PY
