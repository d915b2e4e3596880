"""Counting on a torch device, without atomics."""

from __future__ import annotations

import torch
from torch import Tensor


def counts(numbers: Tensor, bins: int) -> Tensor:
    """Return how often each of 0..`bins` - 1 is among `numbers`, whole ones: `[bins]` int64.

    By sorting: histograms add up with atomics, which torch's deterministic mode refuses.
    """
    ordered = numbers.flatten().to(torch.int32).sort().values
    edges = torch.arange(bins + 1, dtype=torch.int32, device=numbers.device)
    return torch.searchsorted(ordered, edges).diff()
