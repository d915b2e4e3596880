"""Which picture a rule's texture looks like most: a blind comparison by two networks.

    python benchmarks/nearest.py elements earth cosmos [--record] [--name NAME]

Crops of each rule, after 2,000 steps under its own picture's light, are put among crops of the
pictures of all rules of all sets named. *VGG16* and *EfficientNet*: the share of a rule's crops
whose nearest picture crop is of its own rule; the goal is 95 %. *taken for*: the rule that most of
the others are nearest to. VGG16 trained the rules; EfficientNet-lite0 (ImageNet) never saw them.

A crop is 96 pixels a side. Its features are VGG16's means and deviations of five maps, or
EfficientNet's last features, each divided by its deviation over all crops of pictures.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

import numpy as np
import results
import torch
from rule_set import exemplars_of, grown, one_rule, seen, style_of
from torch import Tensor

from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training.efficientnet import MEAN, SCALE, SIDES, load_efficientnet
from ncavideo.training.style import StyleLoss, blur, luminance
from ncavideo.training.text import resize
from ncavideo.training.vgg import VGGFeatures, load_vgg

STEPS, CROP = 2000, 96
KNOWN, DRAWN = 64, 32  # crops of a picture, and of a rule
BATCH = 16

Features = Callable[[Tensor], Tensor]


def crops(picture: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return random crops `[count, 3, CROP, CROP]` of a picture `[3, H, W]`."""
    found = []
    for _ in range(count):
        top, left = (
            int(torch.randint(side - CROP + 1, (), generator=generator))
            for side in picture.shape[1:]
        )
        found.append(picture[:, top : top + CROP, left : left + CROP])
    return torch.stack(found)


def by_vgg(vgg: VGGFeatures) -> Features:
    """Return what maps pictures `[N, 3, S, S]` to features `[N, F]`, each map weighing the same."""

    def features(rgb: Tensor) -> Tensor:
        maps = vgg(rgb, "reflect")
        parts = [torch.cat([m.mean((2, 3)), m.std((2, 3))], 1) / m.shape[1] ** 0.5 for m in maps]
        return torch.cat(parts, 1)

    return features


def by_efficientnet() -> Features:
    """Return what maps pictures to EfficientNet's last features, as wide as it likes them."""
    network = load_efficientnet("lite0")

    def features(rgb: Tensor) -> Tensor:
        pictures = (resize(rgb, SIDES["lite0"]) - MEAN) / SCALE
        found: Tensor = network.forward_head(network.forward_features(pictures), pre_logits=True)
        return found

    return features


def all_features(features: Features, pictures: Tensor) -> Tensor:
    """Return the features of many pictures."""
    with torch.no_grad():
        return torch.cat([features(part) for part in pictures.split(BATCH)])


def texture(ruleset: RuleSet, rule: int, style: StyleLoss, exemplar: Tensor) -> Tensor:
    """Return a rule's texture `[3, H, W]` under the light of its picture."""
    light = style.light_of(blur(luminance(exemplar[None]), style.light_blur))
    cells = tuple(side // ruleset.pixels for side in exemplar.shape[1:])
    cells = (min(cells[0], 256), min(cells[1], 256))
    part = light[:, : cells[0] * ruleset.pixels, : cells[1] * ruleset.pixels]
    asked = torch.nn.functional.adaptive_avg_pool2d(part, cells)[0].clamp(0, 1).numpy()
    engine = grown(ruleset, one_rule(ruleset, rule, asked), STEPS)
    return torch.from_numpy(seen(engine, ruleset).transpose(2, 0, 1).copy())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rulesets", nargs="+")
    parser.add_argument("--name", default="nearest", help="of the recorded result")
    results.add_record(parser)
    arguments = parser.parse_args()
    vgg, generator = load_vgg("auto"), torch.Generator().manual_seed(0)
    names: list[str] = []
    known, drawn = [], []
    for ruleset in map(open_ruleset, arguments.rulesets):
        exemplars = exemplars_of(ruleset)
        style = style_of(ruleset, vgg, exemplars)
        for index, (rule, exemplar) in enumerate(zip(ruleset.rules, exemplars, strict=True)):
            names.append(rule.name)
            known.append(crops(exemplar, KNOWN, generator))
            picture = texture(ruleset, index, style, exemplar)
            drawn.append(crops(picture, DRAWN, generator))
    rows: list[list[results.Cell]] = [[name] for name in names]
    for features in (by_vgg(vgg), by_efficientnet()):
        ours = all_features(features, torch.cat(known))
        scale = ours.std(0) + 1e-3 * ours.std(0).max()
        theirs = all_features(features, torch.cat(drawn))
        owner = torch.cdist(theirs / scale, ours / scale).argmin(1) // KNOWN
        for index, found in enumerate(owner.view(-1, DRAWN).tolist()):
            others = Counter(names[each] for each in found if each != index)
            rows[index] += [
                found.count(index) / DRAWN,
                max(others, key=others.__getitem__, default=""),
            ]
    table = results.Table(
        "rules",
        {"rule": "", "VGG16": ".0%", "taken for": "", "EfficientNet": ".0%", "taken for ": ""},
    )
    for row in rows:
        table.add(*row)
    shares = np.array([[row[1], row[3]] for row in rows], float).mean(0)
    table.add("mean", shares[0], "", shares[1], "")
    results.record(arguments, arguments.name, table)


if __name__ == "__main__":
    main()
