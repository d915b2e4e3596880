"""The bilateral filter on a torch device: `bilateral.py` in tensors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ncavideo.control.bilateral import REACH
from ncavideo.util.device_filters import CACHED, REFLECT, REPLICATE, extended

MOST = 1 << 24  # numbers that a band of rows may hold, all of its window's pixels together


def bilateral(picture: Tensor, range_deviation: float, deviation: float) -> Tensor:
    """Return a picture `[h, w]` float32 smoothed with its edges kept; see `bilateral.bilateral`."""
    radius = max(1, round(REACH * deviation))
    height, width = picture.shape
    border = REFLECT if min(height, width) > radius else REPLICATE
    wide = extended(extended(picture, radius, radius, 0, border), radius, radius, 1, border)
    places, near = _window(radius, deviation, picture.device)
    steepness = 1 / (2 * range_deviation**2)
    rows = max(1, MOST // (len(near) * width))
    bands = []
    for top in range(0, height, rows):
        count = min(rows, height - top)
        # Every place of the window, as a picture that is moved by it: in one pass, not one a place.
        moved = wide[top : top + count + 2 * radius].unfold(0, count, 1).unfold(1, width, 1)
        beside = moved[places]
        difference = beside - picture[top : top + count]
        share = near * torch.exp(difference.square_().mul_(-steepness).clamp_(min=-32))
        bands.append((share * beside).sum(0) / share.sum(0))
    return torch.cat(bands)


@lru_cache(CACHED)
def _window(
    radius: int, deviation: float, device: torch.device
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the rows and columns of the places in the window, and their weights `[n, 1, 1]`."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    squares = y * y + x * x
    inside = squares <= radius * radius
    near = np.exp(-squares[inside] / (2 * deviation**2)).astype(np.float32)
    rows, columns = (torch.from_numpy(n[inside] + radius).to(device) for n in (y, x))
    return (rows, columns), torch.from_numpy(near).to(device)[:, None, None]
