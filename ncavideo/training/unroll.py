"""Many steps and their gradient at once, for training on a CPU.

Autograd would keep a dozen arrays a step and compute every cell. Here only the cells that fire are
computed, forwards and backwards, and only the states are kept: what a cell perceived and the hidden
units are computed again on the way back (checkpointing each step; Chen et al., "Training Deep Nets
with Sublinear Memory Cost", 2016). The four matrix products a step are torch's, in float32 or
bfloat16; everything between them is in `unroll_kernel`.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.fire_mask import UINT32, threshold
from ncavideo.nca.model import FILTERS, NCA, Edge
from ncavideo.training import unroll_kernel as kernel


@dataclass(frozen=True)
class Firing:
    """Which cells fire: see `fire_mask`. Samples stand one above the other in one tall mask.

    `first_sample`: how many samples of the batch stand above these.
    """

    seed: int
    first_step: int
    rate: float
    first_sample: int = 0


def unroll(
    nca: NCA,
    state: Tensor,
    inputs: Tensor,
    steps: int,
    firing: Firing,
    edge: Edge,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the state after `steps` steps, as `NCA.forward` would, differentiable.

    `state` `[B, C, H, W]`, `inputs` `[B, I, H, W]` (no gradient reaches these), on a CPU.
    `dtype` is the precision of the matrix products; None is float32.
    """
    if steps == 0:
        return state
    update, seen = nca.update, FILTERS * nca.channels
    own = update.w1[:, :seen].view(-1, nca.channels, FILTERS).transpose(1, 2)
    w1 = torch.cat([own.reshape(-1, seen), update.w1[:, seen:], update.b1[:, None]], 1)
    cells = state.permute(0, 2, 3, 1).contiguous()
    given = F.pad(inputs.detach().permute(0, 2, 3, 1), (0, 1), value=1).contiguous()
    plan = _Plan(steps, firing, edge, dtype or torch.float32)
    stepped: Tensor = _Unrolled.apply(cells, w1, update.w2, given, plan)
    return stepped.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Plan:
    steps: int
    firing: Firing
    edge: Edge
    dtype: torch.dtype


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # A sample a thread: within one, torch must not share the work out once more.
    return ThreadPoolExecutor(threads, "unroll", torch.set_num_threads, (1,))


def _each_sample(work: Any, batch: int) -> list[Any]:
    """Call `work(sample)` for each sample, side by side where torch may use several threads."""
    threads = min(torch.get_num_threads(), batch)
    if threads == 1:
        return [work(sample) for sample in range(batch)]
    return list(_pool(threads).map(work, range(batch)))


class _Sizes(NamedTuple):
    """`first` is the first layer's inputs: what a cell perceives, its input channels, and a 1."""

    height: int
    width: int
    channels: int
    hidden: int
    first: int

    @property
    def extra(self) -> int:
        """The number of input channels and the 1."""
        return self.first - FILTERS * self.channels


class _Scratch:
    """One thread's buffers, for as many cells as may fire: fresh memory every step costs time."""

    def __init__(self, sizes: _Sizes, dtype: torch.dtype) -> None:
        cells = sizes.height * sizes.width
        self.unit = (0,) * sizes.channels
        self.z = np.empty((cells, sizes.first), np.float32)
        self.rows = np.empty((cells, sizes.channels), np.float32)
        self.dz = torch.empty(cells, FILTERS * sizes.channels)
        self.padded = np.empty((sizes.height + 2, sizes.width + 2, sizes.channels), np.float32)
        self.seen = torch.empty(cells, sizes.first, dtype=dtype)
        self.hidden = torch.empty(cells, sizes.hidden, dtype=dtype)
        self.below = torch.empty(cells, sizes.hidden, dtype=dtype)
        self.change = torch.empty(cells, sizes.channels, dtype=dtype)
        self.back = torch.empty(cells, FILTERS * sizes.channels, dtype=dtype)


_own = threading.local()


def _scratch(sizes: _Sizes, dtype: torch.dtype) -> _Scratch:
    """Return this thread's buffers, made anew only when the sizes change."""
    if getattr(_own, "kind", None) != (sizes, dtype):
        _own.buffers, _own.kind = _Scratch(sizes, dtype), (sizes, dtype)
    buffers: _Scratch = _own.buffers
    return buffers


