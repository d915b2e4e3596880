"""Style distance of a render's regions to their own rule: texture or mud.

    python benchmarks/mud.py [--every 25] [--clips A.mp4] [--rules fire,moss]

A patch is 24x24 cells; it is *interior* when one rule's expression is above 0.9 in all of it. Its
distance to a rule is the distance of its style features to the nearest patch of that rule's
exemplar (ncavideo/training/patches.py).

A rule's *own* distance is the median of that distance over patches of the rule grown alone, for
each fifth of the light scale: 600 steps under a light that falls from 1 to 0 across 256 cells.
`clean` is the share of interior patches within 1.25 times the own distance at their own light;
`faithful` the share whose nearest exemplar is that of their rule. Both are measured on the texture
as the grid shows it, and on the finished frame brought back to the grid's size.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import results
import torch
import torch.nn.functional as F
from clips import frames, real_clips

from ncavideo.control.levels import clip_range
from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import RuleSet, find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.training.patches import PATCH, STRIDE, Patches
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg
from ncavideo.util.pixels import luminance
from ncavideo.video.survey import survey

LIGHT_BINS = 5
EXPRESSED, WITHIN = 0.9, 1.25
STYLES = Path(__file__).parent.parent / "examples" / "styles"


def windows(field: np.ndarray, reduce: str) -> np.ndarray:
    """Return the least value or the mean of `[h, w]` over each patch."""
    grid = torch.from_numpy(np.ascontiguousarray(field, np.float32))[None, None]
    pooled = -F.max_pool2d(-grid, PATCH, STRIDE) if reduce == "min" else None
    return (F.avg_pool2d(grid, PATCH, STRIDE) if pooled is None else pooled).flatten().numpy()


def light_bin(light: np.ndarray) -> np.ndarray:
    """Return which fifth of the light scale each value is in."""
    return np.clip((light * LIGHT_BINS).astype(int), 0, LIGHT_BINS - 1)


def own_distances(patches: Patches, ruleset: RuleSet, rule: str) -> np.ndarray:
    """Return a rule's own distance for each fifth of the light scale."""
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    light = np.broadcast_to(wave.astype(np.float32), (160, 512)).copy()
    texture = grow(ruleset, {rule: 1.0}, light, steps=600, edge="wrap")
    distance = patches.distances(texture)[:, ruleset.rule_names.index(rule)]
    bins = light_bin(windows(light, "mean"))
    return np.array([np.median(distance[bins == b]) for b in range(LIGHT_BINS)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", nargs="*", type=Path)
    parser.add_argument("--every", type=int, default=25, help="measure every Nth frame")
    parser.add_argument("--limit", type=int, help="only the first N frames")
    parser.add_argument("--rules", default="fire,moss")
    parser.add_argument("--ruleset")
    parser.add_argument("--shade", type=float, default=None)
    results.add_record(parser)
    arguments = parser.parse_args()
    rules = tuple(arguments.rules.split(","))
    ruleset = find_ruleset(rules, arguments.ruleset)
    exemplars = [load_style(STYLES / rule.style) for rule in ruleset.rules]
    patches = Patches(load_vgg("auto"), exemplars)
    own = {rule: own_distances(patches, ruleset, rule) for rule in rules}
    for rule, values in own.items():
        print(f"own distance of {rule}, dark to bright: {np.round(values, 3)}")
    shares_of = [
        f"{where}: {what}" for where in ("grid", "frame") for what in ("clean", "faithful")
    ]
    columns = {"clip": "", "rule": "", "patches": "", **dict.fromkeys(shares_of, ".0%")}
    table = results.Table("rules", columns)
    for clip in arguments.clips or real_clips():
        options = RenderOptions(rules, ruleset=arguments.ruleset)
        if arguments.shade is not None:
            options = RenderOptions(rules, ruleset=arguments.ruleset, shade=arguments.shade)
        first, _ = next(frames(clip))
        levels = clip_range([luminance(rgb) for rgb in survey(clip)])
        renderer = FrameRenderer(ruleset, (first.shape[1], first.shape[0]), levels, options)
        found: dict[str, list[tuple[float, bool, float, bool]]] = defaultdict(list)
        covered = []
        for index, (rgb, seconds) in enumerate(frames(clip)):
            if arguments.limit is not None and index >= arguments.limit:
                break
            conditions = renderer.condition(rgb, seconds)
            texture = renderer.step(conditions)
            covered.append(float((conditions.weights.max(0) > EXPRESSED).mean()))
            if index % arguments.every != arguments.every - 1:
                continue
            frame = renderer.composite(texture, conditions, rgb).astype(np.float32) / 255
            shown = cv2.resize(frame, renderer.cells, interpolation=cv2.INTER_AREA)
            bins = light_bin(windows(conditions.light, "mean"))
            measured = [patches.distances(picture) for picture in (texture, shown)]
            for order, rule in enumerate(rules):
                column = ruleset.rule_names.index(rule)
                interior = windows(conditions.weights[order], "min") > EXPRESSED
                limit = WITHIN * own[rule][bins]
                for patch in np.flatnonzero(interior):
                    row: list[float | bool] = []
                    for distance in measured:
                        row.append(bool(distance[patch, column] <= limit[patch]))
                        row.append(bool(distance[patch].argmin() == column))
                    found[rule].append(tuple(row))  # type: ignore[arg-type]
        for rule in (*rules, "all"):
            rows = [r for name in rules for r in found[name] if rule in ("all", name)]
            shares = np.mean(rows, 0) if rows else np.full(4, np.nan)
            table.add(clip.stem, rule, len(rows), *shares)
        print(f"{clip.stem}: {np.mean(covered):.0%} of cells have an expression above 0.9")
    results.record(arguments, "mud", table)


if __name__ == "__main__":
    main()
