"""What `--shade` and `--detail` bring back of the scene, and what they cost of the style.

    python benchmarks/detail.py [--ruleset FILE] [--rules BRIGHT,DARK] [--record]

Frames of `bikes.mp4` and of the example clip, by default with fire and moss. Settings with the same
detail composite one and the same grid: detail is in the light that the rules get, too. *Small*:
legible, and by light alone, at the scale of eyes and letters (metrics.py); *style*: the distance to
the rules' exemplars as in light_curves.py, over that without detail at half shading, which is
printed: with `--ruleset` an older set stands beside the present one. Means over the frames.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import results
from clips import EXAMPLE, bikes, frames
from light_curves import RULES, STYLES, style_distance
from metrics import COARSE, FINE, SMALL, by_light_alone, legible

from ncavideo.composite.shading import detail_of
from ncavideo.control.levels import clip_range
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg
from ncavideo.util.pixels import luminance
from ncavideo.video.survey import survey

# Frames from which and up to which every tenth is measured.
SPANS = {"bikes": (110, 140), "clip": (0, 40)}
EVERY = 10
HALF, DEFAULT = 0.5, RenderOptions(RULES).shade
SETTINGS = (
    (HALF, 0.0),
    (HALF, detail_of(HALF)),
    (DEFAULT, detail_of(DEFAULT)),
    (HALF, 1.0),
    (DEFAULT, 1.0),
)
SHOWN = ("small", "small by light alone", "legible", "by light alone")


def measure(
    clip: Path, span: tuple[int, int], ruleset: RuleSet, rules: tuple[str, ...], style: StyleLoss
) -> np.ndarray:
    """Return the four measures of `SHOWN` and the style distance for each setting."""
    first, _ = next(frames(clip))
    levels = clip_range([luminance(rgb) for rgb in survey(clip)])
    size = first.shape[1], first.shape[0]
    renderers = {
        detail: FrameRenderer(ruleset, size, levels, RenderOptions(rules, detail=detail))
        for _, detail in SETTINGS
    }
    found = []
    for index, (rgb, time) in enumerate(itertools.islice(frames(clip), span[1])):
        grids = {}
        for detail, renderer in renderers.items():
            conditions = renderer.condition(rgb, time)
            grids[detail] = renderer.step(conditions), conditions
        if index < span[0] or index % EVERY != EVERY - 1:
            continue
        own = np.zeros((len(ruleset.rules), *conditions.light.shape), np.float32)
        for rule, weight in zip(rules, conditions.weights, strict=True):
            own[ruleset.rule_names.index(rule)] = weight
        rows = []
        for shade, detail in SETTINGS:
            texture, conditions = grids[detail]
            asked = dataclasses.replace(conditions, shade=shade)
            out = renderers[detail].composite(texture, asked, rgb)
            seen = [
                share(rgb, out, scales)
                for scales in (SMALL, (FINE, COARSE))
                for share in (legible, by_light_alone)
            ]
            rows.append([*seen, style_distance(style, out, own)])
        found.append(rows)
    return np.mean(found, 0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ruleset", default="elements", help="a preset or a file with the rules")
    parser.add_argument(
        "--rules", default=",".join(RULES), help="two of them, the bright one first"
    )
    results.add_record(parser)
    arguments = parser.parse_args()
    ruleset, rules = open_ruleset(arguments.ruleset), tuple(arguments.rules.split(","))
    style = StyleLoss(load_vgg(), [load_style(STYLES / rule.style) for rule in ruleset.rules])
    columns = {"clip": "", "shade": "g", "detail": "g", **dict.fromkeys(SHOWN, ".2f")}
    table = results.Table("settings", {**columns, "style": ".2f"})
    for clip in (bikes(), EXAMPLE):
        measured = measure(clip, SPANS[clip.stem], ruleset, rules, style)
        print(f"{clip.stem}: a style of 1.00 is a distance of {measured[0, -1]:.3f}")
        for setting, row in zip(SETTINGS, measured, strict=True):
            table.add(clip.stem, *setting, *row[:-1], row[-1] / measured[0, -1])
    results.record(arguments, "detail", table)


if __name__ == "__main__":
    main()
