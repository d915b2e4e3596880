"""The predicted time of the triton engine's step on an H100, computed without one.

    python benchmarks/gpu_static.py [--ruleset elements] [--cells 1920x1080]

Compiles the kernel for compute capability 9.0, which needs Triton but no GPU, and prints, for
every precision and both variants of the GPU, the least time of a step by four limits

    memory      the bytes the kernel moves, at the published bandwidth
    arithmetic  the operations the step needs, at the published peak of their kind
    padded      the operations the kernel does, blocks filled up with zeros
    issue       the machine instructions of the loop over tiles, four a clock and multiprocessor

and the registers, spilled bytes and instructions that the compiler reports. It is a prediction:
every limit is a floor, the larger of them the likeliest bound, and waiting comes on top.
`gpu_step.py` measures.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results
import torch
import triton
from gpu_step import PERCEPTION_FLOPS, size
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ncavideo.nca.engines.triton_gpu import DTYPES, WARPS, Plan, make_plan
from ncavideo.nca.engines.triton_kernel import step_kernel
from ncavideo.nca.model import FILTERS
from ncavideo.nca.ruleset import open_ruleset

POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16"}
SCHEDULERS = 4  # each multiprocessor issues as many instructions a clock


@dataclass(frozen=True)
class Gpu:
    """Published peaks (NVIDIA H100 data sheet, without sparsity): bytes and operations a second.

    `clock`: the one at which the float16 peak holds, 4,096 operations a multiprocessor and clock.
    """

    name: str
    multiprocessors: int
    bandwidth: float
    float16: float
    float32: float

    @property
    def clock(self) -> float:
        """In clocks a second."""
        return self.float16 / (4096 * self.multiprocessors)


GPUS = (
    Gpu("H100 SXM", 132, 3.35e12, 989e12, 66.9e12),
    Gpu("H100 PCIe", 114, 2.0e12, 756e12, 51.2e12),
)


def build(plan: Plan, capability: int, wrap: bool = False) -> Any:
    """Compile the kernel as `plan` says for a CUDA compute capability such as 90."""
    names = step_kernel.arg_names
    kinds = dict.fromkeys(("old", "new"), POINTERS[plan.state])
    kinds |= dict.fromkeys(("inputs", "w1", "w1_inputs", "w2"), POINTERS[plan.operand])
    kinds |= {"b1": "*fp32", "words": "*i64", "offset": "i32", "height": "i32", "width": "i32"}
    constants = {**plan.constants, "WRAP": wrap}
    source = ASTSource(
        step_kernel,
        {name: kinds.get(name, "constexpr") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        {(names.index(n),): [["tt.divisibility", 16]] for n in kinds if kinds[n][0] == "*"},
    )
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=plan.options)


@dataclass(frozen=True)
class Machine:
    """The compiled kernel: instructions, where labels point, and what a thread takes."""

    instructions: list[str]
    labels: dict[str, int]
    registers: int
    stack: int  # bytes: what did not fit into registers


def disassemble(cubin: bytes) -> Machine:
    """Read a kernel with the tools that Triton brings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        tools = triton.knobs.nvidia
        text = subprocess.run(
            [tools.nvdisasm.path, "-c", path], capture_output=True, text=True, check=True
        ).stdout
        usage = subprocess.run(
            [tools.cuobjdump.path, "-res-usage", path], capture_output=True, text=True, check=True
        ).stdout
    instructions: list[str] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"\s*\.(L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            instructions.append(instruction[1])
    registers, stack = re.findall(r"(?:REG|STACK):(\d+)", usage)
    return Machine(instructions, labels, int(registers), int(stack))


def instructions_a_tile(machine: Machine, blocks: int) -> int:
    """Return how many instructions a warp runs for a tile.

    The longest backward branch closes the loop over tiles; one within it, if weights are read
    for every tile, the loop over `blocks` of hidden units.
    """
    loops = []
    for end, instruction in enumerate(machine.instructions):
        target = re.search(r"BRA.*`\(\.(L_x_\d+)\)", instruction)
        if target and machine.labels[target[1]] < end:
            loops.append(end + 1 - machine.labels[target[1]])
    outer, *inner = sorted(loops, reverse=True)
    return outer + sum(inner) * (blocks - 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ruleset", default="elements")
    parser.add_argument("--cells", type=size, default=(1080, 1920))
    results.add_record(parser)
    arguments = parser.parse_args()
    ruleset = open_ruleset(arguments.ruleset)
    height, width = arguments.cells
    cells = height * width
    c, i, hidden = ruleset.channels, len(ruleset.inputs), ruleset.hidden
    print(f"{ruleset.name}, C = {c}, I = {i}, hidden {hidden}; {width}x{height} cells; µs a step")
    limits_of = dict.fromkeys(("memory", "arithmetic", "padded", "issue"), ".0f")
    counts = dict.fromkeys(("registers", "spilled", "instructions"), "")
    table = results.Table("limits", {"GPU": "", "precision": "", **limits_of, **counts})
    for precision, (state, operand) in DTYPES.items():
        plan = make_plan(c, i, hidden, precision)
        k = plan.constants
        machine = disassemble(build(plan, 90).asm["cubin"])
        run = instructions_a_tile(machine, k["BLOCKS"])
        tile = k["TILE_ROWS"] * k["TILE_COLUMNS"]
        moved = 2 * k["CS"] * state.itemsize + k["IS"] * operand.itemsize
        needed = 2 * hidden * (FILTERS * c + i + c) + PERCEPTION_FLOPS * c
        done = 2 * k["HB"] * k["BLOCKS"] * (FILTERS * k["CB"] + k["IB"] + k["CB"])
        for gpu in GPUS:
            peak = gpu.float16 if operand == torch.float16 else gpu.float32
            clocks = run * WARPS / SCHEDULERS / tile
            limits = (
                moved / gpu.bandwidth,
                needed / peak,
                done / peak,
                clocks / (gpu.multiprocessors * gpu.clock),
            )
            floors = (1e6 * cells * limit for limit in limits)
            table.add(gpu.name, precision, *floors, machine.registers, machine.stack, run)
    results.record(arguments, "gpu_static", table)


if __name__ == "__main__":
    main()
