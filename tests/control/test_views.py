"""What a frame is to controls."""

from __future__ import annotations

import numpy as np
import pytest

from ncavideo.control.field import make_view
from ncavideo.util.pixels import LUMINANCE


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_view_of_a_frame(kind: type) -> None:
    white = np.iinfo(kind).max
    frame = np.zeros((20, 30, 3), kind)
    frame[:, :15] = (white, 0, 0)
    frame[:, 15:] = (0, white, 0)
    view = make_view(frame, 4, 6, 1.5)
    assert view.rgb.shape == (4, 6, 3)
    assert view.luma.shape == (4, 6)
    assert view.time == 1.5
    assert view.rgb.dtype == view.luma.dtype == np.float32
    np.testing.assert_allclose(view.luma[:, :3], LUMINANCE[0], rtol=1e-5)
    np.testing.assert_allclose(view.luma[:, 3:], LUMINANCE[1], rtol=1e-5)
    assert make_view(np.full((5, 5, 3), white, kind), 3, 3, 0).luma == pytest.approx(1, abs=1e-5)


def test_view_averages_what_a_cell_covers() -> None:
    checkers = (np.indices((40, 40)).sum(0) % 2 * 255).astype(np.uint8)
    view = make_view(np.repeat(checkers[..., None], 3, 2), 10, 10, 0)
    np.testing.assert_allclose(view.luma, 0.5, atol=1e-5)
