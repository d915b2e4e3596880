"""Rows of pixels, in order and phase by phase."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ncavideo.composite.phase_kernel import deinterleave, interleave


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 8))
def test_phases_are_every_kth_pixel(k: int, cells: int, cut: int) -> None:
    width = max(1, cells * k - min(cut, k - 1))  # the last cell may be cut off
    line = np.arange(1, width + 1, dtype=np.float32)
    phases = np.zeros((k, cells), np.float32)
    deinterleave(line, phases)
    whole = np.concatenate([line, np.full(cells * k - width, line[-1])])
    assert (phases == whole.reshape(cells, k).T).all()
    pixels = np.zeros((3, cells * k), np.float32)
    interleave(phases[None].repeat(3, 0), 1, pixels)
    assert (pixels[1] == whole).all()
    assert not pixels[[0, 2]].any()
