"""How far apart two feature clouds are: three distances, by name.

Each takes `ours` and `theirs` `[B, N, F]`, features of deviation 1, and `condition` `[B, N, K]`:
the scaled coordinates of what was asked at each of the N positions, the same for both clouds, since
each counterpart was drawn for its position. All return `[B]`, 0 for equal clouds whatever their
order, and are differentiable with respect to `ours`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

PROJECTIONS = 32
MATCHED = 1024  # positions between which transport costs are computed: their square is stored
FEW = 3  # features up to which a map is colours or details, whose length means something

Metric = Callable[[Tensor, Tensor, Tensor, torch.Generator | None], Tensor]


def sliced_wasserstein(
    ours: Tensor,
    theirs: Tensor,
    condition: Tensor,
    generator: torch.Generator | None,
    projections: int = PROJECTIONS,
) -> Tensor:
    """Return the mean squared gap of sorted random projections.

    Heitz, Vanhoey, Chambon and Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis",
    CVPR 2021.
    """
    a, b = projected(ours, theirs, condition, generator, projections)
    gaps: Tensor = ordered(a) - ordered(b)
    return gaps.square().mean((1, 2))


def projected(
    ours: Tensor,
    theirs: Tensor,
    condition: Tensor,
    generator: torch.Generator | None,
    projections: int = PROJECTIONS,
) -> tuple[Tensor, Tensor]:
    """Return both clouds' projections on the same random directions, `[B, projections, N]`.

    The condition shifts both alike, with a random lean of its own.
    """
    channels, device = ours.shape[-1], ours.device
    directions = torch.randn(channels, projections, generator=generator, device=device)
    directions = directions / directions.norm(dim=0)
    lean = torch.randn(condition.shape[-1], projections, generator=generator, device=device)
    shift = condition @ lean
    ours = (ours @ directions + shift).transpose(1, 2)
    theirs = (theirs @ directions + shift).transpose(1, 2)
    return ours, theirs


def ordered(values: Tensor) -> Tensor:
    """Return float32 `values` sorted along the last axis, differentiable.

    On a CPU NumPy sorts: with vector instructions, many times faster than torch.
    """
    if values.device.type != "cpu":
        return values.sort(-1).values
    found: Tensor = _Ordered.apply(values)
    return found


class _Ordered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        array = values.detach().numpy()
        if not ctx.needs_input_grad[0]:
            return torch.from_numpy(np.sort(array, -1))
        order = torch.from_numpy(np.argsort(array, -1))
        ctx.save_for_backward(order)
        return values.gather(-1, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (order,) = ctx.saved_tensors
        return torch.empty_like(gradients[0]).scatter_(-1, order, gradients[0])


def relaxed_transport(
    ours: Tensor, theirs: Tensor, condition: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Return the relaxed earth mover's distance, and the distance of the first two moments.

    Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and
    Self-Similarity", CVPR 2019, equations 5 to 8: the larger of the two one-sided nearest-neighbour
    costs, by cosine (by length for colours), here with the condition's squared distance on top.
    """
    if ours.shape[1] > MATCHED:
        chosen = torch.randperm(ours.shape[1], generator=generator, device=ours.device)[:MATCHED]
        ours, theirs, condition = ours[:, chosen], theirs[:, chosen], condition[:, chosen]
    features = ours.shape[-1]
    if features > FEW:
        unit = (torch.nn.functional.normalize(cloud, dim=-1) for cloud in (ours, theirs))
        first, second = unit
        cost = 1 - first @ second.transpose(1, 2)
    else:
        cost = _squared_distances(ours, theirs) / features
    cost = cost + _squared_distances(condition, condition) / 4
    transport = torch.maximum(cost.amin(2).mean(1), cost.amin(1).mean(1))

    joint = [torch.cat([cloud, condition], -1) for cloud in (ours, theirs)]
    means = [cloud.mean(1, keepdim=True) for cloud in joint]
    spreads = [
        (cloud - mean).transpose(1, 2) @ (cloud - mean) / cloud.shape[1]
        for cloud, mean in zip(joint, means, strict=True)
    ]
    moments = (means[0] - means[1]).abs().mean((1, 2))
    return transport + moments + (spreads[0] - spreads[1]).abs().mean((1, 2))


def gram(
    ours: Tensor, theirs: Tensor, condition: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Return the mean squared difference of Gram matrices.

    Gatys, Ecker and Bethge, "Texture Synthesis Using Convolutional Neural Networks", NeurIPS 2015.
    The condition is one more set of features, so the matrix also holds which features go with it.
    """
    grams = []
    for cloud in (ours, theirs):
        joint = torch.cat([cloud, condition], -1)
        grams.append(joint.transpose(1, 2) @ joint / joint.shape[1])
    return (grams[0] - grams[1]).square().mean((1, 2))


METRICS: dict[str, Metric] = {
    "sliced-wasserstein": sliced_wasserstein,
    "relaxed-transport": relaxed_transport,
    "gram": gram,
}


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return `[B, N, N]`, the squared distance of every point of `a` to every point of `b`."""
    return (
        a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None, :] - 2 * a @ b.transpose(1, 2)
    ).clamp_min(0)
