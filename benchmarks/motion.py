"""Drift of rules: velocity of the recipe and measured velocity, in cells a step.

    python benchmarks/motion.py [--iterations 1500] [--folder DIR]

Trains a three-rule set (fire upwards, sand to the right, stone still; 64 hidden units, grids of
64x64), and measures each rule's motion from step 600 on by phase correlation (Kuglin and Hines
1975; OpenCV's `phaseCorrelate`, sub-pixel) of luminance some steps apart: the median over pairs.
*change* is the mean change of RGB over 8 steps at the place, *carried* the same after the earlier
picture was shifted by the recipe's motion: the rest is not that motion.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import results
import torch
from rule_set import grown, one_rule

from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.motion import velocity, warped
from ncavideo.training.recipe import (
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.run import train

STYLES = Path(__file__).parent.parent / "examples" / "styles"
RULES = {"fire": MotionRecipe(90, 0.08), "sand": MotionRecipe(0, 0.12), "stone": None}
SIZE, APART, PAIRS = 128, 16, 12


def recipe(iterations: int) -> Recipe:
    """Return the three-rule recipe."""
    rules = tuple(
        RuleRecipe(name, (StylePicture(f"{name}.png"),), motion=motion)
        for name, motion in RULES.items()
    )
    return Recipe(
        "motion",
        rules,
        ModelRecipe(channels=12, hidden=64),
        TrainingRecipe(iterations=iterations, size=64, learning_rate=2e-3),
        seed=5,
        folder=STYLES,
    )


def measure(ruleset: RuleSet, rule: int, motion: MotionRecipe | None) -> tuple[float, ...]:
    """Return the motion to the right and downwards, in cells a step, and the two changes."""
    inputs = one_rule(ruleset, rule, np.full((SIZE, SIZE), 0.6, np.float32))
    engine = grown(ruleset, inputs, 600)
    shift = torch.tensor(velocity(motion)).view(1, 2, 1, 1) * 8
    most = float(shift.abs().max())
    shift = shift.expand(1, 2, SIZE, SIZE)
    found, still, moved = [], [], []
    for _ in range(PAIRS):
        first = engine.rgb()
        engine.step(inputs, 8)
        second = engine.rgb()
        engine.step(inputs, APART - 8)
        last = engine.rgb()
        grey = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float64) for rgb in (first, last)]
        (x, y), _ = cv2.phaseCorrelate(*grey)
        found.append((x / APART, y / APART))
        still.append(float(np.abs(second - first).mean()))
        before = torch.from_numpy(first).permute(2, 0, 1)[None]
        wanted, _ = warped(before, shift, most, "wrap")
        moved.append(float(np.abs(wanted[0].permute(1, 2, 0).numpy() - second).mean()))
    x, y = np.median(np.array(found), 0)
    return float(x), float(y), float(np.median(still)), float(np.median(moved))


def main() -> None:
    """Train if need be, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--folder", type=Path, default=Path("runs/motion"))
    results.add_record(parser)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "set.safetensors"
    if path.exists():
        ruleset = RuleSet.load(path)
    else:
        ruleset = train(recipe(args.iterations), path, args.folder)
    columns = {"rule": "", "asked": "", "measured": "", "change": ".4f", "carried": ".4f"}
    table = results.Table("rules", columns)
    for rule, (name, motion) in enumerate(RULES.items()):
        x, y, still, moved = measure(ruleset, rule, motion)
        speed, angle = math.hypot(x, y), math.degrees(math.atan2(-y, x))
        asked = f"{motion.speed:.3f} at {motion.angle:.0f}°" if motion else "0"
        found = f"{speed:.3f} at {angle:.0f}°" if motion else f"{speed:.3f}"
        table.add(name, asked, found, still, moved)
    results.record(args, "motion", table)


if __name__ == "__main__":
    main()
