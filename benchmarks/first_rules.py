"""The fine rules beside the plain ones that the project began with.

    python benchmarks/first_rules.py [--record]

Each rule's style distance after 2,000 steps under an even light of 0.6, to its own picture.
*First*: of commit 66c537e, which is read from the repository's history, on 256x256 cells of a
pixel. *Fine*: of the fine sets, which draw 256x256 pixels. *Ratio*: fine over first; the goal is
0.55.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import results
from rule_set import distances, exemplars_of, one_rule, style_of

from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import VGGFeatures, load_vgg

FIRST = "66c537e"
SETS = ("elements", "earth", "cosmos")
SIDE, STEPS, LIGHT = 256, 2000, 0.6


def of_first(path: str, folder: Path) -> Path:
    """Return a copy of a file as `FIRST` had it."""
    show = ["git", "-C", str(results.ROOT), "show", f"{FIRST}:{path}"]
    copy = folder / Path(path).name
    copy.write_bytes(subprocess.run(show, check=True, capture_output=True).stdout)
    return copy


def away(ruleset: RuleSet, style: StyleLoss, rule: str) -> float:
    """Return how far a rule's texture is from its picture."""
    index, cells = ruleset.rule_names.index(rule), SIDE // ruleset.pixels
    light = np.full((cells, cells), LIGHT, np.float32)
    inputs = one_rule(ruleset, index, light)
    return distances(style, ruleset, index, inputs, light, (STEPS,), 0)[0][0]


def both(vgg: VGGFeatures, name: str, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Yield each rule of a set, its distance in the first commit, and that of the fine set."""
    first = RuleSet.load(of_first(f"presets/{name}.safetensors", folder))
    pictures = [
        load_style(of_first(f"examples/styles/{rule.name}.png", folder)) for rule in first.rules
    ]
    fine = open_ruleset(f"{name}-fine")
    styles = StyleLoss(vgg, pictures), style_of(fine, vgg, exemplars_of(fine))
    for rule in first.rule_names:
        yield rule, away(first, styles[0], rule), away(fine, styles[1], rule)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    results.add_record(parser)
    arguments = parser.parse_args()
    table = results.Table("rules", {"rule": "", "first": ".3f", "fine": ".3f", "ratio": ".2f"})
    vgg, rows = load_vgg("auto"), []
    with tempfile.TemporaryDirectory() as folder:
        for name in SETS:
            for rule, first, fine in both(vgg, name, Path(folder)):
                rows.append((first, fine, fine / first))
                table.add(rule, *rows[-1])
    table.add("median", *(statistics.median(column) for column in zip(*rows, strict=True)))
    results.record(arguments, "first_rules", table)


if __name__ == "__main__":
    main()
