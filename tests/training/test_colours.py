"""Colours that no style picture has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ncavideo.training.style import StyleLoss, blur, luminance
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import VGGFeatures, load_vgg, no_vgg

pytestmark = pytest.mark.train
STYLES = Path(__file__).parents[2] / "examples" / "styles"


@pytest.fixture(scope="module")
def vgg() -> VGGFeatures:
    return load_vgg()


def with_lines(picture: Tensor, colour: tuple[float, float, float]) -> Tensor:
    """Give every sixteenth column of `[3, H, W]` a colour, at the luminance that is there."""
    lines, wanted = picture.clone(), torch.tensor(colour)
    scale = luminance(picture[None])[0, :, ::16] / luminance(wanted[None, :, None, None])[0, 0, 0]
    lines[:, :, ::16] = wanted[:, None, None] * scale
    return lines


def test_a_line_of_another_colour_costs_more_than_its_features(vgg: VGGFeatures) -> None:
    picture = load_style(STYLES / "fire.png")[:, :128, :128]
    style = StyleLoss(vgg, [picture])
    weights = torch.ones(1, 1, 128, 128)
    light = style.light_of(blur(luminance(picture[None]), 5.0, "reflect"))

    def costs(rgb: Tensor) -> tuple[float, float]:
        torch.manual_seed(1)
        # Each draws its positions anew.
        whole = [float(style(rgb[None], weights, light, "reflect")) for _ in range(6)]
        alone = [float(style.colours(rgb[None], weights, light)) for _ in range(6)]
        return sum(whole) / 6, sum(alone) / 6

    plain, cyan = costs(picture), costs(with_lines(picture, (0.1, 0.9, 0.9)))
    assert cyan[1] / plain[1] > 1.5 * cyan[0] / plain[0]


def test_gradients_lead_to_the_pictures_colours(vgg: VGGFeatures) -> None:
    picture = load_style(STYLES / "fire.png")[:, :64, :64]
    style = StyleLoss(vgg, [picture])
    weights = torch.ones(1, 1, 64, 64)
    rgb = (0.3 * torch.ones(1, 3, 64, 64)).requires_grad_()
    optimiser, found = torch.optim.Adam([rgb], 0.02), []
    for _ in range(60):
        loss = style.colours(rgb, weights, None).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    assert found[-1] < 0.1 * found[0]
    means = rgb.detach().mean((0, 2, 3))
    assert (means - picture.mean((1, 2))).abs().max() < 0.05


def test_without_pictures_no_colour_is_wrong() -> None:
    style = StyleLoss(no_vgg(), [[]])
    none = style.colours(torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8), None)
    assert none.tolist() == [0.0, 0.0]
