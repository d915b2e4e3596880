"""Errors of half precision, by which the triton engine's `precision` was chosen.

    python benchmarks/precision.py [--ruleset elements] [--long]

Runs the step in float64 and, on the same grid with the same fire masks, with the state and the
operands of the two matrix products rounded to the types in which the engine would store and
multiply; sums are float32, as in `tl.dot`. An emulation in plain torch, so it needs no GPU.
Prints the error (root mean square, over that of the exact state) and the share of changes that
vanish: that were not zero, and left a state that is kept in float16 as it was.

Steps amplify any difference, float32's too, so after some hundred steps there is no right picture
to compare with. `--long` (some minutes) compares looks instead, after 2,000 steps: the means of
RGB over every rule's region (largest difference) and their deviations (ratios), with another seed
beside them; and the same network with its changes scaled down, where nothing is amplified.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import results
import torch
from torch import Tensor

from ncavideo.nca.engines.reference import network
from ncavideo.nca.fire_mask import fire_mask
from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import RuleSet, open_ruleset

HEIGHT, BAND = 64, 24  # cells; every rule has a band of columns
MARGIN = 4  # cells at a band's rim that do not count: neighbours of another rule
Round = Callable[[Tensor], Tensor]


def to_tf32(x: Tensor, nearest: bool) -> Tensor:
    """Return `x` with 10 bits of fraction: rounded to nearest even, or cut off as Triton does."""
    bits = x.contiguous().view(torch.int32)
    if nearest:
        bits = bits + 0xFFF + ((bits >> 13) & 1)
    return (bits & ~0x1FFF).view(torch.float32)


def same(x: Tensor) -> Tensor:
    """Return `x`."""
    return x


def to_half(x: Tensor) -> Tensor:
    """Return `x` rounded to float16."""
    return x.half().float()


# What the state and the operands are rounded to.
MODES: dict[str, tuple[Round, Round]] = {
    "exact: float32, float32": (same, same),
    "mixed: float32, float16": (same, to_half),
    "float32, tf32 rounded": (same, lambda x: to_tf32(x, True)),
    "float32, tf32 cut off": (same, lambda x: to_tf32(x, False)),
    "float32, bfloat16": (same, lambda x: x.bfloat16().float()),
    "half: float16, float16": (to_half, to_half),
}


@dataclass
class Run:
    """What a run leaves: states by step, `[H, W, C]`, and shares of the changes."""

    states: dict[int, Tensor]
    vanished: float
    median_change: float


def bands(ruleset: RuleSet) -> np.ndarray:
    """Return inputs `[I, H, W]`: one band a rule, light from dark at the top to bright."""
    count = len(ruleset.rules)
    inputs = np.zeros((len(ruleset.inputs), HEIGHT, BAND * count), np.float32)
    for rule in range(count):
        inputs[rule, :, rule * BAND : (rule + 1) * BAND] = 1
    if ruleset.has_light:
        light = np.linspace(-0.6, 1, HEIGHT, dtype=np.float32)
        inputs[ruleset.inputs.index(LIGHT)] = light[:, None]
    return inputs


@torch.inference_mode()
def run(
    ruleset: RuleSet,
    steps: list[int],
    mode: tuple[Round, Round] | None,
    seed: int = 0,
) -> Run:
    """Take the largest of `steps` steps in float64 (`mode` None) or rounded as `mode` says."""
    kept, operand = mode or (same, same)
    nca = network(ruleset).to(torch.float32 if mode else torch.float64)
    update = nca.update
    for weight in (update.w1, update.w2):
        weight.copy_(operand(weight))
    given = torch.from_numpy(bands(ruleset)).permute(1, 2, 0)[None].to(update.w1.dtype)
    _, height, width, _ = given.shape
    cells = torch.zeros(1, height, width, ruleset.channels, dtype=given.dtype)
    seen = 4 * ruleset.channels
    own = update.w1[:, :seen].view(-1, ruleset.channels, 4).transpose(1, 2).reshape(-1, seen)
    w1 = torch.cat([own, update.w1[:, seen:]], 1)
    states, vanished, fired, change = {}, 0, 0, cells
    for step in range(max(steps)):
        z = torch.cat([nca.perceive(cells, "reflect"), given], -1)
        hidden = torch.relu(operand(z) @ w1.T + update.b1)
        change = operand(hidden) @ update.w2.T
        mask = torch.from_numpy(fire_mask(seed, step, height, width, ruleset.fire_rate))
        after = kept(cells + change * mask[None, :, :, None])
        wanted = (change != 0) & mask[None, :, :, None]
        fired += int(wanted.sum())
        vanished += int(((after == cells) & wanted).sum())
        cells = after
        if step + 1 in steps:
            states[step + 1] = cells[0].double()
    return Run(states, vanished / fired, float(change.abs().median()))


def error(state: Tensor, exact: Tensor) -> float:
    """Return the root mean square error over the root mean square of the exact state."""
    return float(((state - exact).square().mean() / exact.square().mean()).sqrt())


def looks(state: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of RGB in every rule's band, `[rules, 3]` each."""
    rgb = state[MARGIN:-MARGIN, :, :3].unflatten(1, (-1, BAND))[:, :, MARGIN:-MARGIN]
    return rgb.mean((0, 2)), rgb.std((0, 2))


def short(ruleset: RuleSet) -> results.Table:
    """Measure the errors while the exact picture still means something."""
    steps = [1, 8, 64, 128]
    exact = run(ruleset, steps, None)
    print(f"{ruleset.name}: the median change is {exact.median_change:.4f}")
    errors = {f"{n} step{'s' * (n > 1)}": ".1e" for n in steps}
    columns = {"state, operands": "", **errors, "changes that vanish": ".1%"}
    table = results.Table("errors", columns)
    for name, mode in MODES.items():
        got = run(ruleset, steps, mode)
        table.add(name, *(error(got.states[n], exact.states[n]) for n in steps), got.vanished)
    return table


def long(ruleset: RuleSet) -> results.Table:
    """Measure looks and errors after 2,000 steps, and of slower networks."""
    numbers = {"error": ".1e", "region means": ".2f", "deviations": "", "vanish": ".0%"}
    table = results.Table("looks", {"changes": "", "state, operands": "", **numbers})
    for scale, count in ((1.0, 2000), (0.1, 640), (0.03, 2000)):
        slow = replace(ruleset, w2=(ruleset.w2 * scale).astype(np.float32))
        exact = run(slow, [count], None)
        means, deviations = looks(exact.states[count])
        rows = {"another seed": run(slow, [count], None, seed=1)}
        names = [name for name in MODES if name.startswith(("exact", "mixed", "half"))]
        rows |= {name: run(slow, [count], MODES[name]) for name in names}
        for name, got in rows.items():
            state = got.states[count]
            mean, deviation = looks(state)
            ratio = deviation / deviations
            off = error(state, exact.states[count])
            farthest = float((mean - means).abs().max())
            ratios = f"{ratio.min():.2f}..{ratio.max():.2f}"
            table.add(f"x{scale:g}", name, off, farthest, ratios, got.vanished)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ruleset", default="elements")
    parser.add_argument("--long", action="store_true")
    results.add_record(parser)
    arguments = parser.parse_args()
    ruleset = open_ruleset(arguments.ruleset)
    tables = [short(ruleset)]
    if arguments.long:
        tables.append(long(ruleset))
    results.record(arguments, "precision", *tables)


if __name__ == "__main__":
    main()
