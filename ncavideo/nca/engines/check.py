"""Is an engine right here? A few steps on a small grid beside the step written down in NumPy.

Compilers, drivers and vendors' libraries differ from machine to machine. An engine that is fast
and wrong would spoil a night's work, so each is tried before it is used; it takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.fire_mask import fire_mask
from ncavideo.nca.network import Network

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

HEIGHT, WIDTH, STEPS, SEED = 5, 39, 3, 12  # small, and no multiple of any engine's tile
LARGEST = 1e30  # a rule set that blows up beyond this in a few steps leaves nothing to compare

# For correlation: identity, Sobel x, Sobel y, Laplacian; the same as `model.filter_bank`.
FILTERS = np.array(
    [
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[-1 / 8, 0, 1 / 8], [-2 / 8, 0, 2 / 8], [-1 / 8, 0, 1 / 8]],
        [[-1 / 8, -2 / 8, -1 / 8], [0, 0, 0], [1 / 8, 2 / 8, 1 / 8]],
        [[1 / 16, 2 / 16, 1 / 16], [2 / 16, -12 / 16, 2 / 16], [1 / 16, 2 / 16, 1 / 16]],
    ]
)


def exact_step(
    ruleset: Network, state: np.ndarray, inputs: np.ndarray, mask: np.ndarray, edge: Edge
) -> np.ndarray:
    """Take one step in float64: `state` `[C, H, W]`, `inputs` `[I, H, W]`, `mask` `[H, W]`."""
    padding = ((0, 0), (1, 1), (1, 1))
    padded = np.pad(state.astype(np.float64), padding, "wrap" if edge == "wrap" else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    seen = np.einsum("chwyx,fyx->cfhw", windows, FILTERS).reshape(-1, *mask.shape)
    z = np.concatenate([seen, inputs])
    hidden = np.einsum("jk,khw->jhw", ruleset.w1, z) + ruleset.b1[:, None, None]
    change = np.einsum("cj,jhw->chw", ruleset.w2, np.maximum(hidden, 0))
    return np.asarray(state + mask * change)


def difference(engine: Engine) -> float:
    """Return how far a fresh engine strays from the exact step in a few steps.

    The largest error over the largest number in the grid; NaN or infinite where the engine's
    numbers are. `engine` must be `HEIGHT` x `WIDTH` cells and have the seed `SEED`.
    """
    rng = np.random.default_rng(0)
    ruleset = engine.ruleset
    inputs = rng.random((len(ruleset.inputs), HEIGHT, WIDTH)).astype(np.float32)
    state = rng.normal(0, 0.3, (ruleset.channels, HEIGHT, WIDTH)).astype(np.float32)
    engine.restore(Snapshot(state, 0))
    engine.step(inputs, STEPS)
    for step in range(STEPS):
        mask = fire_mask(SEED, step, HEIGHT, WIDTH, ruleset.fire_rate)
        state = exact_step(ruleset, state, inputs, mask, engine.edge)
    largest = float(np.abs(state).max())
    if not largest < LARGEST:
        return 0.0
    return float(np.abs(engine.snapshot().state - state).max()) / largest
