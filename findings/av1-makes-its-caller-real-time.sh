#!/usr/bin/env bash
# Versions  PyAV 18.1.0 (FFmpeg 8.1.2, libsvtav1 as its wheel has it); Python 3.11 or newer; Linux, as root.
# Guess     Opening an encoder leaves the thread that opens it as it was: priorities are the program's.
# Behaviour Where the process may (root, as in most containers), SVT-AV1 puts the calling thread and its
#           own under SCHED_FIFO at priority 99, the highest real-time one, and leaves them there when
#           the encoder is closed. Whatever the program does afterwards, and every process that it
#           starts, goes before all else on the machine; x264 and x265 do nothing of the kind.
#           Remedy: note the policy before, and set it again for this thread and the new ones.
# Output    policy and priority before: 0 0; after libx264: 0 0; after libsvtav1: 1 99; once it is closed: 1 99;
#           of a child process: 1 99
set -eu
if [ "$(id -u)" != 0 ]; then
    echo "this shows as root alone: others may not have real-time threads"
    exit 0
fi
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0
SVT_LOG=0 "$T/venv/bin/python" - <<'PY'
import os
import subprocess
import sys
from fractions import Fraction

import av


def policy():
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


def opened(name):
    context = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = 64, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.open()
    return context


os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
seen = {"before": policy()}
x264 = opened("libx264")
seen["after libx264"] = policy()
svt = opened("libsvtav1")
seen["after libsvtav1"] = policy()
del svt
seen["once it is closed"] = policy()
ask = "import os; print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)"
child = subprocess.check_output([sys.executable, "-c", ask], text=True).split()
seen["of a child process"] = tuple(map(int, child))
for when, (kind, priority) in seen.items():
    print(f"policy and priority {when}: {kind} {priority}")
expected = [(0, 0), (0, 0), (1, 99), (1, 99), (1, 99)]
sys.exit("the behaviour has changed" if list(seen.values()) != expected else 0)
PY
