"""Contrast-limited adaptive histogram equalisation on a torch device: `clahe.py` in tensors."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from ncavideo.control.clahe import BINS, axis
from ncavideo.control.levels import CLIP_LIMIT, local_tiles
from ncavideo.util.device_counts import counts
from ncavideo.util.device_filters import CACHED


def local_contrast(luma: Tensor) -> Tensor:
    """Map `[h, w]` in 0..1 to the same with local contrast raised, as `levels.local_contrast`."""
    tiles = local_tiles(*luma.shape)
    return luma if tiles is None else clahe(luma, CLIP_LIMIT, tiles)


def clahe(luma: Tensor, clip_limit: float, tiles: tuple[int, int]) -> Tensor:
    """Equalise `[h, w]` float32, 0..1, locally; see `clahe.clahe`."""
    across, down = tiles
    own, before, after, weight = _axis(luma.shape[0], down, luma.device)
    own_x, left, right, rightwards = _axis(luma.shape[1], across, luma.device)
    scaled = luma.clamp(0, 1) * BINS
    place = scaled.int().clamp(max=BINS - 1)
    within = scaled - place
    tile = own[:, None] * across + own_x
    start, rise = _tone_curves(counts(tile * BINS + place, across * down * BINS), clip_limit)

    def through(row: Tensor, column: Tensor) -> Tensor:
        at = (row[:, None] * across + column) * BINS + place
        return start[at] + within * rise[at]

    def line(row: Tensor) -> Tensor:
        first = through(row, left)
        return first + rightwards * (through(row, right) - first)

    upper = line(before)
    return upper + weight[:, None] * (line(after) - upper)


@lru_cache(CACHED)
def _axis(length: int, tiles: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a side's own tile, the tiles before and after, and the latter's weight: `[length]`."""
    along = axis(length, tiles)
    arrays = (along.own, along.before, along.after, along.weight)
    own, before, after, weight = (torch.from_numpy(array).to(device) for array in arrays)
    return own, before, after, weight


def _tone_curves(found: Tensor, clip_limit: float) -> tuple[Tensor, Tensor]:
    """Return where the curves are at their bins' beginnings, and their rise: `[tiles * BINS]`."""
    found = found.view(-1, BINS).double()
    rise = (found / found.sum(1, keepdim=True)).clamp(max=clip_limit / BINS)
    rise = rise + (1 - rise.sum(1, keepdim=True)) / BINS
    total, shift = rise, 1
    # torch's own running sum of floating-point numbers is not the same each time on a GPU.
    while shift < BINS:
        total = total + pad(total[:, :-shift], (shift, 0))
        shift *= 2
    return (total - rise).float().flatten(), rise.float().flatten()
