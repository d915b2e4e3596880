"""VGG's maps and the style distance of the GPU's way are those of the CPU's on equal draws."""

from __future__ import annotations

import pytest
import torch
from random_vgg import random_vgg

from ncavideo.nca.model import Edge
from ncavideo.training.style import Exemplar, StyleLoss
from ncavideo.training.vgg import VGGFeatures

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

EDGES: list[Edge] = ["wrap", "reflect"]


@pytest.fixture(scope="module")
def vgg() -> VGGFeatures:
    return random_vgg()


@pytest.mark.parametrize("edge", EDGES)
def test_maps_and_their_gradients_are_vggs(gpu: torch.device, vgg: VGGFeatures, edge: Edge) -> None:
    from ncavideo.training.gpu.features import vgg_maps

    torch.manual_seed(1)
    rgb = torch.rand(2, 3, 38, 33)
    towards, found = None, []
    for way in (vgg, lambda rgb, edge: [m.at(None) for m in vgg_maps(vgg, rgb, edge)]):
        picture = rgb.clone().requires_grad_()
        maps = way(picture, edge)
        if way is vgg:
            maps = [m.flatten(2).transpose(1, 2) for m in maps]
            towards = [torch.randn_like(m) for m in maps]
        assert towards is not None
        sum((m * t).sum() for m, t in zip(maps, towards, strict=True)).backward()
        found.append([*maps, picture.grad])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("features", [3, 8])
def test_a_rim_repeats_what_lies_at_the_edge(gpu: torch.device, edge: Edge, features: int) -> None:
    from ncavideo.training.gpu.features import rimmed

    torch.manual_seed(2)
    mode = "circular" if edge == "wrap" else "replicate"
    for bias in (None, torch.randn(features)):
        found = []
        x = torch.randn(2, 5, 2, features)
        towards = torch.randn(2, 7, 4, features)
        for own in (True, False):
            begin = x.clone().requires_grad_()
            if own:
                out = rimmed(begin, bias, edge)
            else:
                inner = begin if bias is None else (begin + bias).relu()
                out = torch.nn.functional.pad(inner.permute(0, 3, 1, 2), (1, 1, 1, 1), mode=mode)
                out = out.permute(0, 2, 3, 1)
            (out * towards).sum().backward()
            found.append([out, begin.grad])
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("lit", [True, False])
def test_distances_and_gradients_are_the_style_losses(
    gpu: torch.device, vgg: VGGFeatures, edge: Edge, lit: bool
) -> None:
    """Of a border, one rule, one that is not judged; some maps have more positions than count."""
    from ncavideo.training.gpu.style import style_distances

    torch.manual_seed(3)
    pictures = [[Exemplar(torch.rand(3, 40, 40))], [Exemplar(torch.rand(3, 48, 48))], []]
    style = StyleLoss(vgg, pictures)
    weights = torch.zeros(3, 3, 56, 52)
    weights[0, 0, :, :20], weights[0, 1, :, 20:], weights[1, 1], weights[2, 2] = 1, 1, 0.7, 1
    light = torch.rand(3, 56, 52) if lit else None
    rgb, found = torch.rand(3, 3, 56, 52), []
    for way in (style, lambda *given: style_distances(style, *given)):
        picture = rgb.clone().requires_grad_()
        generator = torch.Generator().manual_seed(7)
        distances = way(picture, weights, light, edge, generator)
        distances.sum().backward()
        found.append([distances, picture.grad, generator.get_state()])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert found[1][0][2] == 0 and bool((found[1][0][:2] > 0).all())


def test_without_exemplars_nothing_is_judged(gpu: torch.device, vgg: VGGFeatures) -> None:
    from ncavideo.training.gpu.style import style_distances

    rgb = torch.rand(2, 3, 32, 32)
    found = style_distances(StyleLoss(vgg, [[], []]), rgb, torch.ones(2, 2, 32, 32), None, "wrap")
    assert torch.equal(found, torch.zeros(2))
