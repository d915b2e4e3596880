"""Stability of a rule: style distance and range after 200, 2,000 and 20,000 steps.

    python benchmarks/long_run.py [--ruleset elements] [--size 256] [--steps 200 2000 20000]

The light falls from bright on the left to dark on the right and back, so that every light is in
the picture. The distance is the conditional sliced Wasserstein distance that training minimises
(every position asks for its rule and light), the mean of 16 draws of its projections; beside it
stand the distance of a second exemplar-sized sample drawn from the exemplar itself (the floor) and
of the seed state (the ceiling). `Nyquist` is the share of luminance energy above 0.4 cycles a cell
in both axes, over the exemplar's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import results
import torch
from torch import Tensor

from ncavideo.nca import engines
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.training.style import StyleLoss, blur, luminance
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg

STYLES = Path(__file__).parent.parent / "examples" / "styles"
DRAWS = 16


def light_field(size: int) -> np.ndarray:
    """Return a light map `[size, size]` that goes 0 to 1 and back across the width, seamlessly."""
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.broadcast_to(wave.astype(np.float32), (size, size)).copy()


def distance(style: StyleLoss, rgb: Tensor, rule: int, light: Tensor | None) -> float:
    """Return the mean style distance of `rgb` `[3, H, W]` to a rule.

    `light` is the light map `[H, W]` that was asked for, None to accept any light.
    """
    weights = torch.zeros(1, style.rules, *rgb.shape[1:])
    weights[:, rule] = 1
    asked = None if light is None else light[None]
    torch.manual_seed(0)
    with torch.no_grad():
        return float(
            np.mean([style(rgb[None], weights, asked, "wrap").item() for _ in range(DRAWS)])
        )


def nyquist_share(rgb: Tensor) -> float:
    """Return the share of luminance energy above 0.4 cycles a pixel in both axes."""
    luma = luminance(rgb[None])[0]
    power = torch.fft.fft2(luma - luma.mean()).abs() ** 2
    vertical, horizontal = (torch.fft.fftfreq(n).abs() > 0.4 for n in luma.shape)
    return float(power[vertical][:, horizontal].sum() / power.sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ruleset", default="elements")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 2000, 20000])
    results.add_record(parser)
    arguments = parser.parse_args()
    ruleset = open_ruleset(arguments.ruleset)
    exemplars = [load_style(STYLES / rule.style) for rule in ruleset.rules]
    style = StyleLoss(load_vgg("auto"), exemplars)
    light = light_field(arguments.size)
    asked = torch.from_numpy(light)
    distances = {f"{n:,} steps": ".3f" for n in sorted(arguments.steps)}
    others = {"exemplar": ".3f", "seed": ".2f", "range": ".2f", "Nyquist": ".1f"}
    table = results.Table("rules", {"rule": "", **distances, **others})
    for index, rule in enumerate(ruleset.rules):
        inputs = np.zeros((len(ruleset.inputs), *light.shape), np.float32)
        inputs[index] = 1
        if ruleset.has_light:
            inputs[ruleset.inputs.index("light")] = 2 * light - 1
        engine = engines.start("auto", ruleset, *light.shape, edge="wrap")
        cells = []
        for count in sorted(arguments.steps):
            engine.step(inputs, count - engine.steps_taken)
            rgb = torch.from_numpy(engine.rgb()).permute(2, 0, 1).contiguous()
            cells.append(distance(style, rgb, index, asked))
        exemplar = exemplars[index]
        own = style.light_of(blur(luminance(exemplar[None]), 5.0))[0]
        floor = distance(style, exemplar, index, own)
        seed = distance(style, torch.full_like(rgb, 0.5), index, asked)
        largest = float(np.abs(engine.snapshot().state).max())
        checker = nyquist_share(rgb) / nyquist_share(exemplar)
        table.add(rule.name, *cells, floor, seed, largest, checker)
    results.record(arguments, f"long_run-{ruleset.name}", table)


if __name__ == "__main__":
    main()
