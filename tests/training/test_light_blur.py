"""Over what surroundings brightness counts as light: `loss.light_blur`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.losses import PLAIN_DETAIL, Losses
from ncavideo.training.recipe import Recipe, RuleRecipe
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.seen import Rollout
from ncavideo.training.style import StyleLoss, blur, luminance
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import VGGFeatures, load_vgg
from ncavideo.util.errors import UserError

SIDE, STRIPE = 96, 24
STYLES = Path(__file__).parents[2] / "examples" / "styles"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vgg() -> VGGFeatures:
    return load_vgg()


def stripes() -> Tensor:
    """Return `[3, SIDE, SIDE]`: bright orange and dark bands, each 12 pixels tall, and seamless."""
    rows = torch.arange(SIDE).float()[:, None].expand(SIDE, SIDE)
    bright = 0.5 + 0.5 * torch.cos(2 * torch.pi * rows / STRIPE)
    return torch.stack([0.1 + 0.9 * bright, 0.05 + 0.5 * bright, 0.02 + 0.1 * bright])


def loss_of(style: StyleLoss, picture: Tensor, light: Tensor, name: str) -> float:
    """Return one of the losses of a grid `[3, SIDE, SIDE]` under `light` `[1, SIDE, SIDE]`."""
    rules = tuple(RuleRecipe(f"rule{at}") for at in range(style.rules))
    recipe = Recipe("stripes", rules, loss=LossRecipe(form=1.0))
    state = torch.cat([picture[None] - 0.5, torch.zeros(1, 9, SIDE, SIDE)], 1)
    weights = torch.zeros(1, style.rules, SIDE, SIDE)
    weights[:, 0] = 1
    rollout = Rollout(state, state, 8, weights, light, [0], torch.zeros(1), "wrap")
    terms, _ = Losses(recipe, style, CPU, None).terms(recipe.loss, rollout, 0.0)
    return float(terms[name])


@pytest.mark.train
def test_a_picture_has_gaps_under_even_light(vgg: VGGFeatures) -> None:
    picture = load_style(STYLES / "stone.png")
    crop = picture[:, :128, :128]
    weights = torch.ones(1, 1, 128, 128)

    def distance(light_blur: float) -> float:
        """Return the picture's own distance under even light, as bright as it is."""
        style = StyleLoss(vgg, [picture], light_blur=light_blur)
        light = style.light_of(luminance(crop[None]).mean()).expand(1, 128, 128)
        torch.manual_seed(1)
        return sum(float(style(crop[None], weights, light, "reflect")) for _ in range(4)) / 4

    assert distance(20.0) < 0.7 * distance(2.0)


@pytest.mark.train
def test_brightness_is_judged_over_as_much(vgg: VGGFeatures) -> None:
    picture = stripes()

    def term(light_blur: float) -> float:
        style = StyleLoss(vgg, [picture], light_blur=light_blur)
        light = style.light_of(luminance(picture[None]).mean()).expand(1, SIDE, SIDE)
        return loss_of(style, picture, light, "brightness")

    assert term(20.0) < 0.1 * term(2.0)


@pytest.mark.train
def test_brightness_follows_finer_detail_where_the_light_has_it(vgg: VGGFeatures) -> None:
    picture = stripes()
    style = StyleLoss(vgg, [load_style(STYLES / "stone.png")], light_blur=16.0)
    even = torch.full((1, SIDE, SIDE), 0.5)
    assert loss_of(style, picture, even, "form") == pytest.approx(0, abs=1e-6)
    marked = even.clone()
    marked[:, 40:46, 40:46] = 0.0  # an eye
    wanted = style.target_luminance(marked)

    def shown(seen: Tensor) -> float:
        """Return the loss of grey of a luminance."""
        return loss_of(style, seen.expand(3, SIDE, SIDE), marked, "form")

    blank, with_eye = style.target_luminance(even), wanted
    assert shown(with_eye) < 0.3 * shown(blank)
    # Far from it, the texture has its gaps.
    gaps = wanted.clone()
    gaps[:, :, 80:86] = 0.0
    assert shown(gaps) < 0.3 * shown(blank)


@pytest.mark.train
@pytest.mark.parametrize("light_blur", [5.0, 16.0])
def test_detail_counts_whatever_a_pixel_of_the_picture_stands_for(
    vgg: VGGFeatures, light_blur: float
) -> None:
    """Stripes as wide as `light_blur` are detail of the light: a grey that lacks them is seen."""
    style = StyleLoss(vgg, [load_style(STYLES / "stone.png")], light_blur=light_blur)
    columns = torch.arange(SIDE).float().expand(1, SIDE, SIDE)
    light = 0.5 + 0.4 * torch.sin(torch.pi * columns / light_blur)
    wanted = style.target_luminance(light)
    grey = style.target_luminance(torch.tensor(0.5)).expand(3, SIDE, SIDE)
    detail = (wanted - blur(wanted, light_blur)).abs()
    whole = ((grey[0] - wanted).square() * detail).mean() / PLAIN_DETAIL
    assert loss_of(style, grey, light, "form") > 0.4 * float(whole)


def test_it_is_the_same_in_all_stages(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    rule = '[[rule]]\nname = "fire"\nprompt = "fire"\n[guide]\nkind = "imagenet"\n'
    begin = f"format = 1\n{rule}[loss]\nlight_blur = 16.0\n"
    path.write_text(begin)
    assert load_recipe(path).loss.light_blur == 16
    path.write_text(begin + "[[stage]]\niterations = 5\nlight_blur = 4.0\n")
    with pytest.raises(UserError, match="light_blur"):
        load_recipe(path)
    path.write_text(begin.replace("16.0", "0.0"))
    with pytest.raises(UserError, match="light_blur"):
        load_recipe(path)
