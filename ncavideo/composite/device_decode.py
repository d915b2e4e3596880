"""From cells to pixels with a rule set's learned decoder, on a torch device.

`nca/decode` in torch's passes, summed in a fixed order, a band of rows at a time: a frame's hidden
units would take ten times the memory of all the rest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ncavideo.nca.decode import taps
from ncavideo.nca.decoder_weights import REACH, DecoderWeights
from ncavideo.util.device_filters import CACHED, REPLICATE, WRAP, extended

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

BAND = 1 << 19  # pixels that are drawn at a time


def planes(decoder: DecoderWeights, state: Tensor, edge: Edge) -> Tensor:
    """Return what `decode.planes` does, of a state `[h, w, C]`: `[3 + hidden, h + 2, w + 2]`."""
    border = WRAP if edge == "wrap" else REPLICATE
    wide = state.permute(2, 0, 1).float()
    for dim in (1, 2):
        wide = extended(wide, REACH, REACH, dim, border)
        length = wide.shape[dim] - 2
        around = wide.narrow(dim, 0, length) + wide.narrow(dim, 2, length)
        wide = around.mul_(0.5).add_(wide.narrow(dim, 1, length)).mul_(0.5)
    w1, b1, _ = _weights(decoder, state.device)
    sums = b1[:, None, None].expand(-1, *wide.shape[1:]).contiguous()
    for channel, cells in enumerate(wide):
        sums.addcmul_(w1[:, channel, None, None], cells)
    return torch.cat([wide[:3] + 0.5, sums])


def drawn(decoder: DecoderWeights, planes: Tensor, cell: int, height: int, width: int) -> Tensor:
    """Return `[3, height, width]`, not clipped, of what `planes` returned, `cell` pixels a cell."""
    out = planes.new_empty((3, height, width))
    rows = max(1, BAND // (width * cell))
    for row in range(0, planes.shape[1] - 2, rows):
        top = row * cell
        band = _band(decoder, planes[:, row : row + rows + 2], cell)[:, : height - top, :width]
        out[:, top : top + band.shape[1]] = band
    return out


def colours(decoder: DecoderWeights, planes: Tensor) -> Tensor:
    """Return the colour in the middle of each cell, `[3, h, w]` in 0..1."""
    return drawn(decoder, planes, 1, planes.shape[1] - 2, planes.shape[2] - 2).clamp_(0, 1)


def _band(decoder: DecoderWeights, planes: Tensor, cell: int) -> Tensor:
    shares = _taps(cell, planes.device)
    for dim in (1, 2):
        length = planes.shape[dim] - 2
        weights = shares if dim == 2 else shares[:, :, None]

        def part(offset: int, planes: Tensor = planes, dim: int = dim, n: int = length) -> Tensor:
            return planes.narrow(dim, offset, n).unsqueeze(dim + 1)

        total = part(0) * weights[0]
        for offset in (1, 2):
            total.addcmul_(part(offset), weights[offset])
        planes = total.flatten(dim, dim + 1)
    out = planes[:3].clone()
    w2 = _weights(decoder, planes.device)[2]
    for unit, seen in enumerate(planes[3:].clamp_(min=0)):
        out.addcmul_(w2[:, unit, None, None], seen)
    return out


@lru_cache(CACHED)
def _taps(cell: int, device: torch.device) -> Tensor:
    """Return `[3, cell]`: what each pixel of a cell takes of the one before, its own, the next."""
    return torch.from_numpy(taps(cell)).T.contiguous().to(device)


@lru_cache(CACHED)
def _weights(decoder: DecoderWeights, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    w1, b1, w2 = (
        torch.from_numpy(getattr(decoder, name)).to(device) for name in ("w1", "b1", "w2")
    )
    return w1, b1, w2
