"""Sharing a frame out between rules, on a torch device: `field.py` and `sharing.py` in tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ncavideo.util.device_counts import counts


def ramp(position: Tensor, thresholds: np.ndarray, contrast: float, count: int) -> Tensor:
    """Share a position `[h, w]` out between `count` rules: see `field.ramp`."""
    slope = float(np.float32(contrast * max(count - 1, 1)))
    borders = [float(t) for t in thresholds.astype(np.float32)]
    if count == 1:
        return (0.5 + slope * (position - borders[0])).clamp(0, 1)[None]
    over = [(0.5 + slope * (position - t)).clamp(0, 1) for t in borders]
    levels = [torch.ones_like(position), *over, torch.zeros_like(position)]
    bands = [levels[i] - levels[i + 1] for i in range(len(levels) - 1)]
    return torch.stack(bands[::-1])


def fitted(weights: Tensor) -> Tensor:
    """Return `[R, h, w]` with those cells scaled down whose weights sum to more than 1."""
    return weights / weights.sum(0).clamp(min=1)


def above(values: Tensor, threshold: float, soft: float) -> Tensor:
    """Return softly, 0..1, where `values` lie above `threshold`: see `bands.above`."""
    if threshold <= 0:
        return torch.ones_like(values)
    if threshold >= 1:
        return torch.zeros_like(values)
    share = ((values - threshold) / soft + 0.5).clamp(0, 1)
    return share * share * (3 - 2 * share)


def histogram(values: Tensor, bins: int) -> np.ndarray:
    """Return the histogram `[bins]` float64 of values in 0..1; it sums to 1."""
    places = (values * bins).int().clamp(max=bins - 1)
    return np.asarray(counts(places, bins).cpu().numpy() / values.numel())
