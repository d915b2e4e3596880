"""From cells to pixels on a torch device: `composite_kernel`'s interpolation by whole ratios."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ncavideo.composite.phases import Taps
from ncavideo.composite.upscale import AMOUNT, REACH
from ncavideo.util.device_filters import (
    CACHED,
    REPLICATE,
    extended,
    gaussian_blur,
    least_and_most,
)

Kind = Callable[[int], Taps]


def enlarged(planes: Tensor, kind: Kind, cell: int, height: int, width: int) -> Tensor:
    """Return planes `[n, h, w]` with `cell` pixels for a cell, cut to `[n, height, width]`.

    `kind`: one of `phases`, as `phases.cubic`.
    """
    if cell == 1:
        return planes[:, :height, :width]  # every kind passes through the cells' centres
    tall = _along(planes, kind, cell, 1)[:, :height]
    return _along(tall, kind, cell, 2)[:, :, :width]


def _along(planes: Tensor, kind: Kind, cell: int, dim: int) -> Tensor:
    first, weights = _table(kind, cell, planes.device)
    length, span = planes.shape[dim], len(weights)
    before, after = max(0, -first), max(0, first + span - 1)
    wide = extended(planes, before, after, dim, REPLICATE)
    shares = weights if dim == 2 else weights[:, :, None]

    def part(offset: int) -> Tensor:
        return wide.narrow(dim, before + first + offset, length).unsqueeze(dim + 1)

    total = part(0) * shares[0]
    for offset in range(1, span):
        total.addcmul_(part(offset), shares[offset])
    return total.flatten(dim, dim + 1)


@lru_cache(CACHED)
def _table(kind: Kind, cell: int, device: torch.device) -> tuple[int, Tensor]:
    """Return the first cell that any phase weighs, and all phases' weights from it on.

    They are `[span, cell]`: 0 where a phase does not weigh that cell.
    """
    taps = kind(cell)
    count, first = taps.weights.shape[1], int(taps.first.min())
    span = int(taps.first.max()) - first + count
    table = np.zeros((span, cell), np.float32)
    for phase in range(cell):
        begin = int(taps.first[phase]) - first
        table[begin : begin + count, phase] = taps.weights[phase]
    return first, torch.from_numpy(table).to(device)


def sharpened(luma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `upscale.sharpened` does: a luminance `[h, w]` sharpened, its least and most."""
    crisp = luma * (1 + AMOUNT) - gaussian_blur(luma, REACH) * AMOUNT
    return crisp, *least_and_most(luma)
