"""Train each rule of a recipe alone, with the same settings, for `rule_set.py --alone`.

    python benchmarks/alone.py presets/elements-first.toml [RULE ...] [--dir DIR] [--stages 2]

A rule of four is active in a quarter of the samples, so its lone set takes a quarter of each
stage's iterations. All stages, or the first few: the later ones make a rule last, which can cost it
its first steps. Writes `DIR/RULE.safetensors` (in `benchmarks/alone` without `--dir`).
Existing files are not trained again, and an interrupted run resumes (from
`runs/alone/RULE-STAGES`). Half an hour to an hour a rule on one core (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from ncavideo.training.recipe import Recipe, Stage
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import train

ALONE = Path(__file__).parent / "alone"


def lone(recipe: Recipe, rule: str, stages: int | None = None) -> Recipe:
    """Return the recipe with one of its rules, and its share of the first (or all) `stages`."""
    every = (Stage(recipe.training, recipe.loss), *recipe.stages)[:stages]
    first, *later = (
        dataclasses.replace(
            stage,
            training=dataclasses.replace(
                stage.training,
                iterations=stage.training.iterations // len(recipe.rules),
                oversample="",
                oversample_fresh="",
            ),
        )
        for stage in every
    )
    return dataclasses.replace(
        recipe,
        name=f"{rule}-alone",
        rules=tuple(r for r in recipe.rules if r.name == rule),
        training=first.training,
        loss=first.loss,
        stages=tuple(later),
    )


def main() -> None:
    """Train them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--dir", type=Path, default=ALONE)
    parser.add_argument("--stages", type=int)
    arguments = parser.parse_intermixed_args()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(arguments.recipe)
    for name in arguments.rules or [rule.name for rule in recipe.rules]:
        output = arguments.dir / f"{name}.safetensors"
        if output.exists():
            continue
        started = time.monotonic()
        single = lone(recipe, name, arguments.stages)
        folder = Path("runs/alone") / f"{name}-{len(single.stages) + 1}"
        train(single, output, folder, sheet_every=10**9)
        print(f"{output}: {single.iterations} iterations, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
