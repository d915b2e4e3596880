#!/usr/bin/env bash
# Versions  Numba 0.68.1, NumPy 2.4.6; Python 3.11 or newer.
# Guess     `np.sign` of an unsigned number is 0 or 1, in a function compiled with Numba as in
#           NumPy: there is nothing below zero.
# Behaviour From the middle of the type's range on, Numba compares as if the number had a sign: it
#           gives -1, which an unsigned result stores as its greatest value. The sign of a pixel of
#           127 is 1, of a pixel of 128 it is 255. The same holds for 16 and more bits, for one
#           number as for an array, without a warning, while `a > 0` is right. A mask that is made
#           with `np.sign`, or a sum of signs that counts what is not black, counts each bright pixel 255
#           times. Dark test pictures do not show it.
# Output    pixels         0 1 127 128 255
#           NumPy          0 1   1   1   1
#           Numba          0 1   1 255 255     uint16: 40000 -> 65535, uint32: 3000000000 -> 4294967295
#           Numba, a > 0   0 1   1   1   1
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$T/venv/bin/python" - <<'PY'
import sys

import numba
import numpy as np


@numba.njit
def sign(a):
    return np.sign(a)


@numba.njit
def lit(a):
    return a > 0


pixels = np.array([0, 1, 127, 128, 255], np.uint8)
rows = {"NumPy": np.sign(pixels), "Numba": sign(pixels), "Numba, a > 0": lit(pixels).astype(np.uint8)}
print("pixels       ", *pixels)
for name, row in rows.items():
    print(f"{name:13}", *row)
wider = {kind: int(sign(np.array([n], kind))[0]) for kind, n in (("uint16", 40000), ("uint32", 3 * 10**9))}
alone = int(sign(np.uint8(200)))
print("wider:", wider, "one pixel of 200:", alone)
right = rows["NumPy"].tolist() == rows["Numba, a > 0"].tolist() == [0, 1, 1, 1, 1]
wrong = rows["Numba"].tolist() == [0, 1, 1, 255, 255]
wrong &= wider == {"uint16": 2**16 - 1, "uint32": 2**32 - 1} and alone != 1
sys.exit(0 if right and wrong else "the behaviour has changed")
PY
