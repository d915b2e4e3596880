#!/usr/bin/env bash
# Versions  Numba 0.68.1, NumPy 2.4.6; Python 3.11 or newer.
# Guess     In a function compiled with `numba.njit`, `mean`, `sum` and `std` of a float32 array
#           give what NumPy gives, within a few rounding errors.
# Behaviour Numba adds one number after the other in a single float32. At 16,777,216 another 1
#           changes nothing, so that an array of ones as large as an 8K frame (7680x4320) has a sum
#           of 16,777,216, a mean of 0.506 and a standard deviation of 0.494, without fastmath and
#           without a warning. NumPy adds in pairs, so that its own sum is exact here. A 4K frame is
#           still right: nothing shows until the picture is large. Asking for float64
#           (`np.sum(a.astype(np.float64))`, or a loop with a float64 total) mends it.
# Output              sum         mean      std
#           numpy     33177600    1.00000   0.00000
#           numba     16777216    0.50568   0.49432
#           numba 4K  8294400     1.00000   0.00000
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
def compiled(a):
    return np.sum(a), np.mean(a), np.std(a)


large, small = (np.ones(size, np.float32) for size in ((4320, 7680), (2160, 3840)))
rows = {
    "numpy": (large.sum(), large.mean(), large.std()),
    "numba": compiled(large),
    "numba 4K": compiled(small),
}
print("          sum         mean      std")
for name, (total, mean, deviation) in rows.items():
    print(f"{name:9} {total:<11.0f} {mean:.5f}   {deviation:.5f}")
right = [rows["numpy"] == (large.size, 1, 0), rows["numba 4K"] == (small.size, 1, 0)]
total, mean, deviation = rows["numba"]
wrong = total == 2**24 and abs(mean - 2**24 / large.size) < 1e-6 and deviation > 0.4
sys.exit(0 if all(right) and wrong else "the behaviour has changed")
PY
