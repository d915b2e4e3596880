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
from ncavideo.nca.model import FILTERS, NCA, Edge, rim_sources
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
    dtype = dtype or torch.float32
    # Columns of zeros make rows as long as a number of words.
    word = kernel.word(nca.channels, _stored(dtype))
    spare = -(nca.inputs + 1) % (word.itemsize // _stored(dtype).itemsize)
    w1 = torch.cat([own.reshape(-1, seen), update.w1[:, seen:], update.b1[:, None]], 1)
    w1 = F.pad(w1, (0, spare))
    cells = state.permute(0, 2, 3, 1).contiguous()
    given = F.pad(inputs.detach().permute(0, 2, 3, 1), (0, 1), value=1)
    given = F.pad(given, (0, spare)).contiguous()
    plan = _Plan(steps, firing, edge, dtype)
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
    """`first` is what the first layer takes: perception, input channels, a 1, and zeros."""

    height: int
    width: int
    channels: int
    hidden: int
    first: int


# oneDNN compiles a product anew for each number of rows, which takes many times the product (see
# findings/a-product-of-another-height-is-compiled.sh), and in every step another number of cells
# fires: products have a multiple of so many rows.
BLOCK = 256


class _Product:
    """The rows of a matrix product, `values` `[cells, columns]`, and their memory, flat.

    `bits`: the numbers'; `words`: see `unroll_kernel.word`.
    """

    def __init__(self, cells: int, columns: int, dtype: torch.dtype, word: np.dtype) -> None:
        self.values = torch.zeros(cells, columns, dtype=dtype)
        self.bits = _bits(self.values)
        self.words = self.bits.view(word)
        self._columns = columns

    def rows(self, count: int) -> Tensor:
        """Return the first rows as a matrix."""
        return self.values[:count]

    def clear(self, begin: int, end: int) -> None:
        """Set rows to 0."""
        self.bits[begin * self._columns : end * self._columns] = 0


class _Scratch:
    """One thread's buffers, for as many cells as may fire: fresh memory every step costs time."""

    def __init__(self, sizes: _Sizes, dtype: torch.dtype) -> None:
        cells = _blocks(sizes.height * sizes.width)
        word = kernel.word(sizes.channels, _stored(dtype))
        self.unit = (0,) * (sizes.channels * _stored(dtype).itemsize // word.itemsize)
        self.form = kernel.BFLOAT16 if dtype == torch.bfloat16 else kernel.FLOAT32
        self.seen = _Product(cells, sizes.first, dtype, word)
        self.hidden = _Product(cells, sizes.hidden, dtype, word)
        self.below = _Product(cells, sizes.hidden, dtype, word)
        self.change = _Product(cells, sizes.channels, dtype, word)
        self.back = _Product(cells, FILTERS * sizes.channels, dtype, word)
        self.row = kernel.row_memory(sizes.width, sizes.channels, _stored(dtype))


def _blocks(cells: int) -> int:
    """Return how many rows the products for so many cells have."""
    return -(-cells // BLOCK) * BLOCK


_own = threading.local()


def _scratch(sizes: _Sizes, dtype: torch.dtype) -> _Scratch:
    """Return this thread's buffers, made anew only when the sizes change."""
    if getattr(_own, "kind", None) != (sizes, dtype):
        _own.buffers, _own.kind = _Scratch(sizes, dtype), (sizes, dtype)
    buffers: _Scratch = _own.buffers
    return buffers


class _Unrolled(torch.autograd.Function):
    """`unroll` on cells `[B, H, W, C]`.

    `w1` `[hidden, 4C + I + 1 + spare]` holds the first layer filter by filter, then its bias, and
    zeros; `inputs` `[B, H, W, I + 1 + spare]` have a 1 for the bias, and zeros.
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
        word = kernel.word(sizes.channels, _stored(plan.dtype))
        given = _bits(inputs.to(plan.dtype)).reshape(batch, -1).view(word)
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
                rows = _units(own, sizes, now, given[sample], cells, v1)
                torch.mm(own.hidden.rows(rows), v2.t(), out=own.change.rows(rows))
                kernel.add_changes(
                    now.ravel(), then.ravel(), width, sizes.channels, cells, own.change.words,
                    own.row, own.form, own.unit,
                )  # fmt: skip

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
        # With a rim, too, that is 0 but while gradients are spread to it.
        into = np.zeros(states.shape[1:], np.float32)
        into[:, 1:-1, 1:-1] = gradients[0].detach().numpy()

        def unwind(sample: int) -> tuple[Tensor, Tensor]:
            own = _scratch(sizes, plan.dtype)
            d1, d2 = (torch.zeros_like(w, dtype=torch.float32) for w in (w1, w2))
            for step in reversed(range(plan.steps)):
                n = counts[step, sample]
                cells = fired[step, sample, :n]
                rows = _units(own, sizes, states[step, sample], given[sample], cells, v1)
                seen, hidden = own.seen.rows(rows), own.hidden.rows(rows)
                change, below = own.change.rows(rows), own.below.rows(rows)
                gradient = into[sample].ravel()
                kernel.gather(
                    gradient.view(np.uint32), sizes.width, sizes.channels, cells,
                    own.change.words, own.row, own.form, own.unit,
                )  # fmt: skip
                own.change.clear(n, rows)
                d2 += change.t() @ hidden
                torch.mm(change, v2, out=below)
                kernel.rectify_back(own.below.bits[: below.numel()], own.hidden.bits)
                d1 += below.t() @ seen
                torch.mm(below, v1_seen, out=own.back.rows(rows))
                kernel.spread(
                    own.back.words, cells, gradient, sizes.width, sizes.channels, own.row,
                    own.form, own.unit,
                )  # fmt: skip
                _fold_rim(into[sample], plan.edge)
            return d1, d2

        parts = _each_sample(unwind, len(into))
        d1, d2 = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
        return torch.from_numpy(into[:, 1:-1, 1:-1]), d1, d2, None, None


def _units(
    own: _Scratch,
    sizes: _Sizes,
    state: np.ndarray,
    given: np.ndarray,
    cells: np.ndarray,
    v1: Tensor,
) -> int:
    """Compute the hidden units of the `cells` that fire; return the rows of their products.

    Rows behind those cells see zeros: what was there might not be finite.
    """
    rows, extra = _blocks(len(cells)), given.size // (sizes.height * sizes.width)
    kernel.perceive(
        state.ravel(), sizes.width, sizes.channels, given, extra, cells, own.seen.words, own.row,
        own.form, own.unit,
    )  # fmt: skip
    own.seen.clear(len(cells), rows)
    hidden = own.hidden.rows(rows)
    torch.mm(own.seen.rows(rows), v1.t(), out=hidden)
    kernel.rectify(own.hidden.bits[: hidden.numel()], own.form)
    return rows


def _stored(dtype: torch.dtype) -> np.dtype:
    """Return the type of the bits of numbers in bfloat16 or float32."""
    return np.dtype(np.uint16 if dtype == torch.bfloat16 else np.uint32)


def _bits(values: Tensor) -> np.ndarray:
    """Return the bits of a contiguous tensor, flat."""
    signed = torch.int16 if values.dtype == torch.bfloat16 else torch.int32
    return values.view(-1).view(signed).numpy().view(_stored(values.dtype))


def _fill_rim(padded: np.ndarray, edge: Edge) -> None:
    """Set the rim of `[H + 2, W + 2, C]` from the grid inside, as `nca.pad_edge` does."""
    before, after = rim_sources(edge)
    padded[0, 1:-1], padded[-1, 1:-1] = padded[before, 1:-1], padded[after, 1:-1]
    padded[:, 0], padded[:, -1] = padded[:, before], padded[:, after]


def _fold_rim(padded: np.ndarray, edge: Edge) -> None:
    """Move the rim's gradient to the cells that it was copied from: the transpose of the above."""
    before, after = rim_sources(edge)
    padded[:, before] += padded[:, 0]
    padded[:, after] += padded[:, -1]
    padded[before, 1:-1] += padded[0, 1:-1]
    padded[after, 1:-1] += padded[-1, 1:-1]
    padded[0], padded[-1], padded[:, 0], padded[:, -1] = 0, 0, 0, 0
