"""Feature maps with or without a rim, whose positions are taken before anything is converted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Map(NamedTuple):
    """A map of `height` x `width` positions within `rim` further ones on each side.

    `flat` `[B, (height + 2 rim) * (width + 2 rim), F]`, in any precision.
    """

    flat: Tensor
    height: int
    width: int
    rim: int

    def at(self, chosen: Tensor | None) -> Tensor:
        """Return the features of positions `y * width + x`, None for all: `[B, N, F]` float32."""
        if chosen is None:
            if not self.rim:
                return self.flat.float()
            chosen = torch.arange(self.height * self.width, device=self.flat.device)
        wide = self.width + 2 * self.rim
        places = (chosen // self.width + self.rim) * wide + chosen % self.width + self.rim
        return self.flat.index_select(1, places).float()


def plain_map(found: Tensor) -> Map:
    """Return `[B, F, H, W]` as a map without a rim."""
    height, width = found.shape[2:]
    return Map(found.flatten(2).transpose(1, 2), height, width, 0)
