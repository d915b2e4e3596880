"""What presets promise, for a rule set that has words in place of exemplars.

    python benchmarks/text_promises.py wonders [--long 20000] [--record]

`rule_set.py` compares textures with the pictures that they were trained with; here the guide's
classifier says how sure it is of a rule's class, on 12 crops of a grid of 96 cells on a torus. One
line a rule:

*300*, *2,000*, *20,000*: that probability after so many steps, under light 0.6. *healed*: steps
until a hole of 40 cells is filled again: the middle is as likely its class as a tenth less than
before; the goal is 200. *moves*: mean change of RGB over 8 steps at rest. *follows*: correlation of
the blurred luminance with a light that goes from dark to bright and back; the goal is 0.8. *faint*:
the smallest standard deviation of luminance in a patch of 24 cells over its median: near 0 where a
part of the texture is blank. *Nyquist*: the share of luminance energy above 0.4 cycles a pixel in
both axes, over the mean share of the pictures in `examples/styles`; the goal is 2.

Then for each ordered pair of rules *take-over*: steps until a grid whose rule is changed is
likelier the new class than the old; the goal is 48.

Last, after 2,000 steps, the probability by the size of a crop, in cells a side: 16 by 16 cells show
little of anything. lite1 and lite2, where they are installed, took no part in the training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import results
import torch
from long_run import light_field, nyquist_share
from text_guide import crops_of, judges
from torch import Tensor

from ncavideo.nca import engines
from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training.efficientnet import SIDES, load_efficientnet, logits
from ncavideo.training.imagenet_names import class_of
from ncavideo.training.sheet import rule_inputs
from ncavideo.training.style import blur, luminance
from ncavideo.training.style_picture import load_style
from ncavideo.training.text import resize

CELLS, CROPS, HOLE, FLAT = 96, 12, 20, 0.6
SETTLED, LONGEST, PATCH = 400, 400, 24
LOOKED_AT = 2000  # steps
STYLES = Path(__file__).parent.parent / "examples" / "styles"
FOLLOWS_BLUR = 3  # cells
SIZES = (16, 24, 32, 48, 64, 96)  # of crops, in cells a side


class Observer:
    """Grows a rule set's rules, and says how likely a picture is each rule's class."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.ruleset, self.network = ruleset, load_efficientnet("lite0")
        self.classes = [class_of(rule.prompt) for rule in ruleset.rules]

    def inputs(self, rule: int, light: np.ndarray | None = None) -> np.ndarray:
        """Return the input channels for a rule everywhere, by default under `FLAT` light."""
        if light is None:
            light = np.full((CELLS, CELLS), FLAT, np.float32)
        return rule_inputs(self.ruleset, rule, light)

    def grown(self, inputs: np.ndarray, steps: int) -> Engine:
        """Return a grid on a torus that has lived for `steps` steps."""
        engine = engines.start("auto", self.ruleset, CELLS, CELLS, seed=2000, edge="wrap")
        engine.step(inputs, steps)
        return engine

    def rgb(self, engine: Engine) -> Tensor:
        """Return the picture `[3, H, W]`."""
        return torch.from_numpy(engine.picture(self.ruleset.pixels)).permute(2, 0, 1).contiguous()

    @torch.no_grad()
    def chances(self, picture: np.ndarray, crops: int = CROPS) -> np.ndarray:
        """Return the mean probability of each rule's class over crops of a picture `[H, W, 3]`."""
        parts = crops_of(picture, crops, np.random.default_rng(5))
        scores = torch.cat([logits(self.network, resize(part, SIDES["lite0"])) for part in parts])
        found: np.ndarray = scores.softmax(-1)[:, self.classes].mean(0).numpy()
        return found


@torch.no_grad()
def by_size(seen: Observer, pictures: list[np.ndarray]) -> results.Table:
    """Return each rule's probability by each classifier and by the size of its picture's crops."""
    table = results.Table("sizes", {"rule": "", "by": "", **{str(side): ".2f" for side in SIZES}})
    judged = judges()
    for index, (rule, picture) in enumerate(zip(seen.ruleset.rules, pictures, strict=True)):
        for name, judge in judged.items():
            row = []
            for side in SIZES:
                parts = crops_of(picture, CROPS, np.random.default_rng(5), (side / CELLS,), 0)
                each = torch.cat([judge(part) for part in parts])
                row.append(float(each[:, seen.classes[index]].mean()))
            table.add(rule.name, name, *row)
    return table


