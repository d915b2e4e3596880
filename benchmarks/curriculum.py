"""The effect of each part of the curriculum: the same small training without it.

    python benchmarks/curriculum.py [--iterations 1500] [--seeds 1] [--only NAME ...] [--folder DIR]

Trains a two-rule set (fire and stone, 64 hidden units, grids of 64x64) with everything, and then
once for each part left out. All are measured alike, the mean of both rules; with several seeds, the
mean over trainings and their standard deviation:

*style*: the style distance after 300 steps under a light from dark to bright and back. *sharp*: the
same under a light in sharp-edged discs. *weak*: the same with the rule at half strength. *drift*:
the distance after 6,000 steps over the first. *healed*: steps until a hole of 40 cells is filled.
*take-over*: steps until a grid whose rule is changed is nearer to the new one. *border*: width in
cells of the washed-out strip between the two. *rim*: the distance of a strip of 16 cells along a
reflecting edge. *Nyquist*: checkerboard energy over the exemplar's. *moves*: change of RGB over 8
steps at rest.

Finished sets are kept in the folder and not trained again.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import results
import torch
from long_run import distance, light_field, nyquist_share
from rule_set import border, grown, healing, one_rule, take_over

from ncavideo.nca import engines
from ncavideo.nca.engines.base import Engine
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.conditions import draw_light
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.patches import Patches
from ncavideo.training.recipe import (
    ModelRecipe,
    Recipe,
    RuleRecipe,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.run import train
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg

STYLES = Path(__file__).parent.parent / "examples" / "styles"
NAMES = ("fire", "stone")
SIZE, RIM = 128, 16
FIRST_SEED = 5
WHOLE = ("healed", "take-over", "border")  # columns of steps and cells
WITHOUT: dict[str, tuple[str, dict[str, object]]] = {
    "everything": ("training", {}),
    "no switches": ("training", {"switch_probability": 0.0, "seed_probability": 0.1}),
    "no mixtures": ("training", {"mixed": 0.0}),
    "no weak rules": ("training", {"partial_strength": 0.0}),
    "no light maps": ("training", {"light_maps": 0.0}),
    "no damage": ("training", {"damage": 0.0}),
    "no long runs": ("training", {"long_rollout_probability": 0.0}),
    "no reflection": ("training", {"reflect": 0.0}),
    "no corner loss": ("loss", {"corner": 0.0}),
    "no stillness": ("loss", {"stillness": 0.0}),
}
COLUMNS = (
    "style", "sharp", "weak", "drift", "healed", "take-over", "border", "rim", "Nyquist", "moves",
)  # fmt: skip


def recipe_without(part: str, iterations: int, seed: int) -> Recipe:
    """Return the small recipe with one part of the curriculum left out."""
    section, changes = WITHOUT[part]
    base = Recipe(
        "curriculum",
        tuple(RuleRecipe(name, (StylePicture(f"{name}.png"),)) for name in NAMES),
        ModelRecipe(channels=12, hidden=64),
        TrainingRecipe(iterations=iterations, size=64, learning_rate=2e-3),
        LossRecipe(),
        seed=seed,
        folder=STYLES,
    )
    changed = dataclasses.replace(getattr(base, section), **changes)
    return dataclasses.replace(base, **{section: changed})


def measure(ruleset: RuleSet, style: StyleLoss, patches: Patches) -> list[float]:
    """Return the table's columns, means over the rules."""
    smooth = light_field(SIZE)
    sharp = np.full((SIZE, SIZE), 0.5, np.float32)
    draw, kind = torch.Generator().manual_seed(2), ""
    while kind != "sharp":
        light, kind = draw_light(SIZE, draw)
        sharp = light.numpy()
    rows = []
    for rule, exemplar in enumerate(patches_of(NAMES)):
        inputs = one_rule(ruleset, rule, smooth)
        engine = grown(ruleset, inputs, 300)
        young = rgb_of(engine)
        before = engine.rgb()
        engine.step(inputs, 8)
        moves = float(np.abs(engine.rgb() - before).mean())
        engine.step(inputs, 6000 - engine.steps_taken)
        first = distance(style, young, rule, torch.from_numpy(smooth))
        old = distance(style, rgb_of(engine), rule, torch.from_numpy(smooth))
        other = rgb_of(grown(ruleset, one_rule(ruleset, rule, sharp), 300))
        half = one_rule(ruleset, rule, smooth)
        half[rule] = 0.5
        weak = rgb_of(grown(ruleset, half, 300))
        rows.append(
            [
                first,
                distance(style, other, rule, torch.from_numpy(sharp)),
                distance(style, weak, rule, torch.from_numpy(smooth)),
                old / first,
                healing(ruleset, patches, rule, SIZE) or 400,
                take_over(ruleset, patches, rule, 1 - rule, 96) or 200,
                border(ruleset, 0, 1, SIZE),
                rim(ruleset, style, rule),
                nyquist_share(rgb_of(engine)) / nyquist_share(exemplar),
                moves,
            ]
        )
    return [statistics.mean(column) for column in zip(*rows, strict=True)]


def rim(ruleset: RuleSet, style: StyleLoss, rule: int) -> float:
    """Return the style distance of the upper and lower rims of a grid that reflects."""
    light = light_field(SIZE)
    engine = engines.start("auto", ruleset, SIZE, SIZE, edge="reflect")
    engine.step(one_rule(ruleset, rule, light), 300)
    rgb = rgb_of(engine)
    strips = torch.cat([rgb[:, :RIM], rgb[:, -RIM:]], 1)
    lights = torch.from_numpy(np.concatenate([light[:RIM], light[-RIM:]]))
    return distance(style, strips.contiguous(), rule, lights)


def rgb_of(engine: Engine) -> torch.Tensor:
    """Return an engine's picture as `[3, H, W]`."""
    return torch.from_numpy(engine.rgb()).permute(2, 0, 1).contiguous()


def patches_of(names: Sequence[str]) -> list[torch.Tensor]:
    """Return the exemplars."""
    return [load_style(STYLES / f"{name}.png") for name in names]


def main() -> None:
    """Train what is missing, measure all, print a row each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=WITHOUT)
    parser.add_argument("--folder", type=Path, default=Path("runs/curriculum"))
    results.add_record(parser)
    args = parser.parse_args()
    exemplars = patches_of(NAMES)
    vgg = load_vgg("auto")
    style, patches = StyleLoss(vgg, exemplars), Patches(vgg, exemplars)
    digits = {name: 0 if name in WHOLE else 3 if name == "moves" else 2 for name in COLUMNS}
    table = results.Table("parts", {"": "", **{n: f".{d}f" for n, d in digits.items()}})
    for part in args.only or WITHOUT:
        runs = [
            measure(trained(part, args.iterations, seed, args.folder), style, patches)
            for seed in range(FIRST_SEED, FIRST_SEED + args.seeds)
        ]
        table.add(part, *(spread(column) for column in zip(*runs, strict=True)))
    results.record(args, "curriculum", table)


def trained(part: str, iterations: int, seed: int, folder: Path) -> RuleSet:
    """Return a rule set from the folder, trained first if it is not there."""
    place = folder / f"{part.replace(' ', '-')}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    path = place / "set.safetensors"
    if path.exists():
        return RuleSet.load(path)
    return train(recipe_without(part, iterations, seed), path, place, sheet_every=10**6)


def spread(values: Sequence[float]) -> results.Cell:
    """Return the mean over trainings, with the standard deviation where there are several."""
    mean = statistics.mean(values)
    return (mean, statistics.stdev(values)) if len(values) > 1 else mean


if __name__ == "__main__":
    main()
