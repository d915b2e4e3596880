"""Quality of a rule set: stability, healing, take-over, clean borders, no checkerboard.

    python benchmarks/rule_set.py [RULESET] [--size 192] [--long 20000] [--skip-long]
                                  [--seeds 3] [--alone benchmarks/alone]

One line a rule:

*300*, *2,000*, *20,000*: style distance (the loss that training minimises, mean of 16 draws) after
so many steps under a light that goes from dark to bright and back, mean over `--seeds` seeds (one
grid differs by a tenth to a fifth from the next). *halves*: the distance of the exemplar's right
half to its left half, for scale. *drift*: the last over the first, with its standard error over
seeds; the goal is 1.15. *Nyquist*: luminance energy above 0.4 cycles a cell in both axes, over the
exemplar's; the goal is 2. *healed*: steps until a hole of 40 cells is filled again, in the middle
of its patches within 1.15 times their distance before; the goal is 200. *moves*: mean change
of RGB over 8 steps at rest. *alone*: the same distances after 300 and 2,000 steps of a rule set
that was trained for this rule only, with the same settings (`DIR/RULE.safetensors`, where there is
one; `alone.py` makes them). *shared/alone*: the first columns over these; the goal is 1.1.

Then for each ordered pair of rules *take-over*: steps until a grid whose rule is changed is nearer
to the new one than to the old (median over patches, `ncavideo/training/patches.py`); the goal is
48. And for each pair *border*: the widest run of columns along a hard border whose local contrast
is below half of that of the weaker side, median over seeds; the goal is 6 cells.

A rule set with a learned decoder is measured as it is drawn, with as many pixels a cell as its
style pictures have; Nyquist is then a pixel's.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import results
import torch
import torch.nn.functional as F
from alone import ALONE
from long_run import distance, light_field, nyquist_share

from ncavideo.nca import engines
from ncavideo.nca.catalog import presets
from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training.patches import Patches
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style, recipe_style
from ncavideo.training.vgg import VGGFeatures, load_vgg

STYLES = Path(__file__).parent.parent / "examples" / "styles"
HOLE = 20  # cells, radius
HEALED = 1.15
EARLY = (300, 2000)  # steps after which a rule is first measured, and compared with a lone one
SETTLED = 400  # steps after which a rule counts as grown


def exemplars_of(ruleset: RuleSet) -> list[torch.Tensor]:
    """Return each rule's style picture `[3, H, W]`, a preset's as its recipe has them."""
    path = presets().get(ruleset.name)
    if path is None:
        return [load_style(STYLES / rule.style) for rule in ruleset.rules]
    recipe = load_recipe(path.with_suffix(".toml"))
    return [recipe_style(recipe, rule.style[0], print) for rule in recipe.rules]


def style_of(ruleset: RuleSet, vgg: VGGFeatures, exemplars: Sequence[torch.Tensor]) -> StyleLoss:
    """Return the distance to a rule set's exemplars, with the light that it was trained under."""
    path = presets().get(ruleset.name)
    if path is None:
        return StyleLoss(vgg, exemplars)
    light_blur = load_recipe(path.with_suffix(".toml")).loss.light_blur
    return StyleLoss(vgg, exemplars, light_blur=light_blur)


def seen(engine: Engine, ruleset: RuleSet) -> np.ndarray:
    """Return the grid as it is drawn at the scale of the style pictures, `[H, W, 3]`, 0..1."""
    return engine.picture(ruleset.pixels)


