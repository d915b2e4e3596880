"""The thresholds between rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_frames import GRIDS, SHARE, grey, halves, noise

from ncavideo.control.levels import Thresholds
from ncavideo.control.luminance import DEFAULT_CONTRAST, Luminance


@pytest.mark.parametrize("white", [0.2, 0.35, 0.5, 0.65, 0.8])
def test_two_tones_are_split_between_them(white: float) -> None:
    (threshold,) = Thresholds(2).update(halves(white), 0)
    assert 0.1 < threshold < 0.9


def test_three_tones_are_split_between_them() -> None:
    luma = np.repeat(np.array([0.1, 0.5, 0.9], np.float32), 400).reshape(30, 40)
    first, second = Thresholds(3).update(luma, 0)
    assert 0.15 < first < 0.45
    assert 0.55 < second < 0.85


@given(
    luma=hnp.arrays(np.float32, GRIDS, elements=SHARE),
    bands=st.integers(2, 6),
    later=hnp.arrays(np.float32, GRIDS, elements=SHARE),
    pause=st.floats(-1, 10),
)
@example(np.zeros((4, 4), np.float32), 2, np.ones((4, 4), np.float32), 0.04)
@example(np.ones((4, 4), np.float32), 6, np.ones((4, 4), np.float32), 0.0)
@settings(max_examples=100)
def test_thresholds_ascend_within_range(
    luma: np.ndarray, bands: int, later: np.ndarray, pause: float
) -> None:
    thresholds = Thresholds(bands)
    for frame, time in ((luma, 1.0), (later, 1 + pause)):
        found = thresholds.update(frame, time)
        assert found.shape == (bands - 1,)
        assert found.min() >= 0
        assert found.max() <= 1
        assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
def test_constant_frames(value: float) -> None:
    frame = np.full((24, 32), value, np.float32)
    assert Thresholds(3).update(frame, 0) == pytest.approx([1 / 3, 2 / 3], abs=0.02)
    for contrast in (1.0, DEFAULT_CONTRAST):
        weights = Luminance(3).weights(grey(frame), contrast)
        assert np.isfinite(weights).all()
        assert np.abs(weights.sum(0) - 1).max() < 1e-6
        assert np.ptp(weights.reshape(3, -1), axis=1).max() < 1e-5


def drifting(time: float) -> np.ndarray:
    """Return a textured frame that brightens steadily, with no cut."""
    base = np.random.default_rng(0).random((40, 60))
    return (base ** (2.5 - 0.6 * time)).astype(np.float32)


def trajectory(times: np.ndarray) -> np.ndarray:
    thresholds = Thresholds(3)
    return np.stack([thresholds.update(drifting(time), time) for time in times])


def test_frame_rate_does_not_matter() -> None:
    slow, fast = (trajectory(np.arange(2 * rate + 1) / rate) for rate in (25, 50))
    moved = np.abs(slow[-1] - slow[0])
    assert moved.min() > 0.1, "the test's frames must move the thresholds"
    assert np.abs(fast[::2] - slow).max() < 0.05 * moved.max()
    # Frames at uneven times: those of 25 fps with two thirds of them dropped at random.
    kept = np.sort(np.random.default_rng(1).choice(np.arange(1, 50), 16, replace=False))
    kept = np.array([0, *kept, 50])
    uneven = trajectory(kept / 25)
    assert np.abs(uneven - slow[kept]).max() < 0.2 * moved.max()


def test_a_held_frame_approaches_its_split_as_an_exponential() -> None:
    """After a change, the time constant alone decides, however many frames there are."""
    results = []
    for rate in (24, 25, 60):
        thresholds = Thresholds(2)
        thresholds.update(drifting(0), 0)
        changed = drifting(0.4)
        for frame in range(1, rate + 1):
            found = thresholds.update(changed, frame / rate)
        results.append(found)
    np.testing.assert_allclose(results, np.broadcast_to(results[0], (3, 1)), atol=1e-6)


def test_thresholds_follow_smoothly_and_jump_at_a_cut() -> None:
    scene, other = drifting(0), drifting(0) * 0.3
    fresh = Thresholds(2).update(other, 0)
    thresholds = Thresholds(2)
    for frame in range(10):
        before = thresholds.update(scene, frame / 25)
    assert np.abs(fresh - before).min() > 0.1
    after = thresholds.update(other, 10 / 25)
    assert np.array_equal(after, fresh)
    # A slow change is followed over time, not at once.
    thresholds = Thresholds(2)
    start = thresholds.update(drifting(0), 0)
    aim = Thresholds(2).update(drifting(0.3), 0)
    step = thresholds.update(drifting(0.3), 0.04)
    assert np.abs(step - start).max() < 0.15 * np.abs(aim - start).max()


def test_still_noise_hardly_moves_thresholds() -> None:
    thresholds = Thresholds(2)
    found = [thresholds.update(drifting(0) * 0.8 + 0.1 + noise(0.02, i, 40, 60), i / 25)
             for i in range(25)]  # fmt: skip
    assert np.abs(np.diff(found, axis=0)).max() < 0.004
