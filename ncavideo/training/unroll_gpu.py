"""Many steps in plain torch, for training on a GPU; `unroll` is the version for CPUs.

Autograd keeps everything that a step computes, which soon fills the memory of a GPU. Where that
would be too much, only the states between pieces of about sqrt(n) of the n steps are kept, and each
piece is computed once more on the way back (Chen et al., "Training Deep Nets with Sublinear Memory
Cost", 2016): a third more arithmetic for a fraction of the memory.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import FILTERS, NCA, Edge
from ncavideo.training.unroll import Firing

MOST_KEPT = 4 << 30  # bytes that autograd may keep for the steps of one iteration
FLOAT = 4  # bytes


def kept_bytes(nca: NCA, state: Tensor, steps: int) -> int:
    """Return about how many bytes autograd keeps of `steps` steps from `state` `[B, C, H, W]`.

    A cell's: what it perceives, its inputs, the hidden units, whether it fires.
    """
    cells = state.numel() // nca.channels
    numbers = FILTERS * nca.channels + nca.inputs + nca.hidden + 1
    return cells * numbers * FLOAT * steps


def unroll_on_device(
    nca: NCA,
    state: Tensor,
    inputs: Tensor,
    steps: int,
    firing: Firing,
    edge: Edge,
    dtype: torch.dtype | None = None,
    most: int = MOST_KEPT,
) -> Tensor:
    """Return the state after `steps` steps, differentiable; arguments are those of `unroll`.

    `most`: bytes beyond which pieces are computed twice.
    """
    batch, _, height, width = state.shape

    def piece(state: Tensor, first: int, count: int) -> Tensor:
        for step in range(first, first + count):
            mask = fire_mask_torch(
                firing.seed, step, batch * height, width, firing.rate, state.device,
                row=firing.first_sample * height,
            )  # fmt: skip
            state = nca(state, inputs, mask.view(batch, 1, height, width), edge, dtype)
        return state

    if kept_bytes(nca, state, steps) <= most:
        return piece(state, firing.first_step, steps)
    length = math.isqrt(steps)
    for begin in range(0, steps, length):
        count = min(length, steps - begin)
        state = checkpoint(
            piece, state, firing.first_step + begin, count, use_reentrant=False,
            preserve_rng_state=False,
        )  # fmt: skip
    return state
