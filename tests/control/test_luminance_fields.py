"""Fields of luminance, with known answers."""

from __future__ import annotations

import numpy as np
from field_frames import HEIGHT, NOWHERE, WIDTH, frame_view, make
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ncavideo.control.bands import Bands
from ncavideo.control.field import View


@given(luma=hnp.arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)))
@settings(max_examples=50)
def test_thirds_sum_to_one(luma: np.ndarray) -> None:
    view = View(np.repeat(luma[..., None], 3, 2), luma, 0.0)
    parts = [Bands.parse(third, NOWHERE).values(view) for third in ("dark", "mid", "bright")]
    np.testing.assert_allclose(sum(parts), 1, atol=1e-5)
    assert min(part.min() for part in parts) >= -1e-6


def test_bands_of_a_ramp() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, WIDTH)[None, :, None], (HEIGHT, WIDTH, 3))
    dark, bright, band = (
        make(f"luminance:{name}").values(frame_view(ramp))
        for name in ("dark", "bright", "0.25-0.5")
    )
    place = np.linspace(0, 1, WIDTH)
    assert (dark[:, place < 0.28] == 1).all()
    assert (dark[:, place > 0.39] == 0).all()
    assert (bright[:, place > 0.72] == 1).all()
    assert (bright[:, place < 0.61] == 0).all()
    assert (band[:, (place > 0.31) & (place < 0.44)] == 1).all()
    assert (band[:, (place < 0.2) | (place > 0.55)] == 0).all()
    # A gamma of 2 makes 0.25 look as bright as 0.5.
    lifted = make("luminance:0.4-0.6/2").values(frame_view(ramp))
    assert lifted[0, np.abs(place - 0.25).argmin()] == 1
    assert lifted[0, np.abs(place - 0.5).argmin()] == 0
