#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2, libswresample 6.3), NumPy 2.4.6; Python 3.11 or newer.
# Guess     The same tone in every channel, mixed down to mono with `av.AudioResampler`, keeps its
#           level, and the sample format of the output changes how numbers are written and nothing
#           else.
# Behaviour The mixing weights depend on the output's sample format. For 16- and 32-bit integers
#           they are scaled so that nothing can clip, and the tone keeps its level. For floats they
#           are not: stereo comes out 1.41 times as loud (+3 dB), 5.1 3.41 times (+10.7 dB), far
#           beyond full scale. What measures loudness, or draws sound as a picture, gets another
#           answer from "flt" than from "s16". The option `rematrix_maxval=1.0` makes both equal.
# Output    tone of 0.5 in all channels, to mono
#           layout   s16     s32     flt     dbl     flt with rematrix_maxval=1
#           stereo   0.500   0.500   0.707   0.707   0.500
#           5.1      0.500   0.500   1.707   1.707   0.500
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np

RATE = 48000
FULL = {"s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE // 10) / RATE)


def peak(layout, channels, form, options=None):
    samples = np.repeat(tone[:, None], channels, 1).astype(np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    mixer = av.AudioResampler(form, "mono", RATE, options=options)
    parts = mixer.resample(frame) + mixer.resample(None)
    loudest = np.abs(np.concatenate([p.to_ndarray().ravel() for p in parts]).astype(float)).max()
    return round(float(loudest) / FULL[form], 3)


print("layout  ", *FULL, "flt with rematrix_maxval=1")
seen = {}
for layout, channels in (("stereo", 2), ("5.1", 6)):
    seen[layout] = [peak(layout, channels, form) for form in FULL]
    seen[layout].append(peak(layout, channels, "flt", {"rematrix_maxval": "1.0"}))
    print(f"{layout:8}", *seen[layout])
expected = {"stereo": [0.5, 0.5, 0.707, 0.707, 0.5], "5.1": [0.5, 0.5, 1.707, 1.707, 0.5]}
same = all(np.allclose(seen[name], expected[name], atol=0.002) for name in expected)
sys.exit(0 if same else "the behaviour has changed")
PY
