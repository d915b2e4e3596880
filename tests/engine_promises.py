"""The exact result of steps, and promises of engines, for the tests of all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ncavideo.nca.engines.base import Engine
from ncavideo.nca.engines.reference import network
from ncavideo.nca.fire_mask import fire_mask
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet

Start = Callable[[RuleSet, int, int], Engine]


def exact(
    ruleset: RuleSet,
    inputs: np.ndarray,
    steps: int,
    edge: Edge,
    seed: int,
    before: np.ndarray | None = None,
    first: int = 0,
) -> np.ndarray:
    """Return the state after `steps` steps, computed in float64.

    From the seed state at step 0, or from the state `before` at step `first`.
    """
    nca = network(ruleset).double()
    _, height, width = inputs.shape
    state = torch.zeros(1, ruleset.channels, height, width, dtype=torch.float64)
    if before is not None:
        state = torch.from_numpy(before)[None].double()
    given = torch.from_numpy(inputs)[None].double()
    for step in range(first, first + steps):
        mask = torch.from_numpy(fire_mask(seed, step, height, width, ruleset.fire_rate))
        state = nca(state, given, mask[None, None], edge)
    return state[0].numpy()


def random_inputs(ruleset: RuleSet, height: int, width: int, seed: int = 0) -> np.ndarray:
    shape = (len(ruleset.inputs), height, width)
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def starts_grey_and_changes_nothing(ruleset: RuleSet, start: Start, steps: int) -> None:
    """Check that an engine starts at the seed state, and leaves its inputs and weights alone."""
    weights = [array.copy() for array in (ruleset.w1, ruleset.b1, ruleset.w2)]
    inputs = random_inputs(ruleset, 5, 6)
    given = inputs.copy()
    engine = start(ruleset, 5, 6)
    assert np.array_equal(engine.rgb(), np.full((5, 6, 3), 0.5, np.float32))
    engine.step(inputs, steps)
    assert np.array_equal(inputs, given)
    for array, before in zip((ruleset.w1, ruleset.b1, ruleset.w2), weights, strict=True):
        assert np.array_equal(array, before)
    shown = engine.rgb()
    assert (shown.min(), shown.max()) == (0, 1), "out of range states are clipped"
    shown[:] = 0.25  # a caller may draw on its picture
    assert not np.array_equal(engine.rgb(), shown)


def of_any_memory_order(ruleset: RuleSet, start: Start, steps: int) -> list[np.ndarray]:
    """Return pictures of the same inputs in several memory orders."""
    inputs = random_inputs(ruleset, 6, 8)
    pictures = []
    for stored in (inputs, np.asfortranarray(inputs), np.repeat(inputs, 2, 2)[:, :, ::2]):
        engine = start(ruleset, 6, 8)
        engine.step(stored, steps)
        pictures.append(engine.rgb())
    return pictures


def takes_inputs_on_its_device(ruleset: RuleSet, start: Start, device: str) -> None:
    """Check that inputs in a tensor do what they do in an array, and that the picture stays."""
    inputs = random_inputs(ruleset, 6, 8)
    here, there = (start(ruleset, 6, 8) for _ in range(2))
    for steps in (3, 2):
        here.step(inputs, steps)
        there.step_on_device(torch.from_numpy(inputs).to(device), steps)
    texture = there.rgb_tensor()
    assert texture.device.type == device
    assert np.array_equal(texture.cpu().numpy(), here.rgb())
    assert there.steps_taken == here.steps_taken == 5