def given(ruleset: RuleSet, weights: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Return the input channels for `weights` `[R, H, W]` and `light` `[H, W]`, 0..1."""
    inputs = np.zeros((len(ruleset.inputs), *light.shape), np.float32)
    inputs[: len(weights)] = weights
    if ruleset.has_light:
        inputs[ruleset.inputs.index("light")] = 2 * light - 1
    return inputs


def one_rule(ruleset: RuleSet, rule: int, light: np.ndarray) -> np.ndarray:
    """Return the input channels for one rule everywhere."""
    weights = np.zeros((len(ruleset.rules), *light.shape), np.float32)
    weights[rule] = 1
    return given(ruleset, weights, light)


def grown(ruleset: RuleSet, inputs: np.ndarray, steps: int = SETTLED, seed: int = 0) -> Engine:
    """Return a wrapped grid that has lived for `steps` steps."""
    engine = engines.start("auto", ruleset, *inputs.shape[1:], edge="wrap", seed=seed)
    engine.step(inputs, steps)
    return engine


def distances(
    style: StyleLoss,
    ruleset: RuleSet,
    index: int,
    inputs: np.ndarray,
    light: np.ndarray,
    ages: Sequence[int],
    seed: int,
) -> tuple[list[float], Engine]:
    """Return the style distance to the style's rule `index` at each age, and the grid at last."""
    asked = torch.from_numpy(light) if ruleset.has_light else None
    if asked is not None and ruleset.pixels > 1:
        asked = F.interpolate(asked[None, None], scale_factor=ruleset.pixels, mode="bilinear")[0, 0]
    engine, found = grown(ruleset, inputs, 0, seed), []
    for age in ages:
        engine.step(inputs, age - engine.steps_taken)
        rgb = torch.from_numpy(seen(engine, ruleset)).permute(2, 0, 1).contiguous()
        found.append(distance(style, rgb, index, asked))
    return found, engine


def alone(
    folder: Path, style: StyleLoss, rule: str, index: int, light: np.ndarray, seeds: int
) -> np.ndarray | None:
    """Return the distances of the rule set that has only this rule at `EARLY`, None without one."""
    path = folder / f"{rule}.safetensors"
    if not path.exists():
        return None
    single = open_ruleset(str(path))
    inputs = one_rule(single, 0, light)
    return np.mean(
        [distances(style, single, index, inputs, light, EARLY, seed)[0] for seed in range(seeds)], 0
    )


def halves(vgg: VGGFeatures, exemplar: torch.Tensor) -> float:
    """Return the style distance of an exemplar's right half to its left half."""
    left, right = exemplar.chunk(2, 2)
    style = StyleLoss(vgg, [left.contiguous()])
    weights = torch.ones(1, 1, *right.shape[1:])
    torch.manual_seed(0)
    with torch.no_grad():
        return statistics.mean(
            style(right[None], weights, None, "reflect").item() for _ in range(8)
        )


def healing(ruleset: RuleSet, patches: Patches, rule: int, size: int) -> int | None:
    """Return the steps until a hole is filled; None if it takes more than 400."""
    light = np.full((size, size), 0.6, np.float32)
    inputs = one_rule(ruleset, rule, light)
    engine = grown(ruleset, inputs)
    pixels = ruleset.pixels
    middle = slice((size // 2 - HOLE) * pixels, (size // 2 + HOLE) * pixels)

    def own() -> float:
        picture = seen(engine, ruleset)[middle, middle]
        return float(np.median(patches.distances(picture)[:, rule]))

    before = own()
    state = engine.snapshot()
    y, x = np.ogrid[:size, :size]
    state.state[:, (y - size // 2) ** 2 + (x - size // 2) ** 2 < HOLE**2] = 0
    engine.restore(Snapshot(state.state, state.step))
    for steps in range(8, 401, 8):
        engine.step(inputs, 8)
        if own() <= HEALED * before:
            return steps
    return None


def take_over(ruleset: RuleSet, patches: Patches, old: int, new: int, size: int) -> int | None:
    """Return the steps until a grid looks like `new` rather than `old`; None if above 200."""
    light = np.full((size, size), 0.6, np.float32)
    engine = grown(ruleset, one_rule(ruleset, old, light))
    inputs = one_rule(ruleset, new, light)
    for steps in range(4, 201, 4):
        engine.step(inputs, 4)
        distances = np.median(patches.distances(seen(engine, ruleset), "wrap"), 0)
        if distances[new] < distances[old]:
            return steps
    return None


def border(ruleset: RuleSet, one: int, other: int, size: int, seed: int = 0) -> int:
    """Return the width in cells of the washed-out strip between two rules side by side."""
    weights = np.zeros((len(ruleset.rules), size, size), np.float32)
    weights[one, :, : size // 2] = 1
    weights[other, :, size // 2 :] = 1
    inputs = given(ruleset, weights, np.full((size, size), 0.6, np.float32))
    rgb = seen(grown(ruleset, inputs, seed=seed), ruleset)
    contrast = rgb.std(0).mean(-1).reshape(size, -1).mean(1)  # of each column of cells
    contrast = np.convolve(np.pad(contrast, 1, "wrap"), np.ones(3) / 3, "valid")
    quarter = size // 4
    sides = [
        np.median(contrast[12 : quarter * 2 - 12]),
        np.median(contrast[quarter * 2 + 12 : -12]),
    ]
    weak = contrast[quarter:-quarter] < 0.5 * min(sides)
    runs = [len(list(run)) for low, run in itertools.groupby(weak) if low]
    return max(runs, default=0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ruleset", nargs="?", default="elements")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--long", type=int, default=20_000)
    parser.add_argument("--skip-long", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alone", type=Path, default=ALONE)
    results.add_record(parser)
    arguments = parser.parse_args()
    ruleset, size = open_ruleset(arguments.ruleset), arguments.size
    exemplars = exemplars_of(ruleset)
    vgg = load_vgg("auto")
    style, patches = style_of(ruleset, vgg, exemplars), Patches(vgg, exemplars)
    light = light_field(size)
    ages = [*EARLY] + ([] if arguments.skip_long else [arguments.long])
    numbers = {"halves": ".3f", "drift": ".2f", "Nyquist": ".1f", "healed": "", "moves": ".3f"}
    table = results.Table("rules", {"rule": "", **{f"{a:,} steps": ".3f" for a in ages}, **numbers})
    kinds = {"shared": ".3f", "alone": ".3f", "shared/alone": ".2f"}
    compared = {f"{kind}, {a:,} steps": spec for kind, spec in kinds.items() for a in EARLY}
    beside = results.Table("alone", {"rule": "", **compared})
    lone: list[list[results.Cell]] = []
    for index, rule in enumerate(ruleset.rules):
        inputs = one_rule(ruleset, index, light)
        runs = []
        for seed in range(arguments.seeds):
            found, engine = distances(style, ruleset, index, inputs, light, ages, seed)
            runs.append(found)
        means = np.mean(runs, 0)
        before = seen(engine, ruleset)
        engine.step(inputs, 8)
        moves = float(np.abs(seen(engine, ruleset) - before).mean())
        rgb = torch.from_numpy(before).permute(2, 0, 1).contiguous()
        checker = nyquist_share(rgb) / nyquist_share(exemplars[index])
        healed = healing(ruleset, patches, index, size) or "over 400"
        drift: results.Cell = means[-1] / means[0]
        if arguments.seeds > 1:
            drifts = np.array(runs)[:, -1] / means[0]
            drift = (means[-1] / means[0], drifts.std(ddof=1) / arguments.seeds**0.5)
        own = halves(vgg, exemplars[index])
        table.add(rule.name, *means, own, drift, checker, healed, moves)
        shared = means[: len(EARLY)]
        single = alone(arguments.alone, style, rule.name, index, light, arguments.seeds)
        if single is not None:
            lone.append([rule.name, *shared, *single, *(shared / single)])
    for cells in lone:
        beside.add(*cells)
    print("\ntake-over, steps (row: old, column: new)")
    take_overs = results.Table("take_overs", {"": "", **{r.name: "" for r in ruleset.rules}})
    for old, rule in enumerate(ruleset.rules):
        row = [
            "" if old == new else take_over(ruleset, patches, old, new, 96) or "over 200"
            for new in range(len(ruleset.rules))
        ]
        take_overs.add(rule.name, *row)
    borders = results.Table("borders", {"pair": "", "cells": "g"})
    for one, other in itertools.combinations(range(len(ruleset.rules)), 2):
        names = f"{ruleset.rules[one].name} and {ruleset.rules[other].name}"
        widths = [border(ruleset, one, other, 128, seed) for seed in range(arguments.seeds)]
        borders.add(names, statistics.median(widths))
    tables = [each for each in (table, beside, take_overs, borders) if each.rows]
    results.record(arguments, f"rule_set-{ruleset.name}", *tables)


if __name__ == "__main__":
    main()
