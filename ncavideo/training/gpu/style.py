"""The style distance on a GPU: the same draws and numbers as `StyleLoss`, in fewer launches.

Positions are taken from VGG's maps in VGG's precision, and the projections of all maps with
equally many positions are sorted at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.gpu.clouds import plain_map
from ncavideo.training.gpu.features import vgg_maps
from ncavideo.training.metrics import ordered, projected
from ncavideo.training.share import Share
from ncavideo.training.style import (
    DEEP,
    POSITIONS,
    StyleLoss,
    haar_details,
    request,
    some_positions,
)


def style_distances(
    style: StyleLoss,
    rgb: Tensor,
    weights: Tensor,
    light: Tensor | None,
    edge: Edge,
    generator: torch.Generator | None = None,
    share: Share | None = None,
) -> Tensor:
    """Return what `style(rgb, weights, light, edge, generator, share)` does, `[B]`.

    For the sliced Wasserstein distance. Nothing in it waits for the device.
    """
    if not style.maps:
        return rgb.new_zeros(len(rgb))
    judged, within = style.counted(weights)
    requests: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}
    ours: dict[int, list[Tensor]] = {}  # projections, by the number of positions
    theirs: dict[int, list[Tensor]] = {}
    counts: dict[int, list[Tensor]] = {}
    plain = [plain_map(rgb), plain_map(haar_details(rgb, edge))]
    for index, found in enumerate([*plain, *vgg_maps(style.vgg, rgb, edge)]):
        size = found.height, found.width
        if size not in requests:
            requests[size] = request(weights, light, *size)
        (asked, lights), chosen = requests[size], None
        if found.height * found.width > POSITIONS:
            chosen = some_positions(found.height * found.width, rgb.device, generator)
            asked = asked[:, chosen]
            lights = None if lights is None else lights[:, chosen]
        clouds = style.counterparts(index, found.at(chosen), asked, lights, generator, share)
        a, b = projected(*clouds, generator)
        positions = a.shape[-1]
        ours.setdefault(positions, []).append(a)
        theirs.setdefault(positions, []).append(b)
        counts.setdefault(positions, []).append(within if index >= DEEP else judged)
    total = rgb.new_zeros(len(rgb))
    for positions, of_maps in ours.items():
        gaps = ordered(torch.stack(of_maps)) - ordered(torch.stack(theirs[positions]))
        distances = gaps.square().mean((2, 3))
        total = total + (distances * torch.stack(counts[positions])).sum(0)
    return total * judged
