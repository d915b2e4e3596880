"""The bilateral filter on a torch device: `bilateral.py` in tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from ncavideo.control.bilateral import near


def bilateral(picture: Tensor, range_deviation: float, deviation: float) -> Tensor:
    """Return a picture `[h, w]` float32 smoothed with its edges kept; see `bilateral.bilateral`."""
    across = _along(picture, range_deviation, deviation, 1)
    return _along(across, range_deviation, deviation, 0)


def _along(picture: Tensor, range_deviation: float, deviation: float, dim: int) -> Tensor:
    """Return the weighted means along rows (`dim` 1) or columns (0)."""
    total, counted, length = picture.clone(), torch.ones_like(picture), picture.shape[dim]
    for distance, weight in enumerate(near(deviation)[: length - 1].tolist(), 1):
        count = length - distance
        here, there = picture.narrow(dim, 0, count), picture.narrow(dim, distance, count)
        base = (there - here).square_().mul_(-1 / (16 * range_deviation**2)).add_(1)
        share = base.clamp_(min=0).pow_(8).mul_(weight)
        total.narrow(dim, 0, count).addcmul_(share, there)
        total.narrow(dim, distance, count).addcmul_(share, here)
        counted.narrow(dim, 0, count).add_(share)
        counted.narrow(dim, distance, count).add_(share)
    return total.div_(counted)
