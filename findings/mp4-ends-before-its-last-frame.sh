#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2, x264 core 165), NumPy 2.4.6; Python 3.11 or newer.
# Guess     `duration` of a container and of its video stream is at least the time at which the last
#           frame is shown, and `average_rate` is frames over time.
# Behaviour True without B-frames, and in Matroska. In an MP4 of variable rate with B-frames the
#           demuxer adds up the steps between decoding times, and those are dealt out to frames in
#           another order than the steps of the picture: the last step, that of the last frame, may
#           go missing. Below the last frame begins 68 ms after the "end", and the rate is 39
#           instead of 36. A closing picture held for two seconds loses nearly all of them. All
#           frames are there, their times are right, and the file's own movie header says the right
#           length; players that go by it, or by its edit list, see the whole clip.
# Output    fast, then slow:    bf=0 duration 1.960, rate 35.71;  bf=3 duration 1.792, rate 39.06;  last frame at 1.860;  header 1.960
#           last picture held:  bf=0 duration 4.800, rate  4.58;  bf=3 duration 2.840, rate  7.75;  last frame at 2.800;  header 4.800
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import io
import struct
import sys
from fractions import Fraction

import av
import numpy as np

TICK = Fraction(1, 1000)
CLIPS = {
    "fast, then slow": ([16 * i for i in range(60)] + [960 + 100 * i for i in range(10)], 1960),
    "last picture held": ([40 * i for i in range(20)] + [800, 2800], 4800),
}


def write(times, end, b_frames):
    length = dict(zip(times, np.diff([*times, end]).tolist(), strict=True))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"bf": str(b_frames)})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TICK

        def mux(packets):
            for packet in packets:
                packet.duration = length[packet.pts]
                out.mux(packet)

        for index, time in enumerate(times):
            noise = np.random.default_rng(index // 4).integers(0, 256, (64, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, "rgb24")
            frame.pts, frame.time_base, frame.duration = time, TICK, length[time]
            mux(stream.encode(frame))
        mux(stream.encode())
    return file


changed = False
for name, (times, end) in CLIPS.items():
    for b_frames in (0, 3):
        file = write(times, end, b_frames)
        data = file.getvalue()
        ticks, header = struct.unpack(">II", data[(at := data.index(b"mvhd") + 16) : at + 8])
        file.seek(0)
        with av.open(file) as clip:
            stream = clip.streams.video[0]
            said = float(stream.duration * stream.time_base)
            whole, rate = clip.duration / av.time_base, float(stream.average_rate)
            shown = [frame.time for frame in clip.decode(stream)]
        print(
            f"{name:18} bf={b_frames}: stream {said:.3f} s, container {whole:.3f} s, rate {rate:.2f}"
            f" | {len(shown)} frames, the last at {shown[-1]:.3f} | header {header / ticks:.3f} s"
        )
        assert len(shown) == len(times) and abs(header / ticks - end / 1000) < 2e-3
        short = said < end / 1000 - 0.05 and whole < end / 1000 - 0.05
        changed |= short != (b_frames > 0)
        if name.startswith("fast") and b_frames:
            changed |= said >= shown[-1]
sys.exit("the behaviour has changed" if changed else 0)
PY
