"""Light as an input of the network against shading of the result: both curves in one plot.

    python benchmarks/light_curves.py [--clip bikes|clip] [--frames 60] [--plot light_curves.png]

Across: *by light alone* (metrics.py), how much of the scene can be read from the brightness. Up:
the style distance of the finished frame, on the grid, to the exemplars of the rules at each place,
judged at the light that the frame really has there (so darkening a texture costs nothing by itself,
darkening it in a way that its stuff never is does). One curve varies `--light` without shading, one
`--shade` without light, one is shading on top of full light, as renders do. Lower and further right
is better.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np
import results
import torch
from clips import EXAMPLE, bikes, frames
from metrics import by_light_alone

from ncavideo.control.levels import clip_range
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.training.losses import BRIGHTNESS_BLUR
from ncavideo.training.style import StyleLoss, blur
from ncavideo.training.style import luminance as torch_luminance
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg
from ncavideo.util.pixels import as_float, luminance
from ncavideo.video.survey import survey

STYLES = Path(__file__).parent.parent / "examples" / "styles"
RULES = ("fire", "moss")
AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)
EVERY = 12  # frames between two that are measured


def style_distance(style: StyleLoss, frame: np.ndarray, weights: np.ndarray) -> float:
    """Return the distance of a finished frame to its rules' exemplars, at its own light."""
    height, width = weights.shape[1:]
    small = cv2.resize(as_float(frame), (width, height), interpolation=cv2.INTER_AREA)
    rgb = torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1)))[None]
    around = blur(torch_luminance(rgb), BRIGHTNESS_BLUR * style.light_blur, "reflect")
    light = style.light_of(around)
    torch.manual_seed(0)
    with torch.no_grad():
        draws = [style(rgb, torch.from_numpy(weights)[None], light, "reflect") for _ in range(4)]
    return float(torch.stack(draws).mean())


def measure(
    clip: Path, options: RenderOptions, style: StyleLoss, count: int
) -> tuple[float, float]:
    """Return *by light alone* and the style distance, means over some frames."""
    ruleset = open_ruleset("elements")
    first, _ = next(frames(clip))
    levels = clip_range([luminance(rgb) for rgb in survey(clip)])
    renderer = FrameRenderer(ruleset, (first.shape[1], first.shape[0]), levels, options)
    lights, distances = [], []
    for index, (rgb, time) in enumerate(itertools.islice(frames(clip), count)):
        conditions = renderer.condition(rgb, time)
        out = renderer.composite(renderer.step(conditions), conditions, rgb)
        if index % EVERY == EVERY - 1:
            lights.append(by_light_alone(rgb, out))
            own = np.zeros((len(ruleset.rules), *conditions.light.shape), np.float32)
            for rule, weight in zip(RULES, conditions.weights, strict=True):
                own[ruleset.rule_names.index(rule)] = weight
            distances.append(style_distance(style, out, own))
    return float(np.mean(lights)), float(np.mean(distances))


def main() -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", default="bikes", choices=["bikes", "clip"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--plot", type=Path, default=Path("light_curves.png"))
    results.add_record(parser)
    arguments = parser.parse_args()
    clip = bikes() if arguments.clip == "bikes" else EXAMPLE
    ruleset = open_ruleset("elements")
    style = StyleLoss(load_vgg(), [load_style(STYLES / r.style) for r in ruleset.rules])
    curves = {
        "light, no shading": [{"light": a, "shade": 0.0} for a in AMOUNTS],
        "shading, no light": [{"light": 0.0, "shade": a} for a in AMOUNTS],
        "shading on full light": [{"light": 1.0, "shade": a} for a in AMOUNTS],
    }
    found: dict[str, list[tuple[float, float]]] = {}
    columns = {"curve": "", "amount": "g", "by light alone": ".2f", "style distance": ".3f"}
    table = results.Table("curves", columns)
    for name, settings in curves.items():
        for amount, setting in zip(AMOUNTS, settings, strict=True):
            point = measure(clip, RenderOptions(RULES, **setting), style, arguments.frames)
            found.setdefault(name, []).append(point)
            table.add(name, amount, *point)
    results.record(arguments, "light_curves", table)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), dpi=110)
    for name, points in found.items():
        axes.plot(*zip(*points, strict=True), "o-", label=name)
    axes.set_xlabel("by light alone")
    axes.set_ylabel("style distance at the light it has")
    axes.legend()
    figure.tight_layout()
    figure.savefig(arguments.plot)


if __name__ == "__main__":
    main()
