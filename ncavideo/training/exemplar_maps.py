"""What is kept of an exemplar's feature maps, and an even choice from those of several."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

KEPT = 1 << 16  # positions kept of each of an exemplar's maps, evenly over its lights


@dataclass(frozen=True)
class ExemplarMap:
    """The stored part of one map: features `[N, F]` and blurred luminance `[N]`, ordered by light.

    `variance` is the mean over features of the whole map's, `square` that of their squares.
    """

    features: Tensor
    light: Tensor
    variance: Tensor
    square: Tensor


def kept(feature_map: Tensor, light: Tensor) -> ExemplarMap:
    """Return the stored part of a map `[F, h, w]` under blurred luminance `[1, H, W]`."""
    local = F.adaptive_avg_pool2d(
        light[None], (feature_map.shape[1], feature_map.shape[2])
    ).flatten()
    order = local.argsort()
    if len(order) > KEPT:
        order = order[torch.arange(KEPT, device=order.device) * len(order) // KEPT]
    flat = feature_map.flatten(1)
    return ExemplarMap(flat.t()[order], local[order], flat.var(1).mean(), flat.square().mean())


def even_choice(maps: list[ExemplarMap], weights: list[float], count: int) -> tuple[Tensor, Tensor]:
    """Choose `count` positions from the same map of one rule's exemplars, shared out by weight.

    From each they are spread evenly over its lights. Returns the features `[count, F]` and the
    lights `[count]`, both ordered by light.
    """
    total, ends, start = sum(weights), [], 0.0
    for weight in weights:
        start += weight / total * count
        ends.append(round(start))
    features, found, begin = [], [], 0
    for m, end in zip(maps, ends, strict=True):
        places = torch.arange(end - begin, device=m.light.device)
        places = places * len(m.light) // max(end - begin, 1)
        features.append(m.features[places])
        found.append(m.light[places])
        begin = end
    together = torch.cat(found)
    order = together.argsort(stable=True)
    return torch.cat(features)[order], together[order]
