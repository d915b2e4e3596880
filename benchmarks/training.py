"""Iterations a second of training, beside the plain loop and an earlier commit's trainer.

    python benchmarks/training.py [--iterations 12] [--size 96] [--batch 2] [--steps 40] [--turns 3]

The plain loop is that of the PyTorch notebook of "Self-Organising Textures" (Niklasson et al.,
Distill 2021), written down again: depthwise convolutions for perception, 1x1 convolutions for the
update, a mask from `torch.rand`, every step kept by autograd, VGG16 features of the whole sample
in float32, sliced Wasserstein distance on all positions, an overflow loss, gradients divided by
their norm. It is given the same sizes and the same number of steps, and does less: it knows no
conditions, lights, detail bands, brightness or checkerboards. The iterations of the two alternate;
after each turn the trainer of commit 66c537e takes as many, in a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import older_trainer
import results
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncavideo.nca.model import filter_bank
from ncavideo.training.precision import fast_bfloat16
from ncavideo.training.recipe import Recipe
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import VGGFeatures, load_vgg

RECIPE = Path(__file__).parent.parent / "presets" / "elements-first.toml"
POOL, PROJECTIONS, RESEED_EVERY = 256, 32, 8


class PlainCA(nn.Module):
    """The notebook's cellular automaton, with input channels beside the state."""

    def __init__(self, channels: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("filters", filter_bank()[:, None].repeat(channels, 1, 1, 1))
        self.w1 = nn.Conv2d(4 * channels + inputs, hidden, 1)
        self.w2 = nn.Conv2d(hidden, channels, 1, bias=False)
        nn.init.zeros_(self.w2.weight)

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Take one step: `[B, C, H, W]` and `[B, I, H, W]` to the next state."""
        padded = F.pad(x, (1, 1, 1, 1), "circular")
        seen = F.conv2d(padded, self.filters, groups=self.channels)
        change = self.w2(F.relu(self.w1(torch.cat([seen, inputs], 1))))
        mask = (torch.rand(len(x), 1, *x.shape[2:], device=x.device) + 0.5).floor()
        return x + change * mask


def sliced(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the sliced Wasserstein distance of two sets of features `[B, F, N]`."""
    directions = F.normalize(torch.randn(ours.shape[1], PROJECTIONS, device=ours.device), dim=0)
    a = torch.einsum("bcn,cp->bpn", ours, directions).sort().values
    b = torch.einsum("bcn,cp->bpn", theirs, directions).sort().values
    b = F.interpolate(b, a.shape[-1], mode="nearest")
    return (a - b).square().sum()


def plain(recipe: Recipe, vgg: VGGFeatures, picture: Tensor, device: torch.device) -> Callable:
    """Return a function that takes one iteration of the plain loop."""
    model, training = recipe.model, recipe.training
    inputs = len(recipe.rules) + model.light
    nca = PlainCA(model.channels, inputs, model.hidden).to(device)
    optimiser = torch.optim.Adam(nca.parameters(), 1e-3)
    pool = torch.zeros(POOL, model.channels, training.size, training.size, device=device)
    with torch.no_grad():
        target = [m.flatten(2) for m in vgg(picture[None].to(device))]
    given = torch.zeros(training.batch, inputs, training.size, training.size, device=device)
    given[:, 0] = 1
    count = 0

    def iteration() -> None:
        nonlocal count
        chosen = torch.randperm(POOL)[: training.batch]
        x = pool[chosen]
        if count % RESEED_EVERY == 0:
            x[:1] = 0
        for _ in range(training.steps[1]):
            x = nca(x, given)
        maps = [m.flatten(2) for m in vgg(x[:, :3] + 0.5)]
        style = sum(sliced(m, t.expand(len(m), -1, -1)) for m, t in zip(maps, target, strict=True))
        loss = style + (x - x.clamp(-1, 1)).abs().sum()
        loss.backward()
        with torch.no_grad():
            for p in nca.parameters():
                p.grad /= p.grad.norm() + 1e-8
            optimiser.step()
            optimiser.zero_grad()
            pool[chosen] = x
        loss.item()
        count += 1

    return iteration


def ours(recipe: Recipe, vgg: VGGFeatures, device: torch.device) -> Callable:
    """Return a function that takes one iteration of the trainer, in its costliest phase."""
    pictures = [load_style(recipe.folder / r.style[0].path).to(device) for r in recipe.rules]
    trainer = Trainer(recipe, StyleLoss(vgg, pictures), device)
    trainer.iteration = round(recipe.training.iterations * 0.7)
    return trainer.step


def timed(iteration: Callable, device: torch.device) -> float:
    """Return how many seconds one iteration took."""
    started = time.perf_counter()
    iteration()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Time the two loops in turns and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=12, help="of a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    results.add_record(parser)
    args = parser.parse_args()
    device = torch.device(args.device)
    recipe = load_recipe(RECIPE)
    training = dataclasses.replace(
        recipe.training,
        size=args.size,
        batch=args.batch,
        steps=(args.steps, args.steps),
        long_rollout_probability=0.0,
        vgg="auto",
    )
    recipe = dataclasses.replace(recipe, training=training)
    precise = torch.bfloat16 if fast_bfloat16(device) else torch.float32
    picture = load_style(recipe.folder / recipe.rules[0].style[0].path)
    loops = {
        "plain loop": plain(recipe, load_vgg("auto", device), picture, device),
        "ncavideo": ours(recipe, load_vgg("auto", device, precise), device),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    older: list[float] = []
    size = (args.batch, args.size, args.steps, recipe.model.channels, recipe.model.hidden)
    for _ in range(args.turns):
        for number in range(args.iterations + 2):
            for name, iteration in loops.items():
                seconds = timed(iteration, device)
                if number >= 2:
                    times[name].append(seconds)
        before = older_trainer.seconds(size, args.iterations, str(device))
        if before is not None:
            older.append(before)
    if older:
        times[older_trainer.COMMIT] = older
    print(
        f"{args.batch} samples of {args.size}x{args.size}, {args.steps} steps, {device},"
        f" {torch.get_num_threads()} threads, style features in {precise}"
    )
    base = statistics.median(times["plain loop"])
    threads = torch.get_num_threads()
    columns = {"threads": "", "loop": "", "s an iteration": ".3f", "x plain": ".2f"}
    table = results.Table("loops", columns)
    for name, taken in times.items():
        median = statistics.median(taken)
        table.add(threads, name, median, base / median)
    about = f"{threads}-thread{'s' * (threads > 1)}" if device.type == "cpu" else device.type
    results.record(args, f"training-{about}", table)


if __name__ == "__main__":
    main()
