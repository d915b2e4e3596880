"""Conditions that are decided on the CPU and drawn on the device are those of the curriculum."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ncavideo.training.conditions import draw_condition, smooth_noise
from ncavideo.training.curriculum import CALM, Curriculum
from ncavideo.training.gpu.maps import Maps
from ncavideo.training.gpu.requests import COLUMNS, DISCS, Column, decide
from ncavideo.training.pool import Pool
from ncavideo.training.recipe import ModelRecipe, Recipe, RuleRecipe, TrainingRecipe

pytestmark = pytest.mark.gpu

RULES, SIZE, SAMPLES = 3, 32, 300


def curriculum(light: bool = True, **training: object) -> tuple[Curriculum, TrainingRecipe]:
    """Return a curriculum of three rules, and its recipe's first stage."""
    torch.manual_seed(4)
    rules = tuple(RuleRecipe(name) for name in ("fire", "moss", "ice"))
    loop = TrainingRecipe(**({"size": SIZE, "batch": SAMPLES, "pool": SAMPLES} | training))
    recipe = Recipe("any", rules, ModelRecipe(light=light), loop)
    generator = torch.Generator().manual_seed(5)
    return Curriculum(recipe, generator, torch.device("cpu")), loop


def facts(weights: torch.Tensor, light: torch.Tensor, kinds: list[str]) -> dict[str, float]:
    """Return what is known of the conditions' distribution."""
    deviation = light.flatten(1).std(1)
    shares = {word: sum(word in k for k in kinds) / len(kinds) for word in
              ("flat", "smooth", "sharp", "detailed", "two rules", "weak")}  # fmt: skip
    present = (weights.flatten(2).amax(2) > 0).float()
    return shares | {
        "light": float(light.mean()),
        "flat maps": float((deviation < 1e-6).float().mean()),
        "deviation": float(deviation.mean()),
        "from cell to cell": float(light.diff(dim=2).abs().mean()),
        "strength": float(weights.sum(1).mean()),
        "first rule": float(weights[:, 0].mean()),
        "rules of a sample": float(present.sum(1).mean()),
        "borders' hardness": float((weights.amax(1) / weights.sum(1)).mean()),
    }


@pytest.mark.parametrize("detail", [0.0, 0.5])
def test_conditions_have_the_curriculums_distribution(detail: float) -> None:
    """Within four standard errors of two means of 300 samples."""
    curriculum_, r = curriculum(seed_probability=1.0, damage=0.0, light_detail=detail)
    pool = Pool.empty(SAMPLES, 4, RULES, SIZE)
    rows, histories = decide(curriculum_, pool, list(range(SAMPLES)), r, 1.0)
    assert set(histories) == {"from the seed"}
    ours = Maps(SIZE, RULES, torch.device("cpu"), detail > 0)(rows)
    assert bool(ours.gone.all())
    found = facts(ours.weights, ours.light, pool.kinds)
    generator = torch.Generator().manual_seed(6)
    drawn = [
        draw_condition(RULES, SIZE, generator, has_light=True, mixed=r.mixed,
                       partial=r.partial_strength, varied=r.light_maps, detailed=detail)
        for _ in range(SAMPLES)
    ]  # fmt: skip
    wanted = facts(
        torch.stack([d.weights for d in drawn]),
        torch.stack([d.light for d in drawn]),
        [d.kind for d in drawn],
    )
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=4 * 0.5 * (2 / SAMPLES) ** 0.5), name
    # Of each kind, not only over all of them.
    for word in ("smooth", "sharp"):
        means = [
            light[[word in k for k in kinds]].flatten(1).std(1).mean()
            for light, kinds in (
                (ours.light, pool.kinds),
                (torch.stack([d.light for d in drawn]), [d.kind for d in drawn]),
            )
        ]
        assert means[0] == pytest.approx(float(means[1]), abs=0.03), word