class _Unrolled(torch.autograd.Function):
    """`unroll` on cells `[B, H, W, C]`.

    `w1` `[hidden, 4C + I + 1]` holds the first layer filter by filter, its bias last; `inputs`
    `[B, H, W, I + 1]` ends with the 1 that the bias is multiplied by.
    """

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, w1: Tensor, w2: Tensor, inputs: Tensor, plan: _Plan
    ) -> Tensor:
        batch, *grid = state.shape
        sizes = _Sizes(*grid, *w1.shape)
        width, cells_in_all = sizes.width, sizes.height * sizes.width
        # Every state stays, with a rim of one cell: they are all that the way back needs.
        shape = (plan.steps + 1, batch, sizes.height + 2, width + 2, sizes.channels)
        states = np.empty(shape, np.float32)
        given = inputs.view(batch, -1).numpy()
        fired = np.empty((plan.steps, batch, cells_in_all), np.int32)
        counts = np.empty((plan.steps, batch), np.int64)
        limit = threshold(plan.firing.rate)
        v1, v2 = (w.detach().to(plan.dtype) for w in (w1, w2))
        states[0, :, 1:-1, 1:-1] = state.detach().numpy()

        def live(sample: int) -> None:
            own = _scratch(sizes, plan.dtype)
            for step in range(plan.steps):
                now, then = states[step, sample], states[step + 1, sample]
                _fill_rim(now, plan.edge)
                n = kernel.firing_cells(
                    plan.firing.seed % UINT32,
                    (plan.firing.first_step + step) % UINT32,
                    (plan.firing.first_sample + sample) * sizes.height,
                    sizes.height,
                    width,
                    limit,
                    fired[step, sample],
                )
                counts[step, sample] = n
                cells = fired[step, sample, :n]
                kernel.perceive(
                    now.ravel(), width, given[sample], sizes.extra, cells, own.z.ravel(), own.unit
                )
                seen = own.seen[:n].copy_(torch.from_numpy(own.z[:n]))
                hidden = torch.mm(seen, v1.t(), out=own.hidden[:n]).relu_()
                torch.mm(hidden, v2.t(), out=own.change[:n])
                torch.from_numpy(own.rows)[:n] = own.change[:n]
                then[:] = now
                kernel.add_changes(then.ravel(), width, cells, own.rows.ravel(), own.unit)

        _each_sample(live, batch)
        ctx.save_for_backward(w1, w2)
        ctx.kept = (states, given, fired, counts, plan, sizes)
        return torch.from_numpy(np.ascontiguousarray(states[-1, :, 1:-1, 1:-1]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        w1, w2 = ctx.saved_tensors
        states, given, fired, counts, plan, sizes = ctx.kept
        v1, v2 = (w.detach().to(plan.dtype) for w in (w1, w2))
        v1_seen = v1[:, : FILTERS * sizes.channels].contiguous()
        into = np.array(gradients[0].detach().numpy(), np.float32, order="C")

        def unwind(sample: int) -> tuple[Tensor, Tensor]:
            own = _scratch(sizes, plan.dtype)
            d1, d2 = (torch.zeros_like(w, dtype=torch.float32) for w in (w1, w2))
            for step in reversed(range(plan.steps)):
                n = counts[step, sample]
                cells = fired[step, sample, :n]
                now = states[step, sample].ravel()
                kernel.perceive(
                    now, sizes.width, given[sample], sizes.extra, cells, own.z.ravel(), own.unit
                )
                seen = own.seen[:n].copy_(torch.from_numpy(own.z[:n]))
                hidden = torch.mm(seen, v1.t(), out=own.hidden[:n]).relu_()
                kernel.gather(into[sample].ravel(), cells, own.rows.ravel(), own.unit)
                change = own.change[:n].copy_(torch.from_numpy(own.rows[:n]))
                d2 += change.t() @ hidden
                below = torch.mm(change, v2, out=own.below[:n])
                torch.ops.aten.threshold_backward.grad_input(below, hidden, 0, grad_input=below)
                d1 += below.t() @ seen
                dz = own.dz[:n].copy_(torch.mm(below, v1_seen, out=own.back[:n]))
                own.padded[:] = 0
                kernel.spread(dz.numpy().ravel(), cells, own.padded.ravel(), sizes.width, own.unit)
                _fold_rim(own.padded, plan.edge)
                into[sample] += own.padded[1:-1, 1:-1]
            return d1, d2

        parts = _each_sample(unwind, len(into))
        d1, d2 = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
        return torch.from_numpy(into), d1, d2, None, None


def _fill_rim(padded: np.ndarray, edge: Edge) -> None:
    """Set the rim of `[H + 2, W + 2, C]` from the grid inside, as `nca.pad_edge` does."""
    before, after = (-2, 1) if edge == "wrap" else (1, -2)
    padded[0, 1:-1], padded[-1, 1:-1] = padded[before, 1:-1], padded[after, 1:-1]
    padded[:, 0], padded[:, -1] = padded[:, before], padded[:, after]


def _fold_rim(padded: np.ndarray, edge: Edge) -> None:
    """Add the rim's gradient to the cells that it was copied from: the transpose of the above."""
    before, after = (-2, 1) if edge == "wrap" else (1, -2)
    padded[:, before] += padded[:, 0]
    padded[:, after] += padded[:, -1]
    padded[before, 1:-1] += padded[0, 1:-1]
    padded[after, 1:-1] += padded[-1, 1:-1]
