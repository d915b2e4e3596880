"""The warm-up laid out with grown patches, beside one grown in place.

    python benchmarks/warmup.py [RULESET ...] [--seeds 3] [--record]

One line a rule, on a grid of 280 x 280 cells under one light: the style distance (the loss that
training minimises, mean of 16 draws) after the warm-up of 240 steps, *grown* in place and *laid
out* (`ncavideo/nca/patchwork.py`), means over `--seeds` seeds; the ratio of the two; and how many
times as long growing takes, in processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import results
import torch
from long_run import distance
from rule_set import exemplars_of, one_rule, seen

from ncavideo.nca import engines, patchwork
from ncavideo.nca.engines.base import Engine
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training.style import StyleLoss
from ncavideo.training.vgg import load_vgg

SIDE, STEPS = 280, 240
COLUMNS = {"rule": "", "grown": ".3f", "laid out": ".3f", "ratio": ".2f", "time": ".1f"}


def begun(ruleset: RuleSet, inputs: np.ndarray, seed: int, patches: bool) -> tuple[Engine, float]:
    """Return a grid after its warm-up, and the processor seconds that it took."""
    engine = engines.start("auto", ruleset, *inputs.shape[1:], edge="wrap", seed=seed)
    began = time.process_time()
    left = patchwork.begin(engine, inputs, STEPS, Engine.step) if patches else STEPS
    engine.step(inputs, left)
    return engine, time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rulesets", nargs="*", default=["elements", "earth"])
    parser.add_argument("--seeds", type=int, default=3)
    results.add_record(parser)
    asked = parser.parse_args()
    table = results.Table("warmup", COLUMNS)
    for name in asked.rulesets:
        ruleset = open_ruleset(name)
        style = StyleLoss(load_vgg(), exemplars_of(ruleset))
        light = np.full((SIDE, SIDE), 0.5, np.float32)
        for index, rule in enumerate(ruleset.rule_names):
            inputs = one_rule(ruleset, index, light)
            found: dict[bool, list[float]] = {False: [], True: []}
            ratios = []
            for seed in range(asked.seeds):
                seconds = {}
                for patches in (False, True):
                    engine, seconds[patches] = begun(ruleset, inputs, seed, patches)
                    picture = torch.from_numpy(seen(engine, ruleset))
                    rgb = picture.permute(2, 0, 1).contiguous()
                    found[patches].append(distance(style, rgb, index, None))
                ratios.append(seconds[False] / seconds[True])
            grown, laid_out = (statistics.mean(found[patches]) for patches in (False, True))
            table.add(rule, grown, laid_out, laid_out / grown, statistics.median(ratios))
    results.record(asked, "warmup", table)


if __name__ == "__main__":
    main()
