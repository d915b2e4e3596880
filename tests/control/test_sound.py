"""Fields of sound, with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from field_frames import HEIGHT, WIDTH, encode, make, plain

from ncavideo.control.field import Context
from ncavideo.util.errors import UserError


def loudness(clip: Path, band: str) -> np.ndarray:
    field = make(f"audio{band}", Context(clip))
    return np.array([field.values(plain(time=t))[3, 3] for t in np.arange(0, 4, 0.04)])


def test_a_chirp_goes_through_the_bands(chirp: Path) -> None:
    # The tone is 50 + 2572 (t - 0.5) Hz: bass until 0.58 s, mid until 2.04 s, treble after.
    bass, mid, treble = (loudness(chirp, band) for band in (":bass", ":mid", ":treble"))
    times = np.arange(0, 4, 0.04)
    assert times[bass.argmax()] == pytest.approx(0.56, abs=0.1)
    assert bass[times > 1.4].max() < 0.2
    assert mid[(times > 0.75) & (times < 1.95)].min() > 0.6
    assert mid[times > 2.8].max() < 0.2
    assert treble[(times > 2.2) & (times < 3.9)].min() > 0.6
    assert treble[times < 1.9].max() < 0.2
    for band in (bass, mid, treble):
        assert band[times < 0.42].max() < 0.1  # silence
    own = loudness(chirp, ":1000-1500")
    assert times[own.argmax()] == pytest.approx(0.97, abs=0.15)


def test_loudness_is_the_same_everywhere(chirp: Path) -> None:
    values = make("audio", Context(chirp)).values(plain(time=2))
    assert values.shape == (HEIGHT, WIDTH)
    assert values.min() == values.max() > 0.5


def test_no_sound(tmp_path: Path) -> None:
    clip = encode(tmp_path / "mute.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 25)
    with pytest.raises(UserError, match="has no sound"):
        make("audio", Context(clip))
