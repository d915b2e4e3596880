"""The step against the design's equation, cell by cell, in double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.nca.engines.reference import network
from ncavideo.nca.model import FILTERS, NCA, Perception, Update, filter_bank, seed_state, to_rgb
from ncavideo.nca.ruleset import RuleSet

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
LAPLACIAN = np.array([[1, 2, 1], [2, -12, 2], [1, 2, 1]]) / 16
IDENTITY = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
BANK = (IDENTITY, SOBEL_X, SOBEL_X.T, LAPLACIAN)


def neighbour(position: int, length: int, edge: str) -> int:
    """Return which cell stands at `position`, which may lie one outside 0..length - 1."""
    if edge == "wrap":
        return position % length
    return min(max(position, 0), length - 1)


def slow_step(
    state: np.ndarray,
    inputs: np.ndarray,
    mask: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray, np.ndarray],
    edge: str,
) -> np.ndarray:
    """Take one step, cell by cell: `state` `[C, H, W]`, `inputs` `[I, H, W]`, `mask` `[H, W]`."""
    w1, b1, w2 = weights
    channels, height, width = state.shape
    out = state.copy()
    for y in range(height):
        for x in range(width):
            if not mask[y, x]:
                continue
            z = []
            for channel in range(channels):
                for kernel in BANK:
                    seen = 0.0
                    for dy in (-1, 0, 1):
                        for dx in (-1, 0, 1):
                            there = (
                                neighbour(y + dy, height, edge),
                                neighbour(x + dx, width, edge),
                            )
                            seen += kernel[dy + 1, dx + 1] * state[channel][there]
                    z.append(seen)
            z.extend(inputs[:, y, x])
            hidden = np.maximum(w1 @ np.array(z) + b1, 0)
            out[:, y, x] += w2 @ hidden
    return out


def filled(nca: NCA, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill a network with random numbers; return them as W1, b1, W2."""
    for parameter in nca.parameters():
        parameter.data = torch.from_numpy(rng.normal(size=tuple(parameter.shape)))
    update = nca.update
    return update.w1.data.numpy(), update.b1.data.numpy(), update.w2.data.numpy()


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@given(
    seed=st.integers(0, 2**32),
    channels=st.integers(3, 6),
    inputs=st.integers(0, 3),
    hidden=st.integers(1, 9),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
)
@settings(max_examples=25)
def test_step_is_the_equation(
    edge: str, seed: int, channels: int, inputs: int, hidden: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    nca = NCA(channels, inputs, hidden).double()
    weights = filled(nca, rng)
    states = rng.normal(size=(2, channels, height, width))
    given_inputs = rng.normal(size=(2, inputs, height, width))
    masks = rng.random((2, 1, height, width)) < 0.6
    with torch.no_grad():
        stepped = nca(
            torch.from_numpy(states),
            torch.from_numpy(given_inputs),
            torch.from_numpy(masks),
            edge,
        ).numpy()
    assert stepped.shape == states.shape
    for i in range(2):
        expected = slow_step(states[i], given_inputs[i], masks[i, 0], weights, edge)
        np.testing.assert_allclose(stepped[i], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_smallest_grids(edge: str, height: int, width: int) -> None:
    rng = np.random.default_rng(1)
    nca = NCA(3, 1, 5).double()
    weights = filled(nca, rng)
    state, inputs = rng.normal(size=(3, height, width)), rng.normal(size=(1, height, width))
    with torch.no_grad():
        stepped = nca(
            torch.from_numpy(state)[None],
            torch.from_numpy(inputs)[None],
            torch.ones(1, 1, 1, 1),
            edge,
        )[0].numpy()
    expected = slow_step(state, inputs, np.ones((height, width), bool), weights, edge)
    np.testing.assert_allclose(stepped, expected, rtol=1e-11, atol=1e-11)


def test_rgba_perceives_sixteen_numbers() -> None:
    nca = NCA(4, 0, 10).double()
    assert nca.update.w1.shape == (10, 16)
    rng = np.random.default_rng(2)
    weights = filled(nca, rng)
    state = rng.normal(size=(4, 3, 4))
    mask = np.ones((3, 4), bool)
    with torch.no_grad():
        stepped = nca(
            torch.from_numpy(state)[None],
            torch.zeros(1, 0, 3, 4, dtype=torch.float64),
            torch.from_numpy(mask)[None, None],
        )[0].numpy()
    expected = slow_step(state, np.zeros((0, 3, 4)), mask, weights, "wrap")
    np.testing.assert_allclose(stepped, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("filter_index", range(FILTERS))
@pytest.mark.parametrize("channel", range(4))
def test_each_weight_reads_its_own_filter(channel: int, filter_index: int) -> None:
    """W1's columns count channel by channel, and within a channel filter by filter."""
    nca = NCA(4, 2, 1).double()
    for parameter in nca.parameters():
        parameter.data.zero_()
    nca.update.w1.data[0, FILTERS * channel + filter_index] = 1
    nca.update.b1.data[0] = 100  # keeps ReLU out of the way
    nca.update.w2.data[:, 0] = 1
    state = np.random.default_rng(3).normal(size=(4, 5, 6))
    with torch.no_grad():
        stepped = nca(
            torch.from_numpy(state)[None],
            torch.zeros(1, 2, 5, 6, dtype=torch.float64),
            torch.ones(1, 1, 5, 6),
        )[0].numpy()
    padded = np.pad(state[channel], 1, mode="wrap")
    kernel = BANK[filter_index]
    seen = sum(kernel[y, x] * padded[y : y + 5, x : x + 6] for y in range(3) for x in range(3))
    np.testing.assert_allclose(stepped - state - 100, np.broadcast_to(seen, state.shape), atol=1e-9)


def test_filter_bank_is_what_is_perceived() -> None:
    np.testing.assert_array_equal(filter_bank().numpy(), np.stack(BANK).astype(np.float32))
    state = torch.randn(1, 5, 6, 3, generator=torch.Generator().manual_seed(0)).double()
    seen = Perception()(state, "reflect")
    padded = torch.nn.functional.pad(state.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate")
    for index, kernel in enumerate(filter_bank().double()):
        one = torch.nn.functional.conv2d(padded, kernel.expand(3, 1, 3, 3), groups=3)
        torch.testing.assert_close(
            seen[..., 3 * index : 3 * index + 3].permute(0, 3, 1, 2), one, rtol=1e-12, atol=1e-12
        )


def test_perception_of_flat_and_sloping_states() -> None:
    """Sobel and Laplacian see nothing in a flat state; a unit slope gives 1 along its axis."""
    flat = torch.full((1, 4, 5, 3), 0.7, dtype=torch.float64)
    own, dx, dy, laplacian = Perception()(flat, "wrap").split(3, -1)
    assert torch.equal(own, flat)
    for seen in (dx, dy, laplacian):
        assert seen.abs().max() < 1e-15
    slope = torch.arange(6, dtype=torch.float64).expand(4, 6)[None, ..., None].repeat(1, 1, 1, 3)
    _, dx, dy, laplacian = (p[:, 1:-1, 1:-1] for p in Perception()(slope, "reflect").split(3, -1))
    assert torch.allclose(dx, torch.ones_like(dx))
    assert dy.abs().max() < 1e-12
    assert laplacian.abs().max() < 1e-12


def test_wrapping_step_moves_with_the_grid(make_ruleset: Callable[..., RuleSet]) -> None:
    nca = network(make_ruleset(4)).double()
    generator = torch.Generator().manual_seed(1)
    state, inputs, mask = (
        torch.rand(1, n, 7, 9, generator=generator, dtype=torch.float64) for n in (4, 3, 1)
    )
    shift = {"shifts": (3, -2), "dims": (2, 3)}
    moved = nca(*(torch.roll(t, **shift) for t in (state, inputs, mask)))
    torch.testing.assert_close(moved, torch.roll(nca(state, inputs, mask), **shift))


def test_cells_that_do_not_fire_stay_bit_for_bit(make_ruleset: Callable[..., RuleSet]) -> None:
    nca = network(make_ruleset(5))
    generator = torch.Generator().manual_seed(2)
    state, inputs = (torch.randn(1, n, 6, 6, generator=generator) for n in (4, 3))
    mask = torch.rand(1, 1, 6, 6, generator=generator) < 0.5
    stepped = nca(state, inputs, mask)
    still = ~mask.expand_as(state)
    assert torch.equal(stepped[still], state[still])
    assert not torch.equal(stepped, state)
    assert torch.equal(nca(state, inputs, torch.zeros(1, 1, 1, 1)), state)


def test_half_precision_is_close_and_keeps_the_states_type(
    make_ruleset: Callable[..., RuleSet],
) -> None:
    nca = network(make_ruleset(6, scale=1.0))
    generator = torch.Generator().manual_seed(3)
    state, inputs = (torch.randn(2, n, 8, 8, generator=generator) for n in (4, 3))
    exact = nca(state, inputs, torch.ones(1, 1, 1, 1))
    rough = nca(state, inputs, torch.ones(1, 1, 1, 1), "wrap", torch.bfloat16)
    assert rough.dtype == torch.float32
    change = (exact - state).abs().max()
    assert 0 < (rough - exact).abs().max() < 0.02 * change


def test_gradients_reach_every_weight_and_match_differences() -> None:
    torch.manual_seed(0)
    nca = NCA(3, 1, 4).double()
    for parameter in nca.parameters():
        torch.nn.init.normal_(parameter)
    state, inputs = torch.randn(1, 3, 3, 4).double(), torch.randn(1, 1, 3, 4).double()
    mask = (torch.rand(1, 1, 3, 4) < 0.7).double()
    names = [name for name, _ in nca.named_parameters()]

    def two_steps(*values: torch.Tensor) -> torch.Tensor:
        weights = dict(zip(names, values, strict=True))
        once = torch.func.functional_call(nca, weights, (state, inputs, mask, "reflect"))
        return torch.func.functional_call(nca, weights, (once, inputs, mask, "reflect"))

    parameters = tuple(p.detach().requires_grad_() for p in nca.parameters())
    assert torch.autograd.gradcheck(two_steps, parameters, fast_mode=True)


def test_inputs_go_by_name(make_ruleset: Callable[..., RuleSet]) -> None:
    """Swapping two input channels and their weights together changes nothing."""
    ruleset = make_ruleset(7, rules=("fire", "moss", "water"))
    order = [2, 0, 1, 3]
    w1 = np.concatenate([ruleset.w1[:, :16], ruleset.w1[:, 16:][:, order]], 1)
    swapped = RuleSet(
        "swapped",
        tuple(ruleset.rules[i] for i in order[:3]),
        tuple(ruleset.inputs[i] for i in order),
        ruleset.fire_rate,
        w1,
        ruleset.b1,
        ruleset.w2,
    )
    generator = torch.Generator().manual_seed(4)
    named = {name: torch.rand(1, 1, 5, 5, generator=generator) for name in ruleset.inputs}
    state = torch.randn(1, 4, 5, 5, generator=generator)
    stepped = [
        network(s)(state, torch.cat([named[n] for n in s.inputs], 1), torch.ones(1, 1, 1, 1))
        for s in (ruleset, swapped)
    ]
    torch.testing.assert_close(*stepped)


def test_a_new_network_leaves_the_seed_state_alone() -> None:
    """Training starts from no change at all: the last layer is zero."""
    state = seed_state(2, 12, 4, 5)
    assert state.shape == (2, 12, 4, 5)
    assert not state.any()
    assert torch.equal(NCA(12, 3, 8)(state, torch.rand(2, 3, 4, 5), torch.ones(1, 1, 1, 1)), state)
    assert torch.equal(to_rgb(state), torch.full((2, 3, 4, 5), 0.5))
    assert Update(12, 3, 8).w1.shape == (8, 51)


def test_too_few_channels_for_colour() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        NCA(2, 1, 4)
