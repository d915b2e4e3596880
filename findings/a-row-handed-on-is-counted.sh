#!/usr/bin/env bash
# Versions  Numba 0.68.1, llvmlite 0.50.0, NumPy 2.4.6; Python 3.11 or newer; x86-64.
# Guess     In compiled code a row (`plane[y]`) is a pointer and two numbers, so that handing it to a
#           helper costs nothing; Numba documents that it removes pairs of reference counts.
# Behaviour They are removed where the helper becomes part of its caller. Where it does not (here,
#           and wherever a helper has several loops), each row made for it raises and lowers its
#           owner's count in two atomic operations of some 20 cycles. Per row of pixels and pass a
#           renderer makes hundreds of them. Handing on the whole array and the row's number counts
#           nothing.
# Output    200,000 rows of 8 numbers, least of 15 calls: rows 11.0 ms, numbers of rows 2.4 ms
#           (the ratio is checked, at 1.5; what is computed is the same)
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys
import time

import numba
import numpy as np


@numba.njit(error_model="numpy")
def add_row(row, weights, out):
    for n in range(len(weights)):
        for x in range(len(row)):
            out[x] += weights[n] * row[x]


@numba.njit(error_model="numpy")
def by_rows(plane, weights, out):
    for y in range(len(plane)):
        add_row(plane[y], weights, out[y])


@numba.njit(error_model="numpy")
def add_numbered(plane, y, weights, out):
    for n in range(len(weights)):
        for x in range(plane.shape[1]):
            out[y, x] += weights[n] * plane[y, x]


@numba.njit(error_model="numpy")
def by_numbers(plane, weights, out):
    for y in range(len(plane)):
        add_numbered(plane, y, weights, out)


plane, weights = np.ones((200_000, 8), np.float32), np.ones(2, np.float32)
least = {}
for kernel in (by_rows, by_numbers):
    out = np.zeros_like(plane)
    kernel(plane, weights, out)
    assert (out == 2).all()
    times = []
    for _ in range(15):
        begin = time.perf_counter()
        kernel(plane, weights, out)
        times.append(time.perf_counter() - begin)
    least[kernel] = min(times)
    print(f"{kernel.__name__:12} {1000 * min(times):.1f} ms")
sys.exit(0 if least[by_rows] > 1.5 * least[by_numbers] else "the behaviour has changed")
PY
