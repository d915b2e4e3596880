"""Speed of the engines on a CUDA device, beside the device's roofline.

    python benchmarks/gpu_step.py [--ruleset elements] [--sizes 640x360 1920x1080 3840x2160]

First measures the device's ceilings: memory bandwidth (a copy between large buffers) and matrix
products in float32, tf32 and float16. A step must read and write the state, read the inputs, and
do the arithmetic of the two layers; the roofline is whichever of the two takes longer at the
ceilings. Prints for every engine, precision and grid

    ms/step     one step on the device: the time of 64 steps less that of 8, over 56
    Gcell/s     cells times steps a second at that, in thousand millions
    roofline    the roofline's time over the measured one
    bound       the ceiling that limits a perfect engine, by the roofline
    frame ms    a call of 8 steps from the host, inputs uploaded, with graphs if the engine has them
    no graphs   the same without
    error       largest error after 8 steps over the largest number, against float64 (first grid)

Times are medians. Without a CUDA device it prints one sentence and exits with code 2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import results
import torch

from ncavideo.nca import engines
from ncavideo.nca.engines.base import Engine
from ncavideo.nca.engines.reference import network
from ncavideo.nca.engines.triton_gpu import DTYPES, TritonEngine
from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import FILTERS
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.util.errors import UserError

SEED, EDGE = 0, "reflect"
FRAME, LONG = 8, 64  # steps in a call; both short enough for the triton engine to record
REPEATS = 7
# The filters, separably: 16 additions and multiplications a channel.
PERCEPTION_FLOPS = 16


@dataclass(frozen=True)
class Ceilings:
    """What the device reaches: bytes a second, and operations a second by kind of product."""

    bandwidth: float
    flops: dict[str, float]


@dataclass(frozen=True)
class Contender:
    """One row: a name, what a number of the state and of the inputs takes, and the products."""

    name: str
    state_bytes: int
    input_bytes: int
    products: str
    start: Callable[[RuleSet, int, int, bool], Engine]
    has_graphs: bool = False


def plain(name: str) -> Callable[[RuleSet, int, int, bool], Engine]:
    """Return what starts an engine that knows no graphs."""

    def begin(ruleset: RuleSet, height: int, width: int, graphs: bool) -> Engine:
        return engines.start(name, ruleset, height, width, seed=SEED, edge=EDGE, device="cuda")

    return begin


def fused(precision: str) -> Callable[[RuleSet, int, int, bool], Engine]:
    """Return what starts the triton engine."""

    def begin(ruleset: RuleSet, height: int, width: int, graphs: bool) -> Engine:
        return TritonEngine(
            ruleset,
            height,
            width,
            seed=SEED,
            edge=EDGE,
            device="cuda",
            precision=precision,
            graphs=graphs,
        )

    return begin


def contenders() -> list[Contender]:
    """Return the rows. torch multiplies matrices in float32 and convolves in tf32 by default."""
    rows = [
        Contender("torch", 4, 4, "float32", plain("torch")),
        Contender("folded", 4, 4, "tf32", plain("folded")),
    ]
    for precision, (state, operand) in DTYPES.items():
        products = "float16" if operand == torch.float16 else "float32"
        sizes = state.itemsize, operand.itemsize
        rows.append(Contender(f"triton {precision}", *sizes, products, fused(precision), True))
    return rows


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of `work` on the device, after two calls to warm up and record."""
    times = []
    for attempt in range(repeats + 2):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if attempt >= 2:
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def measure_ceilings(size: int = 8192) -> Ceilings:
    """Measure copies of a buffer of 4 `size`**2 bytes, and products of square matrices."""
    source = torch.zeros(size, size, device="cuda")
    target = torch.empty_like(source)
    bandwidth = 2 * source.nbytes / seconds(lambda: target.copy_(source))
    flops = {}
    kept = torch.backends.cuda.matmul.allow_tf32
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("float16", torch.float16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a = torch.randn(size, size, device="cuda", dtype=dtype)
        flops[name] = 2 * size**3 / seconds(lambda a=a: a @ a)  # type: ignore[misc]
    torch.backends.cuda.matmul.allow_tf32 = kept
    return Ceilings(bandwidth, flops)


def needs(ruleset: RuleSet, contender: Contender) -> tuple[int, int]:
    """Return the bytes and the operations that a cell's step cannot do without."""
    c, i, hidden = ruleset.channels, len(ruleset.inputs), ruleset.hidden
    moved = 2 * c * contender.state_bytes + i * contender.input_bytes
    return moved, 2 * hidden * (FILTERS * c + i + c) + PERCEPTION_FLOPS * c


def roofline(ruleset: RuleSet, contender: Contender, ceilings: Ceilings) -> tuple[float, str]:
    """Return the least seconds a cell's step can take, and what binds it."""
    moved, operations = needs(ruleset, contender)
    times = {
        "memory": moved / ceilings.bandwidth,
        "arithmetic": operations / ceilings.flops[contender.products],
    }
    bound = max(times, key=times.__getitem__)
    return times[bound], bound


def make_inputs(ruleset: RuleSet, height: int, width: int) -> np.ndarray:
    """Return inputs that use every rule: bands of columns, other channels at half."""
    inputs = np.full((len(ruleset.inputs), height, width), 0.5, np.float32)
    rules = len(ruleset.rules)
    band = np.arange(width) * rules // width
    inputs[:rules] = np.arange(rules)[:, None, None] == band
    return inputs


@torch.inference_mode()
def exact(ruleset: RuleSet, inputs: np.ndarray, steps: int) -> np.ndarray:
    """Return the state after `steps` steps in float64, `[C, H, W]`."""
    nca = network(ruleset, "cuda").double()
    height, width = inputs.shape[1:]
    given = torch.from_numpy(inputs)[None].to("cuda").double()
    state = torch.zeros(1, ruleset.channels, height, width, dtype=torch.float64, device="cuda")
    for step in range(steps):
        mask = fire_mask_torch(SEED, step, height, width, ruleset.fire_rate, "cuda")
        state = nca(state, given, mask[None, None], EDGE)
    return state[0].cpu().numpy()


def row(
    ruleset: RuleSet,
    contender: Contender,
    ceilings: Ceilings,
    inputs: np.ndarray,
    expected: np.ndarray | None,
) -> list[results.Cell]:
    """Measure one engine on one grid and return its row of the table."""
    height, width = inputs.shape[1:]
    engine = contender.start(ruleset, height, width, True)
    error = None
    if expected is not None:
        engine.step(inputs, FRAME)
        difference = np.abs(engine.snapshot().state - expected).max()
        error = float(difference / np.abs(expected).max())
    frame = seconds(lambda: engine.step(inputs, FRAME))
    step = (seconds(lambda: engine.step(inputs, LONG)) - frame) / (LONG - FRAME)
    without = None
    if contender.has_graphs:
        unrecorded = contender.start(ruleset, height, width, False)
        without = 1e3 * seconds(lambda: unrecorded.step(inputs, FRAME))
    least, bound = roofline(ruleset, contender, ceilings)
    rate = height * width / step
    return [1e3 * step, rate / 1e9, least * rate, bound, 1e3 * frame, without, error]


def size(text: str) -> tuple[int, int]:
    """Read `WIDTHxHEIGHT`."""
    width, _, height = text.partition("x")
    return int(height), int(width)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ruleset", default="elements")
    parser.add_argument(
        "--sizes", type=size, nargs="+", default=[(360, 640), (1080, 1920), (2160, 3840)]
    )
    results.add_record(parser)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("this benchmark needs a CUDA device, and there is none here", file=sys.stderr)
        sys.exit(2)
    ruleset = open_ruleset(arguments.ruleset)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    ceilings = measure_ceilings()
    for contender in contenders():
        moved, operations = needs(ruleset, contender)
        print(f"{contender.name}: {moved} bytes and {operations} operations a cell and step")
    rates = {"ms/step": ".3f", "Gcell/s": ".2f", "roofline": ".0%", "bound": ""}
    calls = {"frame ms": ".2f", "no graphs": ".2f", "error": ".1e"}
    table = results.Table("steps", {"cells": "", "engine": "", **rates, **calls})
    peaks = {f"{kind}, TFLOP/s": ".1f" for kind in ceilings.flops}
    limits = results.Table("ceilings", {"memory, TB/s": ".2f", **peaks})
    limits.add(ceilings.bandwidth / 1e12, *(rate / 1e12 for rate in ceilings.flops.values()))
    for number, (height, width) in enumerate(arguments.sizes):
        inputs = make_inputs(ruleset, height, width)
        expected = exact(ruleset, inputs, FRAME) if number == 0 else None
        for contender in contenders():
            try:
                cells = row(ruleset, contender, ceilings, inputs, expected)
                table.add(f"{width}x{height}", contender.name, *cells)
            except (torch.cuda.OutOfMemoryError, UserError) as problem:
                print(f"{width}x{height}, {contender.name}: {str(problem).splitlines()[0][:60]}")
            torch.cuda.empty_cache()
    results.record(arguments, "gpu_step", limits, table)


if __name__ == "__main__":
    main()
