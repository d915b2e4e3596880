"""What the likeness loss asks for beside the style loss: pictures that were made by losses alone.

    python benchmarks/likeness.py [--picture docs/pictures/likeness.jpg] [--record]

For four rules of the fine sets the numbers of 40x40 cells and a decoder are trained, without
any automaton, towards the style of the exemplar under a light of 0.5 everywhere, once by the
style loss and once by it and `loss.likeness`. *style* and *likeness*: the distances of both
pictures; *held out*: the same measure as likeness with the features of EfficientNet-lite0, which
took no part in it. *exemplar*: of pieces of the exemplar itself, each under its own mean light.
The exemplars are drawn by

    python examples/styles/make_styles.py --fine --out examples/styles/fine
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import results
import torch
import torch.nn.functional as F
from even_light import CLIPPED, DRAWS, SIDE, distance, exemplars, mean_distance, save_sheet
from torch import Tensor

from ncavideo.nca.decoder import Decoder
from ncavideo.training.likeness import Likeness
from ncavideo.training.style import Exemplar, StyleLoss, luminance
from ncavideo.training.vgg import VGGFeatures, load_vgg

WEIGHTS = (0.0, 0.5)  # of the likeness, beside a style loss of 1
PIXELS, CHANNELS, HIDDEN, LEVELS = 4, 16, 32, 3  # of a cell and of the decoder; see `even_light`
RATES = (0.03, 5e-3)  # of the cells' numbers and of the decoder's
LIGHT = 0.5


def optimum(style: StyleLoss, likeness: Likeness, weight: float, iterations: int) -> Tensor:
    """Return the picture `[1, 3, SIDE, SIDE]` that both losses of the first rule lead to."""
    torch.manual_seed(0)
    cells = SIDE // PIXELS
    levels = [0.1 * torch.randn(1, CHANNELS, cells >> k, cells >> k) for k in range(LEVELS)]
    for level in levels:
        level.requires_grad_()
    decoder = Decoder(CHANNELS, HIDDEN)
    groups = [list(levels), list(decoder.parameters())]
    optimiser = torch.optim.Adam(
        [{"params": group, "lr": rate} for group, rate in zip(groups, RATES, strict=True)]
    )

    def picture() -> Tensor:
        parts = [F.interpolate(level, size=(cells, cells), mode="bilinear") for level in levels]
        drawn: Tensor = decoder(torch.stack(parts).sum(0), PIXELS, "reflect")
        return drawn

    for iteration in range(iterations):
        for group, rate in zip(optimiser.param_groups, RATES, strict=True):
            group["lr"] = rate * (1.1 - iteration / iterations)
        rgb = picture()
        beyond = (rgb - rgb.clamp(0, 1)).abs().mean()
        loss = distance(style, rgb, torch.tensor(LIGHT)).sum() + CLIPPED * beyond
        if weight:
            loss = loss + weight * likeness(rgb, torch.tensor([0]), "reflect").sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return picture().detach().clamp(0, 1)


def mean_likeness(likeness: Likeness, rgb: Tensor) -> float:
    """Return the mean over some draws."""
    with torch.no_grad():
        rule = torch.tensor([0])
        found = [likeness(rgb, rule, "reflect") for _ in range(DRAWS)]
        return float(torch.stack(found).mean())


def pieces(exemplar: Tensor) -> list[Tensor]:
    """Return some parts `[1, 3, SIDE, SIDE]` of an exemplar."""
    generator = torch.Generator().manual_seed(9)
    found = []
    for _ in range(DRAWS):
        top, left = (
            int(torch.randint(side - SIDE + 1, (), generator=generator))
            for side in exemplar.shape[1:]
        )
        found.append(exemplar[None, :, top : top + SIDE, left : left + SIDE])
    return found


def column(
    pictures: list[Tensor], vgg: VGGFeatures, iterations: int
) -> tuple[list[Tensor], list[list[float | str]]]:
    """Return a piece of the first of some exemplars and what each weight makes, and a row for each.

    The other exemplars decide with it in which units features count.
    """
    rules = [[Exemplar(rgb)] for rgb in pictures]
    style = StyleLoss(vgg, [pictures[0]], light_blur=16.0)
    likeness, held_out = Likeness(rules), Likeness(rules, size="lite0")
    own = pieces(pictures[0])
    lights = [style.light_of(luminance(piece).mean()) for piece in own]
    at_home = [mean_distance(style, *each) for each in zip(own, lights, strict=True)]
    judges = likeness, held_out
    rows: list[list[float | str]] = [
        ["exemplar", float(np.mean(at_home))]
        + [float(np.mean([mean_likeness(judge, piece) for piece in own])) for judge in judges]
    ]
    shown = [own[0]]
    for weight in WEIGHTS:
        made = optimum(style, likeness, weight, iterations)
        away = mean_distance(style, made, torch.tensor(LIGHT))
        name = f"likeness {weight:g}" if weight else "style alone"
        rows.append([name, away, *(mean_likeness(judge, made) for judge in judges)])
        shown.append(made)
    return shown, rows


def main() -> None:
    """Print the table, and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--picture", type=Path, help="a column a rule: exemplar, then the weights")
    parser.add_argument("--iterations", type=int, default=300)
    results.add_record(parser)
    arguments = parser.parse_args()
    vgg = load_vgg("auto")
    numbers = {"style": ".3f", "likeness": ".2f", "held out": ".2f"}
    table, columns = results.Table("rules", {"rule": "", "made by": "", **numbers}), []
    for rule, exemplar, others in exemplars():
        pictures, rows = column([exemplar, *others], vgg, arguments.iterations)
        for row in rows:
            table.add(rule, *row)
        columns.append(pictures)
    if arguments.picture:
        save_sheet(columns, arguments.picture)
    results.record(arguments, "likeness", table)


if __name__ == "__main__":
    main()
