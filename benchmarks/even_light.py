"""What the style loss asks for under even light: pictures that were made by it alone.

    python benchmarks/even_light.py [--picture docs/pictures/even-light.jpg] [--record]

For each of four rules of the fine sets a picture's pixels are trained, without any automaton,
towards the style of its exemplar under a light of 0.5 everywhere, for each `light_blur`: the pixels
over which an exemplar's luminance is blurred before it counts as light. *Distance*: of that
picture; *exemplar*: of a piece of the exemplar itself under its own mean light. The
pictures show what a rule could be, whatever its network. The exemplars are drawn by

    python examples/styles/make_styles.py --fine --out examples/styles/fine
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import results
import torch
import torch.nn.functional as F
from PIL import Image
from rule_set import exemplars_of
from torch import Tensor

from ncavideo.nca.ruleset import open_ruleset
from ncavideo.training.style import StyleLoss, luminance
from ncavideo.training.vgg import VGGFeatures, load_vgg
from ncavideo.util.pixels import to_bytes

RULES = {"elements-fine": ("fire", "moss"), "cosmos-fine": ("crystal", "circuits")}
BLURS = (5.0, 16.0)
SIDE, LEVELS = 160, 5  # pixels, and the coarser pictures that a picture is the sum of
RATE, CLIPPED = 0.02, 5.0
DRAWS = 8


def distance(style: StyleLoss, rgb: Tensor, light: Tensor) -> Tensor:
    """Return a picture's distance `[1]` under even light; `rgb` `[1, 3, SIDE, SIDE]`."""
    field = light.expand(1, SIDE, SIDE)
    return style(rgb, torch.ones(1, 1, SIDE, SIDE), field, "reflect")


def mean_distance(style: StyleLoss, rgb: Tensor, light: Tensor) -> float:
    """Return the mean over some draws."""
    with torch.no_grad():
        return float(torch.stack([distance(style, rgb, light) for _ in range(DRAWS)]).mean())


def optimum(style: StyleLoss, iterations: int) -> Tensor:
    """Return the picture `[1, 3, SIDE, SIDE]` that the loss leads to under a light of 0.5.

    The sum of pictures of several sizes: single pixels would fool VGG16 first.
    """
    torch.manual_seed(0)
    levels = [0.05 * torch.randn(1, 3, SIDE >> k, SIDE >> k) for k in range(LEVELS)]
    for level in levels:
        level.requires_grad_()
    optimiser = torch.optim.Adam(levels, RATE)

    def picture() -> Tensor:
        parts = [F.interpolate(level, size=(SIDE, SIDE), mode="bilinear") for level in levels]
        return 0.5 + torch.stack(parts).sum(0)

    for iteration in range(iterations):
        optimiser.param_groups[0]["lr"] = RATE * (1.1 - iteration / iterations)
        rgb = picture()
        beyond = (rgb - rgb.clamp(0, 1)).abs().mean()
        loss = distance(style, rgb, torch.tensor(0.5)).sum() + CLIPPED * beyond
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return picture().detach().clamp(0, 1)


def column(
    exemplar: Tensor, vgg: VGGFeatures, iterations: int
) -> tuple[list[Tensor], list[list[float]]]:
    """Return a piece of an exemplar and the pictures for each blur, and a row for each."""
    piece = exemplar[None, :, 100 : 100 + SIDE, 100 : 100 + SIDE]
    pictures, rows = [piece], []
    for light_blur in BLURS:
        style = StyleLoss(vgg, [exemplar], light_blur=light_blur)
        made = optimum(style, iterations)
        own = style.light_of(luminance(piece).mean())
        rows.append(
            [
                light_blur,
                mean_distance(style, made, torch.tensor(0.5)),
                mean_distance(style, piece, own),
            ]
        )
        pictures.append(made)
    return pictures, rows


def exemplars() -> Iterator[tuple[str, Tensor, list[Tensor]]]:
    """Yield each rule's name, its exemplar and those of its set's other rules, `[3, H, W]` each."""
    for name, rules in RULES.items():
        ruleset = open_ruleset(name)
        found = dict(zip(ruleset.rule_names, exemplars_of(ruleset), strict=True))
        for rule in rules:
            yield rule, found[rule], [rgb for other, rgb in found.items() if other != rule]


def save_sheet(columns: list[list[Tensor]], path: Path) -> None:
    """Save a column of pictures `[1, 3, SIDE, SIDE]` a rule, enlarged."""
    drawn = [torch.cat(column, 2)[0].permute(1, 2, 0).numpy() for column in columns]
    sheet = Image.fromarray(to_bytes(np.concatenate(drawn, 1)))
    sheet.resize((2 * sheet.width, 2 * sheet.height)).save(path, quality=85)


def main() -> None:
    """Print the table, and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--picture", type=Path, help="a column a rule: exemplar, then the blurs")
    parser.add_argument("--iterations", type=int, default=150)
    results.add_record(parser)
    arguments = parser.parse_args()
    vgg = load_vgg("auto")
    numbers = {"light_blur": "g", "distance": ".3f", "exemplar": ".3f"}
    table, columns = results.Table("rules", {"rule": "", **numbers}), []
    for rule, exemplar, _ in exemplars():
        pictures, rows = column(exemplar, vgg, arguments.iterations)
        for row in rows:
            table.add(rule, *row)
        columns.append(pictures)
    if arguments.picture:
        save_sheet(columns, arguments.picture)
    results.record(arguments, "even_light", table)


if __name__ == "__main__":
    main()