def healing(seen: Observer, rule: int) -> int | None:
    """Return the steps until a hole is filled; None if it takes more than `LONGEST`."""
    inputs, k = seen.inputs(rule), seen.ruleset.pixels
    engine = seen.grown(inputs, SETTLED)
    middle = slice((CELLS // 2 - HOLE) * k, (CELLS // 2 + HOLE) * k)

    def own() -> float:
        return float(seen.chances(engine.picture(k)[middle, middle], 6)[rule])

    before = own()
    state = engine.snapshot()
    y, x = np.ogrid[:CELLS, :CELLS]
    state.state[:, (y - CELLS // 2) ** 2 + (x - CELLS // 2) ** 2 < HOLE**2] = 0
    engine.restore(Snapshot(state.state, state.step))
    for steps in range(16, LONGEST + 1, 16):
        engine.step(inputs, 16)
        if own() >= 0.9 * before:
            return steps
    return None


def take_over(seen: Observer, old: int, new: int) -> int | None:
    """Return the steps until a grid looks like `new` rather than `old`; None if above 200."""
    engine, inputs = seen.grown(seen.inputs(old), SETTLED), seen.inputs(new)
    for steps in range(8, 201, 8):
        engine.step(inputs, 8)
        found = seen.chances(engine.picture(seen.ruleset.pixels), 6)
        if found[new] > found[old]:
            return steps
    return None


def follows(seen: Observer, rule: int) -> float:
    """Return the correlation of a rule's blurred luminance with the light that it grew under."""
    light = light_field(CELLS).astype(np.float32)
    luma = luminance(seen.rgb(seen.grown(seen.inputs(rule, light), SETTLED)).clamp(0, 1)[None])
    soft = blur(luma, FOLLOWS_BLUR * seen.ruleset.pixels, "wrap")[0].numpy()
    wanted = light.repeat(seen.ruleset.pixels, 0).repeat(seen.ruleset.pixels, 1)
    return float(np.corrcoef(soft.ravel(), wanted.ravel())[0, 1])


def faintest(rgb: Tensor, side: int) -> float:
    """Return the smallest deviation of luminance in a patch over the median of all patches."""
    patches = luminance(rgb[None])[0].unfold(0, side, side // 2).unfold(1, side, side // 2)
    deviations = patches.std((2, 3))
    return float(deviations.min() / deviations.median())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ruleset")
    parser.add_argument("--long", type=int, default=20_000)
    results.add_record(parser)
    args = parser.parse_args()
    seen = Observer(open_ruleset(args.ruleset))
    rules, ages = seen.ruleset.rules, (300, LOOKED_AT, args.long)
    usual = np.mean([nyquist_share(load_style(path)) for path in sorted(STYLES.glob("*.png"))])
    columns = {"rule": "", **{f"{age:,} steps": ".3f" for age in ages}, "healed": ""}
    columns |= {"moves": ".3f", "follows": ".2f", "faint": ".2f", "Nyquist": ".1f"}
    table = results.Table("rules", columns)
    settled = []
    for index, rule in enumerate(rules):
        inputs = seen.inputs(index)
        engine, chances = seen.grown(inputs, 0), []
        for age in ages:
            engine.step(inputs, age - engine.steps_taken)
            picture = engine.picture(seen.ruleset.pixels)
            chances.append(float(seen.chances(picture)[index]))
            if age == LOOKED_AT:
                settled.append(picture)
        before = seen.rgb(engine)
        engine.step(inputs, 8)
        moves = float((seen.rgb(engine) - before).abs().mean())
        healed = healing(seen, index) or f"over {LONGEST}"
        faint = faintest(before, PATCH * seen.ruleset.pixels)
        checker = nyquist_share(before) / usual
        light = follows(seen, index) if seen.ruleset.has_light else ""
        table.add(rule.name, *chances, healed, moves, light, faint, checker)
    print("\ntake-over, steps (row: old, column: new)")
    take_overs = results.Table("take_overs", {"": "", **{rule.name: "" for rule in rules}})
    for old, rule in enumerate(rules):
        row = [
            "" if old == new else take_over(seen, old, new) or "over 200"
            for new in range(len(rules))
        ]
        take_overs.add(rule.name, *row)
    print("\nprobability by the size of a crop, cells a side")
    sizes = by_size(seen, settled)
    results.record(args, f"text_promises-{seen.ruleset.name}", table, take_overs, sizes)


if __name__ == "__main__":
    main()
