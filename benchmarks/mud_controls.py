"""Controls of mud.py's measure: textures whose verdict is known.

    python benchmarks/mud_controls.py [--rules fire,moss] [--ruleset FILE]

Prints `clean` and `faithful` (mud.py) for each rule grown alone from another seed, which is the
upper bound for any render, and for textures that must fail: other rules, half and
half mixtures, the rule blurred by two cells, and grey of the asked brightness.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import results
from mud import LIGHT_BINS, STYLES, WITHIN, light_bin, own_distances, windows

from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.training.patches import Patches
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg

SIZE = (160, 512)  # cells, as mud.py's own distances are measured on
STEPS, SEED = 600, 1  # mud.py's steps, not its seed
BLUR = 2.0  # cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="fire,moss")
    parser.add_argument("--ruleset")
    results.add_record(parser)
    arguments = parser.parse_args()
    rules = tuple(arguments.rules.split(","))
    ruleset = find_ruleset(rules, arguments.ruleset)
    patches = Patches(load_vgg("auto"), [load_style(STYLES / r.style) for r in ruleset.rules])
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE[1]) / SIZE[1])
    light = np.broadcast_to(wave.astype(np.float32), SIZE).copy()
    bins = light_bin(windows(light, "mean"))
    dark, bright = ruleset.provenance.get("light_scale", (0.0, 1.0))
    grey = np.repeat((dark + (bright - dark) * light)[..., None], 3, 2)

    def grown(weights: dict[str, float]) -> np.ndarray:
        return grow(ruleset, weights, light, steps=STEPS, seed=SEED, edge="wrap")

    alone = {rule: grown({rule: 1.0}) for rule in ruleset.rule_names}
    by_light = [f"light {b + 1}/{LIGHT_BINS}" for b in range(LIGHT_BINS)]
    shares = dict.fromkeys(("clean", "faithful", *by_light), ".0%")
    table = results.Table("textures", {"judged as": "", "texture": "", **shares})
    for rule in rules:
        column = ruleset.rule_names.index(rule)
        limit = WITHIN * own_distances(patches, ruleset, rule)[bins]
        shown = {f"{rule} alone, another seed": alone[rule]}
        shown |= {f"{other} alone": alone[other] for other in alone if other != rule}
        shown |= {f"half {o}": grown({rule: 0.5, o: 0.5}) for o in rules if o != rule}
        shown[f"{rule} blurred"] = cv2.GaussianBlur(alone[rule], (0, 0), BLUR)
        shown["grey"] = grey
        for name, texture in shown.items():
            distance = patches.distances(texture)
            clean = distance[:, column] <= limit
            faithful = (distance.argmin(1) == column).mean()
            fifths = [clean[bins == b].mean() for b in range(LIGHT_BINS)]
            table.add(rule, name, clean.mean(), faithful, *fifths)
    results.record(arguments, "mud_controls", table)


if __name__ == "__main__":
    main()
