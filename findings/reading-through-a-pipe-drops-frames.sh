#!/usr/bin/env bash
# Versions  imageio 2.38.1 with imageio-ffmpeg 0.8.1, PyAV 18.1.0 (FFmpeg 8.1.2), NumPy 2.4.6; Python
#           3.11 or newer.
# Guess     imageio's two readers of video, the plugins "pyav" and "FFMPEG", give the same frames of
#           the same file: those that are in it, each once.
# Behaviour "FFMPEG" reads what the ffmpeg program writes to a pipe, and a pipe of raw pictures has a
#           constant rate: of a clip with a variable rate, frames that stand close together are
#           dropped and others sent twice or many times. Of a clip of ten frames, a burst and then a
#           pause, nine come, seven of them different; of another, with the same number, 53. Its
#           own `count_frames_and_secs` says 10. "pyav" gives ten. Nothing is said of it; who pairs
#           the pictures with the file's timestamps pairs the wrong ones.
# Output    times in ms                                        pyav                  FFMPEG
#           0 10 20 30 40 50 500 1000 1500 2000                0 1 2 3 4 5 6 7 8 9   0 1 5 6 7 7 8 8 9
#           0 40 80 400 440 480 900 940 980 1020               0 1 2 3 4 5 6 7 8 9   53 frames, 10 different
set -eu
unset IMAGEIO_FFMPEG_EXE  # the program that comes with imageio-ffmpeg
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 imageio==2.38.1 imageio-ffmpeg==0.8.1 numpy==2.4.6
cd "$T"
venv/bin/python - <<'PY' 2>log || { cat log >&2; exit 1; }
import sys
from fractions import Fraction

import av
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

TICK = Fraction(1, 1000)


def write(times):
    """Frame n is grey, 10 + 20 n, so that its number can be read from it."""
    with av.open("clip.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": "0", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TICK
        for number, time in enumerate(times):
            picture = np.full((64, 64, 3), 10 + 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = time, TICK
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def numbers(plugin):
    return [round((float(picture.mean()) - 10) / 20) for picture in iio.imiter("clip.mp4", plugin=plugin)]


seen = []
for times in ([0, 10, 20, 30, 40, 50, 500, 1000, 1500, 2000], [0, 40, 80, 400, 440, 480, 900, 940, 980, 1020]):
    write(times)
    exact, piped = numbers("pyav"), numbers("FFMPEG")
    counted = imageio_ffmpeg.count_frames_and_secs("clip.mp4")[0]
    print("times ", *times)
    print("pyav  ", *exact)
    print("FFMPEG", *piped, f"({len(piped)} frames, {len(set(piped))} different; counted {counted})")
    seen.append((exact == list(range(10)), len(piped), len(set(piped)), counted))
sys.exit(0 if seen == [(True, 9, 7, 10), (True, 53, 10, 10)] else "the behaviour has changed")
PY
