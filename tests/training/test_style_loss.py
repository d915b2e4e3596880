"""The style loss tells styles apart, in every place and under every light."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_runs import SIZE, STYLES, generator, one_rule
from torch import Tensor

from ncavideo.training.metrics import METRICS
from ncavideo.training.patches import Patches
from ncavideo.training.style import Exemplar, StyleLoss, blur, haar_details, luminance, seamless
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import VGGFeatures

pytestmark = pytest.mark.train


def test_an_exemplar_is_near_itself_and_far_from_the_other(
    style: StyleLoss, exemplars: list[Tensor]
) -> None:
    pictures = torch.stack(exemplars)
    near = torch.empty(2)
    far = torch.empty(2)
    for rule in range(2):
        distances = style(pictures, one_rule(rule, batch=2), None, "reflect", generator())
        near[rule], far[rule] = distances[rule], distances[1 - rule]
    assert near.max() < 0.1 * far.min()


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_tells_rules_apart_in_every_place(
    vgg: VGGFeatures, exemplars: list[Tensor], metric: str
) -> None:
    fire, moss = exemplars
    style = StyleLoss(vgg, exemplars, metric)
    pictures = torch.stack([fire, moss, torch.cat([fire[:, :, :32], moss[:, :, 32:]], 2)])
    halves = torch.zeros(1, 2, SIZE, SIZE)
    halves[:, 0, :, :32] = halves[:, 1, :, 32:] = 1
    weights = torch.cat([one_rule(0), one_rule(1), halves])
    right = style(pictures, weights, None, "reflect", generator())
    wrong = style(pictures, weights.flip(1), None, "reflect", generator())
    assert (right < 0.5 * wrong).all(), (right, wrong)


def test_several_pictures_of_a_rule_share_by_weight(
    vgg: VGGFeatures, exemplars: list[Tensor]
) -> None:
    """A rule learnt from two pictures is as near to each as its weight says."""
    fire, moss = exemplars
    wide = torch.cat([moss, moss.flip(2)], 2)  # another size
    near = []
    for share in (0.1, 0.5, 0.9):
        style = StyleLoss(vgg, [[Exemplar(fire, share), Exemplar(wide, 1 - share)], fire])
        near.append(style(fire[None], one_rule(0), None, "reflect", generator()).item())
    assert near[0] > near[1] > near[2]
    alone = StyleLoss(vgg, [[Exemplar(fire, 3.0)]])
    plain = StyleLoss(vgg, [fire])
    weights = torch.ones(1, 1, SIZE, SIZE)
    assert torch.equal(
        *(s(moss[None], weights, None, "reflect", generator()) for s in (alone, plain))
    )


def test_a_rule_without_pictures_is_not_judged(vgg: VGGFeatures, exemplars: list[Tensor]) -> None:
    style = StyleLoss(vgg, [exemplars[0], []])
    pictures = torch.stack([exemplars[1]] * 3)
    halves = torch.zeros(1, 2, SIZE, SIZE)
    halves[:, 0, :32] = halves[:, 1, 32:] = 1
    weights = torch.cat([one_rule(0), one_rule(1), halves])
    distances = style(pictures, weights, None, "wrap", generator())
    assert distances[0] > 1
    assert distances[1] == distances[2] == 0
    none = StyleLoss(vgg, [[], []])
    assert (none(pictures, weights, None, "wrap") == 0).all()
    assert 0 < none.dark < none.bright < 1


def test_of_a_large_picture_as_much_is_kept_as_is_needed(
    vgg: VGGFeatures, exemplars: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is looked at once, however many rules share it."""
    whole = StyleLoss(vgg, exemplars)
    monkeypatch.setattr("ncavideo.training.exemplar_maps.KEPT", 500)
    few = StyleLoss(vgg, exemplars)
    assert [len(layer.features) for layer in few._layers] == [
        2 * min(len(layer.order) // 2, 500) for layer in whole._layers
    ]
    assert few.scales == whole.scales
    near, exact = (
        s(exemplars[1][None], one_rule(0), None, "wrap", generator()).item() for s in (few, whole)
    )
    assert near == pytest.approx(exact, rel=0.1)
    looks = []
    look = VGGFeatures.__call__

    def counted(self: VGGFeatures, rgb: Tensor, edge: str) -> list[Tensor]:
        looks.append(edge)
        return look(self, rgb, edge)  # type: ignore[arg-type]

    monkeypatch.setattr(VGGFeatures, "__call__", counted)
    StyleLoss(vgg, [[Exemplar(exemplars[0])], [Exemplar(exemplars[0], 2.0)], exemplars[1]])
    assert len(looks) == 2


def test_a_photograph_is_no_torus(exemplars: list[Tensor]) -> None:
    whole = load_style(STYLES / "fire.png")
    assert seamless(whole)
    assert not seamless(torch.linspace(0, 1, SIZE).expand(3, SIZE, SIZE) + 0.01 * exemplars[0])


def test_shifted_exemplar_is_still_near(style: StyleLoss, exemplars: list[Tensor]) -> None:
    """Where things are does not matter, only what there is."""
    fire = exemplars[0][None]
    here, there = (
        style(picture, one_rule(0), None, "wrap", generator())
        for picture in (fire, fire.roll((17, 40), (2, 3)))
    )
    assert there < 2 * here + 0.1


def test_worse_pictures_are_farther(style: StyleLoss, exemplars: list[Tensor]) -> None:
    fire = exemplars[0][None]
    noise = torch.rand(fire.shape, generator=generator())
    distances = [
        style(fire + share * (noise - fire), one_rule(0), None, "reflect", generator()).item()
        for share in (0, 0.1, 0.3, 1)
    ]
    assert distances == sorted(distances)
    assert distances[0] < 0.6 * distances[1] < 0.6 * 0.6 * distances[2]
    # A checkerboard that pooling hides is seen as well.
    checkers = (torch.arange(SIZE)[:, None] + torch.arange(SIZE)) % 2
    checked = (fire + 0.1 * (2 * checkers - 1)).clamp(0, 1)
    assert style(checked, one_rule(0), None, "reflect", generator()).item() > 2 * distances[0]


def test_a_bright_part_is_nearer_when_asked_for_bright(
    style: StyleLoss, exemplars: list[Tensor]
) -> None:
    for rule, exemplar in enumerate(exemplars):
        picture = exemplar[None]
        own = style.light_of(blur(luminance(picture), 5.0, "reflect"))
        assert own.std() > 0.1
        asked = {"own": own, "opposite": 1 - own, "shifted": own.roll(SIZE // 2, 2)}
        distances = {
            name: style(picture, one_rule(rule), light, "reflect", generator()).item()
            for name, light in asked.items()
        }
        assert distances["own"] < 0.5 * distances["opposite"], (rule, distances)
        assert distances["own"] < distances["shifted"], (rule, distances)


def test_light_is_looked_up_in_the_asked_rules_own_exemplar(
    vgg: VGGFeatures, exemplars: list[Tensor]
) -> None:
    """A picture asked for the light it has stays near, also where its rule is the darker one."""
    pictures = [exemplars[0], 0.5 * exemplars[0]]
    style = StyleLoss(vgg, pictures)
    for rule, picture in enumerate(pictures):
        own = style.light_of(blur(luminance(picture[None]), 5.0, "reflect"))
        asked, free = (
            style(picture[None], one_rule(rule), light, "reflect", generator()).item()
            for light in (own, None)
        )
        assert asked < 3 * free, rule


def test_flat_light_prefers_the_part_that_has_it(style: StyleLoss, exemplars: list[Tensor]) -> None:
    """Of the brightest and darkest quarters of an exemplar, each fits its own light better."""
    for rule, exemplar in enumerate(exemplars):
        tiles = exemplar.view(3, 2, 32, 2, 32).permute(1, 3, 0, 2, 4).reshape(4, 3, 32, 32)
        order = luminance(tiles).mean((1, 2)).argsort()
        dark, bright = tiles[order[0]], tiles[order[-1]]
        pictures = torch.stack([dark, bright])
        lights = style.light_of(luminance(pictures).mean((1, 2)))

        def distance(light: Tensor, pictures: Tensor = pictures, rule: int = rule) -> Tensor:
            maps = light.expand(2, 32, 32)
            return style(pictures, one_rule(rule, 32, 2), maps, "wrap", generator())

        for_dark, for_bright = distance(lights[0]), distance(lights[1])
        assert for_dark[0] < for_dark[1], rule
        assert for_bright[1] < for_bright[0], rule


def test_the_right_rule_in_the_right_place(style: StyleLoss, exemplars: list[Tensor]) -> None:
    fire, moss = exemplars
    picture = torch.cat([fire[:, :, :32], moss[:, :, 32:]], 2)[None]
    weights = torch.zeros(1, 2, SIZE, SIZE)
    weights[:, 0, :, :32] = weights[:, 1, :, 32:] = 1
    right, swapped = (
        style(picture, w, None, "reflect", generator()).item() for w in (weights, weights.flip(1))
    )
    assert right < 0.4 * swapped


def test_distances_of_a_batch_are_those_of_its_samples(
    style: StyleLoss, exemplars: list[Tensor]
) -> None:
    """One sample's rule or borders must not leak into another's distance."""
    fire, moss = exemplars
    pictures = torch.stack([fire, moss, moss])
    halves = torch.zeros(1, 2, SIZE, SIZE)
    halves[:, 0, :32] = halves[:, 1, 32:] = 1
    weights = torch.cat([one_rule(0), one_rule(1), halves])
    together = style(pictures, weights, None, "reflect", generator())
    assert together.shape == (3,)
    assert together[0] < 0.4 * together[2]
    assert together[1] < 0.4 * together[2]


def test_the_draw_is_the_generators(style: StyleLoss, exemplars: list[Tensor]) -> None:
    picture, light = exemplars[0][None], torch.full((1, SIZE, SIZE), 0.5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    values = [
        style(picture, one_rule(1), light, "reflect", generator(seed)).item() for seed in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), state), "a given generator leaves the global one"


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_style_gradient_leads_downhill(
    style: StyleLoss, exemplars: list[Tensor], edge: str
) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=generator()).requires_grad_()
    light = torch.full((1, 32, 32), 0.6)
    loss = style(picture, one_rule(0, 32), light, edge, generator())
    loss.sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    step = picture.detach() - 0.02 * picture.grad / picture.grad.abs().mean()
    assert style(step, one_rule(0, 32), light, edge, generator()) < loss


def test_light_scale_goes_both_ways(style: StyleLoss) -> None:
    light = torch.linspace(0, 1, 11)
    torch.testing.assert_close(style.light_of(style.target_luminance(light)), light)
    assert 0 <= style.dark < style.bright <= 1


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (4, 4)], ids=str)
@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_blur_keeps_flat_pictures_and_means(edge: str, size: tuple[int, int]) -> None:
    flat = torch.full((1, *size), 0.3)
    torch.testing.assert_close(blur(flat, 5.0, edge), flat)
    picture = torch.rand(1, *size, generator=generator())
    assert blur(picture, 3.0, edge).std() < 0.5 * picture.std()
    if edge == "wrap":
        torch.testing.assert_close(blur(picture, 3.0, edge).mean(), picture.mean())


def test_haar_sees_the_checkerboard() -> None:
    checkers = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(1, 3, 8, 8)
    horizontal, vertical, diagonal = haar_details(checkers)[0]
    assert not horizontal.any()
    assert not vertical.any()
    torch.testing.assert_close(diagonal.abs(), torch.ones(8, 8))
    stripes = (torch.arange(8) % 2).float().expand(1, 3, 8, 8)
    horizontal, vertical, diagonal = haar_details(stripes)[0]
    assert horizontal.abs().min() > 0.9
    assert not vertical.any()
    assert not diagonal.any()


def test_patches_look_like_their_own_rule(vgg: VGGFeatures, exemplars: list[Tensor]) -> None:
    patches = Patches(vgg, exemplars)
    for rule, exemplar in enumerate(exemplars):
        distances = patches.distances(exemplar.roll((5, 9), (1, 2)).permute(1, 2, 0).numpy())
        assert distances.shape == (16, 2)
        assert np.isfinite(distances).all()
        assert (distances.argmin(1) == rule).mean() > 0.9