def test_the_log_names_what_the_maps_show() -> None:
    curriculum_, r = curriculum()
    pool = Pool.empty(SAMPLES, 4, RULES, SIZE)
    rows, _ = decide(curriculum_, pool, list(range(SAMPLES)), r, 1.0)
    maps = Maps(SIZE, RULES, torch.device("cpu"))(rows)
    assert float(maps.light.min()) >= 0 and float(maps.light.max()) <= 1
    for index, kind in enumerate(pool.kinds):
        weights, light = maps.weights[index], maps.light[index]
        assert ("flat" in kind) == (float(light.max() - light.min()) < 1e-6)
        shown = [rule for rule in range(RULES) if weights[rule].any()]
        assert len(shown) == (2 if "two" in kind else 1)
        assert pool.rules[index] == (None if "two" in kind else shown[0])
        assert (float(weights.sum(0).max()) < 1 - 1e-6) == ("weak" in kind)


def test_samples_without_a_new_condition_are_calm_or_damaged() -> None:
    curriculum_, r = curriculum(seed_probability=0.0, switch_probability=0.0, damage=0.5)
    pool = Pool.empty(SAMPLES, 4, RULES, SIZE)
    pool.kinds = ["one rule, flat light"] * SAMPLES
    rows, histories = decide(curriculum_, pool, list(range(SAMPLES)), r, 1.0)
    assert not rows[:, Column.CHANGED].any() and not rows[:, Column.FRESH].any()
    assert set(histories) == {CALM, "damaged"}
    assert histories.count("damaged") / SAMPLES == pytest.approx(0.5, abs=0.1)
    gone = Maps(SIZE, RULES, torch.device("cpu"))(rows).gone
    hurt = torch.tensor([h == "damaged" for h in histories])
    assert not gone[~hurt].any()
    # Discs of a radius of 0.1 to 0.3 of the side; the mean of pi r**2.
    share = gone[hurt].float().mean()
    assert float(share) == pytest.approx(torch.pi * (0.3**3 - 0.1**3) / 3 / 0.2, abs=0.02)


def test_an_oversampled_rule_and_a_run_without_light() -> None:
    curriculum_, r = curriculum(light=False, oversample="moss", mixed=0.0, partial_strength=0.0)
    pool = Pool.empty(SAMPLES, 4, RULES, SIZE)
    rows, _ = decide(curriculum_, pool, list(range(SAMPLES)), r, 1.0)
    assert pool.rules.count(1) / SAMPLES == pytest.approx(0.5 + 0.5 / 3, abs=0.1)
    assert bool((Maps(SIZE, RULES, torch.device("cpu"))(rows).light == 0.5).all())
    fresh = dataclasses.replace(r, oversample="", oversample_fresh="ice", seed_probability=1.0)
    decide(curriculum_, pool, list(range(SAMPLES)), fresh, 1.0)
    assert pool.rules.count(2) / SAMPLES == pytest.approx(0.5 + 0.5 / 3, abs=0.1)
    assert not pool.ages.any()


@pytest.mark.parametrize("size", [32, 33])
def test_noise_is_spread_evenly_and_periodic(size: int) -> None:
    maps = Maps(size, 1, torch.device("cpu"))
    noise = maps.noise(torch.tensor([1.3, 2.5]))
    ours = noise.flatten(1).sort(1).values
    wanted = torch.linspace(0, 1, size * size).expand(2, -1)
    assert torch.equal(ours, wanted)
    generator = torch.Generator().manual_seed(1)
    for found, slope in zip(noise, (1.3, 2.5), strict=True):
        rough = (found - found.roll(1, 0)).abs().mean()
        like = smooth_noise(size, slope, generator)
        assert float(rough) == pytest.approx(float((like - like.roll(1, 0)).abs().mean()), rel=0.3)


def test_later_discs_lie_upon_earlier_ones() -> None:
    row = torch.zeros(1, COLUMNS)
    row[0, Column.LIGHT], row[0, Column.LEVEL], row[0, Column.LIGHT_SLOPE] = 2, 0.3, 2
    discs = row[0, len(Column) :].view(DISCS, 4)
    discs[0] = torch.tensor([8.0, 0.0, 0.0, 0.9])
    discs[1] = torch.tensor([4.0, 0.0, 0.0, 0.5])
    light = Maps(SIZE, 1, torch.device("cpu"))(row).light[0]
    # Up to the shading, which is at most 0.125 either way.
    for (y, x), level in {(0, 0): 0.5, (0, 6): 0.9, (SIZE - 6, 0): 0.9, (16, 16): 0.3}.items():
        assert float(light[y, x]) == pytest.approx(level, abs=0.126)
