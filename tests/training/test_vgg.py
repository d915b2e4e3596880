"""VGG16's maps are those of plain convolutions over pictures that `F.pad` gives their rims."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_vgg import random_vgg
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.vgg import BLOCKS, VGGFeatures

pytestmark = pytest.mark.train


def plain(vgg: VGGFeatures, rgb: Tensor, mode: str) -> list[Tensor]:
    x, maps, layers = vgg.prepared(rgb), [], iter(vgg.layers)
    for convolutions, _ in BLOCKS:
        for i in range(convolutions):
            weight, bias = next(layers)
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), weight, bias))
            if i == 0:
                maps.append(x)
            if len(maps) == len(BLOCKS):
                return maps
        x = F.max_pool2d(x, 2)
    return maps


@pytest.mark.parametrize(("edge", "mode"), [("wrap", "circular"), ("reflect", "replicate")])
@pytest.mark.parametrize("size", [(16, 16), (35, 50)])
def test_maps_and_gradients_are_those_of_padded_pictures(
    edge: Edge, mode: str, size: tuple[int, int]
) -> None:
    vgg = random_vgg()
    torch.manual_seed(4)
    rgb = torch.rand(2, 3, *size, requires_grad=True)
    found, wanted = vgg(rgb, edge), plain(vgg, rgb, mode)
    leans = [torch.randn_like(m) for m in wanted]
    gradients = [
        torch.autograd.grad(sum((a * b).sum() for a, b in zip(maps, leans, strict=True)), rgb)[0]
        for maps in (found, wanted)
    ]
    for ours, theirs in [*zip(found, wanted, strict=True), gradients]:
        limit = 1e-4 * float(theirs.detach().abs().max())
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=limit)
