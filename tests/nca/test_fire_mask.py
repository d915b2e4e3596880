"""The fire mask: one published hash, the same cells everywhere, no pattern to be seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ncavideo.nca.fire_mask import fire_mask, fire_mask_torch, pcg4d, threshold

WORD = st.integers(0, 2**32 - 1)
SIDE = st.integers(1, 24)
RATE = st.floats(0, 1)

# Words (x, y, z, w) and the first that comes out, by `plain_pcg4d`: for other languages.
KNOWN = {
    (0, 0, 0, 0): 0x0F02F829,
    (1, 0, 0, 0): 0x0B3CEFC3,
    (0, 1, 0, 0): 0x2A9D71A8,
    (0, 0, 1, 0): 0x2EDA6C9D,
    (0, 0, 0, 1): 0x8D9EFFE2,
    (7, 12, 359, 639): 0x0A5AE281,
    (2**32 - 1, 2**31, 2**16, 2**31 - 1): 0x4FF6A491,
}


def plain_pcg4d(*words: int) -> int:
    """The paper's GLSL, line by line, on Python's whole numbers."""
    most = 0xFFFFFFFF
    x, y, z, w = ((word * 1664525 + 1013904223) & most for word in words)
    for last in (False, True):
        x = (x + y * w) & most
        y = (y + z * x) & most
        z = (z + x * y) & most
        w = (w + y * z) & most
        if not last:
            x, y, z, w = (v ^ (v >> 16) for v in (x, y, z, w))
    return x


def hashed(*words: int) -> int:
    return int(pcg4d(*(np.array([word], np.uint32) for word in words))[0])


@pytest.mark.parametrize(("words", "first"), KNOWN.items())
def test_known_answers(words: tuple[int, int, int, int], first: int) -> None:
    assert hashed(*words) == first


@given(WORD, WORD, WORD, WORD)
@settings(max_examples=200)
def test_hash_is_the_papers(x: int, y: int, z: int, w: int) -> None:
    assert hashed(x, y, z, w) == plain_pcg4d(x, y, z, w)


@given(WORD, WORD, SIDE, SIDE, RATE)
@example(0, 0, 3, 5, 0.0)
@example(0, 0, 3, 5, 1.0)
@example(2**32 - 1, 2**32 - 1, 7, 1, 0.5)
@example(1, 1, 4, 4, 1 - 2**-33)
@settings(max_examples=100)
def test_numpy_and_torch_fire_the_same_cells(
    seed: int, step: int, height: int, width: int, rate: float
) -> None:
    mask = fire_mask(seed, step, height, width, rate)
    assert mask.shape == (height, width)
    assert mask.dtype == bool
    other = fire_mask_torch(seed, step, height, width, rate, "cpu")
    assert other.dtype == torch.bool
    assert np.array_equal(mask, other.numpy())
    # And both are what the definition says.
    y, x = height - 1, width // 2
    assert mask[y, x] == (plain_pcg4d(seed, step, y, x) < round(rate * 2**32))


def test_large_grid_and_far_steps() -> None:
    for seed, step in ((0, 2**31 - 1), (2**31, 2**31), (12345, 10**9)):
        mask = fire_mask(seed, step, 257, 1031, 0.37)
        assert np.array_equal(mask, fire_mask_torch(seed, step, 257, 1031, 0.37, "cpu").numpy())


@given(st.integers(0, 2**40), st.integers(0, 2**40))
@settings(max_examples=20)
def test_seed_and_step_count_modulo_2_32(seed: int, step: int) -> None:
    within = fire_mask(seed % 2**32, step % 2**32, 5, 7, 0.5)
    assert np.array_equal(within, fire_mask(seed, step, 5, 7, 0.5))
    assert np.array_equal(within, fire_mask_torch(seed, step, 5, 7, 0.5, "cpu").numpy())


@given(WORD, WORD, st.integers(0, 30), st.integers(0, 30), SIDE, SIDE, RATE)
@settings(max_examples=60)
def test_window_fires_as_within_the_whole(
    seed: int, step: int, row: int, column: int, height: int, width: int, rate: float
) -> None:
    whole = fire_mask(seed, step, row + height, column + width, rate)
    window = fire_mask(seed, step, height, width, rate, row=row, column=column)
    assert np.array_equal(window, whole[row:, column:])


@given(WORD, WORD)
@settings(max_examples=10)
def test_rate_0_never_fires_and_1_always(seed: int, step: int) -> None:
    assert not fire_mask(seed, step, 50, 50, 0).any()
    assert fire_mask(seed, step, 50, 50, 1).all()
    assert not fire_mask_torch(seed, step, 50, 50, 0, "cpu").any()
    assert fire_mask_torch(seed, step, 50, 50, 1, "cpu").all()


@given(WORD, WORD, RATE, RATE)
@settings(max_examples=20)
def test_higher_rate_fires_a_superset(seed: int, step: int, a: float, b: float) -> None:
    few, many = (fire_mask(seed, step, 9, 9, rate) for rate in sorted((a, b)))
    assert (many | ~few).all()


@given(WORD, WORD)
@settings(max_examples=30)
def test_a_cell_fires_when_its_hash_is_below_the_rate(seed: int, step: int) -> None:
    """Not when it is equal: one bit decides, and all who decide agree."""
    value = plain_pcg4d(seed, step, 0, 0)
    for above, fires in ((0, False), (1, True)):
        rate = (value + above) / 2**32
        assert fire_mask(seed, step, 1, 1, rate)[0, 0] == fires
        assert fire_mask_torch(seed, step, 1, 1, rate, "cpu")[0, 0] == fires


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="fire rate"):
        threshold(rate)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_of_firing_cells(rate: float) -> None:
    side, steps = 100, 16
    deviation = (rate * (1 - rate)) ** 0.5
    stack = np.stack([fire_mask(3, step, side, side, rate) for step in range(steps)])
    assert abs(stack.mean() - rate) < 5 * deviation / stack.size**0.5
    # No step, row or column is favoured.
    for axes in ((1, 2), (0, 2), (0, 1)):
        shares = stack.mean(axes)
        expected = deviation / (stack.size / shares.size) ** 0.5
        assert np.abs(shares - rate).max() < 5 * expected
        assert 0.6 < shares.std() / expected < 1.6


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_steps_seeds_and_neighbours_are_independent(rate: float) -> None:
    side = 256
    first = fire_mask(5, 100, side, side, rate)

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    pairs = {"transposed": (first, first.T), "turned": (first, first[::-1, ::-1])}
    for distance in (1, 2, 3, 64):
        pairs[f"right {distance}"] = (first[:, distance:], first[:, :-distance])
        pairs[f"below {distance}"] = (first[distance:], first[:-distance])
        pairs[f"diagonal {distance}"] = (first[distance:, distance:], first[:-distance, :-distance])
        pairs[f"step {distance}"] = (first, fire_mask(5, 100 + distance, side, side, rate))
        pairs[f"seed {distance}"] = (first, fire_mask(5 + distance, 100, side, side, rate))
        # A travelling pattern: next step, next cell.
        later = fire_mask(5, 100 + distance, side, side, rate)
        pairs[f"travelling {distance}"] = (first[:, distance:], later[:, :-distance])
    # Seed and step must not be interchangeable either.
    pairs["seed for step"] = (first, fire_mask(100, 5, side, side, rate))
    for what, (a, b) in pairs.items():
        assert abs(correlation(a, b)) < 5 / a.size**0.5, what
