"""The fused kernels of training, compiled for an H100 without one.

    python benchmarks/training_kernels.py [--channels 12] [--inputs 5] [--hidden 96]

Prints what the compiler reports of each: registers a thread, spilled bytes, shared memory, and
whether the machine code reads registers that nothing wrote (see `sass.py`). Needs Triton, no GPU.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results
import torch
import triton
from sass import unwritten
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ncavideo.training.gpu.kernels.back import back_kernel, gather_kernel
from ncavideo.training.gpu.kernels.forward import forward_kernel
from ncavideo.training.gpu.kernels.rim import rim_kernel, unrim_kernel
from ncavideo.training.gpu.kernels.weight import weight_kernel
from ncavideo.training.gpu.plan import Plan

NAMES = {torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.float32: "*fp32"}
INTEGERS = ("offset", "batch", "height", "width", "steps", "cells")
FEATURES = 64  # of a map of VGG16


@dataclass(frozen=True)
class Kernel:
    """A kernel as a training launches it: pointers' types, constexpr arguments and options."""

    name: str
    function: Any
    pointers: dict[str, str]
    constants: dict[str, Any]
    options: dict[str, Any]


def kernels(plan: Plan) -> Iterator[Kernel]:
    """Yield the kernels that `plan` launches on a GPU, then those of VGG's maps."""
    o, g, f = NAMES[plan.operand], NAMES[plan.gradient], "*fp32"
    steps = {"states": f, "inputs": o, "w1": o, "w1_inputs": o, "words": "*i64"}
    back = {"w2_transposed": g, "w1_back": g, "into": f, "dz_from": g, "dz_to": g, "fired": g}
    of_weights = {"states": f, "inputs": g, "w1": g, "w1_inputs": g, "w2": g, "fired": g}
    for name, function, pointers, tiling, units in (
        ("forward", forward_kernel, steps | {"w2": o}, plan.forward, plan.forward.units),
        ("back", back_kernel, steps | back, plan.back, plan.back.units),
        ("weight", weight_kernel, of_weights | {"partial": f}, plan.weight, plan.weight_units),
    ):
        constants = plan.constants(tiling) | plan.network(units)
        yield Kernel(name, function, pointers, constants, plan.options(tiling, True))
    constants, options = plan.constants(plan.back), plan.options(plan.back, True)
    yield Kernel("gather", gather_kernel, {"into": f, "dz": g}, constants, options)
    wrap = {"WRAP": plan.edge == "wrap"}
    sizes = {"FEATURES": FEATURES, "BLOCK": FEATURES, "CELLS": 32, "RELU": True} | wrap
    yield Kernel("rim", rim_kernel, dict.fromkeys(("x", "bias", "out"), "*bf16"), sizes, {})
    yield Kernel("unrim", unrim_kernel, dict.fromkeys(("g", "out", "into"), "*bf16"), sizes, {})


def build(kernel: Kernel, capability: int = 90) -> Any:
    """Compile a kernel for a CUDA compute capability."""
    names = kernel.function.arg_names
    kinds = kernel.pointers | {name: "i32" for name in INTEGERS if name in names}
    source = ASTSource(
        kernel.function,
        {name: kinds.get(name, "constexpr") for name in names},
        {(names.index(name),): value for name, value in kernel.constants.items()},
        {(names.index(n),): [["tt.divisibility", 16]] for n in kernel.pointers},
    )
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=kernel.options)


@dataclass(frozen=True)
class Report:
    """What the compiler and the machine code tell of a kernel; sizes in bytes."""

    registers: int
    spilled: int
    shared: int
    unwritten: list[str]


def examine(built: Any) -> Report:
    """Read a compiled kernel with the tools that Triton brings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(built.asm["cubin"])
        code, usage = (
            subprocess.run(
                [tool.path, option, path], capture_output=True, text=True, check=True
            ).stdout
            for tool, option in (
                (triton.knobs.nvidia.nvdisasm, "-c"),
                (triton.knobs.nvidia.cuobjdump, "-res-usage"),
            )
        )
    registers, stack = re.findall(r"(?:REG|STACK):(\d+)", usage)[:2]
    return Report(int(registers), int(stack), built.metadata.shared, unwritten(code))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--inputs", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=96)
    results.add_record(parser)
    asked = parser.parse_args()
    counts = dict.fromkeys(("registers", "spilled", "shared", "unwritten"), "")
    table = results.Table("kernels", {"kernel": "", "edge": ""} | counts)
    for edge in ("wrap", "reflect"):
        plan = Plan(
            asked.channels, asked.inputs, asked.hidden, 8, 192, 192, edge,
            torch.float16, torch.bfloat16,
        )  # fmt: skip
        for kernel in kernels(plan):
            report = examine(build(kernel))
            table.add(
                kernel.name, edge, report.registers, report.spilled, report.shared,
                len(report.unwritten),
            )  # fmt: skip
    results.record(asked, "training_kernels", table)


if __name__ == "__main__":
    main()
