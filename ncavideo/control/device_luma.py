"""A frame's luminance on the grid, on a torch device."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ncavideo.util.device_filters import CACHED, as_planes, luminance_of


def grid_luminance(frame: Tensor, height: int, width: int) -> Tensor:
    """Return the mean luminance `[height, width]` float32, 0..1, of each cell of a frame.

    `frame` `[H, W, 3]`, uint8 or the bits of uint16 as int16, with at least as many pixels as
    cells in both directions. A cell's share of a pixel counts as much as it covers of it.
    """
    luma = luminance_of(as_planes(frame))
    return _mean(_mean(luma, height, 0), width, 1)


def _mean(plane: Tensor, cells: int, dim: int) -> Tensor:
    length = plane.shape[dim]
    if cells == length:
        return plane
    places, shares = _cover(length, cells, plane.device)
    total = plane.new_zeros((cells, plane.shape[1]) if dim == 0 else (plane.shape[0], cells))
    for place, share in zip(places, shares, strict=True):
        total.addcmul_(plane.index_select(dim, place), share[:, None] if dim == 0 else share)
    return total


@lru_cache(CACHED)
def _cover(length: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return which pixels each cell covers, and by what share of it: both `[most, cells]`."""
    size = length / cells
    begin = np.arange(cells) * size
    end = np.minimum(begin + size, length)
    first = begin.astype(np.int64)
    most = int((np.ceil(end).astype(np.int64) - first).max())
    pixels = first + np.arange(most)[:, None]
    covered = np.minimum(pixels + 1, end) - np.maximum(pixels, begin)
    shares = (np.maximum(covered, 0) / size).astype(np.float32)
    places = np.minimum(pixels, length - 1)
    return torch.from_numpy(places).to(device), torch.from_numpy(shares).to(device)
