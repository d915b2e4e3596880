"""Cell-steps a second of every engine, beside the plain step, OpenVINO and the matrix product.

    python benchmarks/engines.py [--device cpu] [--ruleset elements] [--fire-rate 1]

The plain step is engine `torch`; the limit is what this machine's own float32 matrix product
would do if every cell fired. OpenVINO (pip install openvino), the baseline on CPUs, gets the same
step as one graph. Then the cost of a cell-step on grids from 360 to 2,160 rows: it must not grow.
All in one run, so that the ratios hold on a noisy machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import platform

import numpy as np
import results

from ncavideo.cli import bench
from ncavideo.nca import engines
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.util.device import choose_device, cores

GRIDS = {"360p": (360, 640), "720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}


def openvino_rate(ruleset: RuleSet, precision: str) -> float:
    """Return OpenVINO's cell-steps a second: the reference step as one compiled graph.

    The fire mask is an input, made beforehand, which is to OpenVINO's advantage.
    """
    import openvino
    import torch

    from ncavideo.nca.engines.reference import network

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nca = network(ruleset)

        def forward(
            self, state: torch.Tensor, inputs: torch.Tensor, mask: torch.Tensor
        ) -> torch.Tensor:
            return self.nca(state, inputs, mask, "reflect")

    height, width = bench.GRID
    state = torch.zeros(1, ruleset.channels, height, width)
    inputs = torch.full((1, len(ruleset.inputs), height, width), 0.5)
    mask = (torch.rand(1, 1, height, width) < ruleset.fire_rate).float()
    model = openvino.convert_model(Step(), example_input=(state, inputs, mask))
    config = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(model, "CPU", config).create_infer_request()
    tensors = [openvino.Tensor(t.numpy()) for t in (state, inputs, mask)]

    def run(steps: int) -> None:
        for _ in range(steps):
            request.infer(dict(enumerate(tensors)))
            # The new state is the next step's: as a pointer, not a copy.
            tensors[0] = openvino.Tensor(request.get_output_tensor(0).data.copy())

    return height * width / bench.seconds_each(run)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ruleset", default="elements")
    parser.add_argument("--fire-rate", type=float, help="another than the rule set's")
    results.add_record(parser)
    options = parser.parse_args()
    ruleset = open_ruleset(options.ruleset)
    if options.fire_rate:
        ruleset = dataclasses.replace(ruleset, fire_rate=options.fire_rate)
    device = choose_device(options.device)
    each = bench.flops(ruleset)
    limit = bench.product_rate(device)
    print(
        f"{platform.machine()}, {cores()} cores, {device}; matrix product {limit / 1e9:.0f} GFLOP/s"
    )
    print(f"{each / 1000:.1f} kFLOP a cell-step, fire rate {ruleset.fire_rate:g}\n")
    rates = {rate.engine: rate.rate for rate in bench.engine_rates(ruleset, device)}
    if device == "cpu" and importlib.util.find_spec("openvino"):
        for precision in ("f32", "bf16"):
            rates[f"OpenVINO {precision}"] = openvino_rate(ruleset, precision)
    plain = rates["torch"] or float("nan")
    table = results.Table(
        "rates",
        {
            "engine": "",
            "million cell-steps a second": ".1f",
            "x plain step": ".1f",
            "x matrix-product limit": ".2f",
        },
    )
    for name, rate in rates.items():
        speed = rate or float("nan")
        table.add(name, speed / 1e6, speed / plain, speed * each / limit)
    grids = results.Table(
        "grids", {"grid": "", "ns a cell-step": ".1f", "x the smallest grid's": ".2f"}
    )
    first = None
    for name, grid in GRIDS.items():
        inputs = np.full((len(ruleset.inputs), *grid), 0.5, np.float32)
        engine = engines.start("auto", ruleset, *grid, device=device)
        each_cell = bench.seconds_a_cell_step(engine, inputs) * 1e9
        first = first or each_cell
        grids.add(f"{name}, {grid[1]}x{grid[0]}", each_cell, each_cell / first)
    about = f"-fire-rate-{options.fire_rate:g}" if options.fire_rate else ""
    results.record(options, f"engines{about}", table, grids)


if __name__ == "__main__":
    main()
