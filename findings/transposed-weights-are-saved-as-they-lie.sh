#!/usr/bin/env bash
# Versions  safetensors 0.7.0 and 0.8.0, NumPy 2.4.6; Python 3.11 or newer.
# Guess     `safetensors.numpy.save` writes the numbers that an array shows, as it did up to 0.7, or
#           refuses an array that does not lie in one piece, as `safetensors.torch.save` does.
# Behaviour 0.8 takes the bytes from where the array begins and pays no attention to its strides. A
#           transposed matrix (weights brought to another framework's layout are one), an array in
#           Fortran's order, or every second column comes back in the right shape and type with the
#           wrong numbers. No error, no warning; the documentation asks for contiguous arrays, and
#           the version before did not need them. `np.ascontiguousarray` before saving helps.
# Output    array            0.7.0     0.8.0     of [[0 1 2] [3 4 5]]
#           contiguous       equal     equal
#           transposed       equal     differs   0 1 2 3 4 5 for 0 3 1 4 2 5
#           Fortran's order  equal     differs   0 3 1 4 2 5 for 0 1 2 3 4 5
#           every second     equal     differs   0 1 2 3 for 0 2 3 5
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6
for version in 0.7.0 0.8.0; do
    "$T/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$T/$version" "safetensors==$version"
done
cat >"$T/save.py" <<'PY'
import sys

import numpy as np
from safetensors import __version__
from safetensors.numpy import load, save

a = np.arange(6, dtype=np.float32).reshape(2, 3)
arrays = {
    "contiguous": a,
    "transposed": a.T,
    "Fortran's order": np.asfortranarray(a),
    "every second": a[:, ::2],
}
equal = []
for name, array in arrays.items():
    back = load(save({"a": array}))["a"]
    assert back.shape == array.shape and back.dtype == array.dtype
    equal.append(np.array_equal(back, array))
    print(f"{__version__} {name:16}", *(f"{v:g}" for v in array.ravel()), " read back", *(f"{v:g}" for v in back.ravel()))
wanted = [True] * 4 if sys.argv[1] == "0.7.0" else [True, False, False, False]
sys.exit(0 if equal == wanted else "the behaviour has changed")
PY
for version in 0.7.0 0.8.0; do
    PYTHONPATH="$T/$version" "$T/venv/bin/python" "$T/save.py" "$version"
done
