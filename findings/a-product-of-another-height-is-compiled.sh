#!/usr/bin/env bash
# Versions  PyTorch 2.15.0, NumPy 2.4.6; Python 3.11 or newer; an x86-64 processor with instructions
#           for bfloat16 (AVX-512 BF16 or AMX). One thread.
# Guess     A matrix product in bfloat16 takes a time that goes with its size, as in float32, so that
#           multiplying only the rows that count (the cells that fire, another number in every step)
#           is the fastest.
# Behaviour oneDNN compiles each product for its exact sizes and keeps the code: the first product of
#           each height takes many times the product itself, most of all a transposed one, whose
#           inner size is the height (ONEDNN_VERBOSE=2 shows a `create:cache_miss` for each). In
#           float32, where PyTorch does not ask oneDNN, there is nothing of the kind. Rounding heights
#           up to multiples of 256, with rows of zeros, leaves a few sizes.
# Output    x.T @ y, heights 4400, 4417, ..., 96 and 48 columns, medians, other work beside it:
#           bfloat16: first 15.16 ms, later 0.33 ms; float32: first 0.64 ms, later 0.41 ms
#           (checked: at least 4 times in bfloat16, at most 2.5 times in float32)
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check torch==2.15.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import statistics
import sys
import time

import torch

torch.set_num_threads(1)


def seconds(x, y):
    begin = time.perf_counter()
    x.t() @ y
    return time.perf_counter() - begin


ratios = {}
for dtype in (torch.bfloat16, torch.float32):
    first, later = [], []
    for height in range(4400, 4740, 17):
        x = torch.ones(height, 96, dtype=dtype)
        y = torch.ones(height, 48, dtype=dtype)
        times = [seconds(x, y) for _ in range(6)]
        first.append(times[0])
        later.append(min(times[1:]))
    first, later = first[3:], later[3:]  # the library itself starts up in the first ones
    a, b = statistics.median(first), statistics.median(later)
    ratios[dtype] = a / b
    print(f"{dtype}: first {1000 * a:.2f} ms, later {1000 * b:.2f} ms")
same = ratios[torch.bfloat16] > 4 and ratios[torch.float32] < 2.5
sys.exit(0 if same else "the behaviour has changed")
PY
