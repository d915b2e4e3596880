"""What a render whose frames stay on a GPU is expected to take, counted without a GPU.

    python benchmarks/gpu_counted.py [--sizes 1920x1080 3840x2160] [--record]

torch runs the device's passes on the processor, with fire and moss, and every operator is counted
with the bytes that it reads and writes. Milliseconds a frame on an H100 with 16 cores:

launches  operators, `LAUNCH` each: what the processor takes to ask for them
memory    bytes at the published bandwidth, of which such operators reach `REACHED`; eight steps as
          measured on an H100 (docs/benchmarks/speed.md)
copies    a frame's way to the device and back, at `LINK`; they overlap with the passes
decode    this machine's processor time, shared by as many threads as the decoder has
encode    the same for the encoder
a frame   the largest of these, or all processor time shared by 16 cores

It is a prediction, and no measurement: `gpu_pipeline.py` measures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import results
import torch
from gpu_pipeline import make_renderer, size
from gpu_static import GPUS
from stage_worker import RULES, frames
from stages import enlarged
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ncavideo.cli.bench_stages import stage_costs
from ncavideo.rendering.device_frame import DeviceFrame
from ncavideo.rendering.options import RenderOptions
from ncavideo.video.codecs import CODECS

CORES = 16
LAUNCH = 6e-3  # ms of the processor an operator: torch's way from Python to the driver
REACHED = 0.6  # of the bandwidth, by operators that read and write whole frames
LINK = 20e9  # bytes a second from and to pinned memory, of 64e9 that PCI Express 5.0 has
STEPS, STEP = 8, 0.024  # steps a frame; ms of one for 640x360 cells, measured
GPU = GPUS[0]


class Count(TorchDispatchMode):
    """Counts operators that compute, and the bytes of the tensors that they take and give."""

    def __init__(self) -> None:
        super().__init__()
        self.operators, self.bytes = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        taken = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        given = [t for t in tree_leaves(made) if isinstance(t, torch.Tensor)]
        kept = {t.untyped_storage().data_ptr() for t in taken}
        in_place = func._schema.is_mutable
        # A view gives its argument's own memory, and takes no time.
        if in_place or any(t.untyped_storage().data_ptr() not in kept for t in given):
            self.operators += 1
            # A view of a few numbers that are repeated is read once.
            sizes = [min(t.nbytes, t.untyped_storage().nbytes()) for t in taken]
            self.bytes += sum(sizes) + sum(t.nbytes for t in given)
        return made


def count(frame: tuple[int, int]) -> Count:
    """Return what control and composite of one frame take, after one that is not counted."""
    owner = make_renderer(frame, "cpu")
    stages = DeviceFrame(owner)
    counted = Count()
    for index, rgb in enumerate(frames(frame, 2)):
        counted = Count()
        with counted:
            conditions = stages.condition(rgb, index / 25)
        texture = stages.step(conditions)
        with counted:
            stages.composite(texture, conditions, rgb)
    owner.close()
    return counted


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = [(1280, 720), (1920, 1080), (3840, 2160)]
    parser.add_argument("--sizes", type=size, nargs="+", default=usual)
    results.add_record(parser)
    asked = parser.parse_args()
    times = dict.fromkeys(("launches", "memory", "copies", "decode", "encode", "a frame"), ".2f")
    table = results.Table(
        "frames", {"frame": "", "operators": "", "MB": ".0f", **times, "fps": ".0f"}
    )
    for frame in asked.sizes:
        counted = count(frame)
        launches = LAUNCH * counted.operators
        memory = 1e3 * counted.bytes / (REACHED * GPU.bandwidth) + STEPS * STEP
        copies = 1e3 * 2 * 3 * frame[0] * frame[1] / LINK
        with tempfile.TemporaryDirectory() as name:
            clip = enlarged(frame, 1.0, Path(name))
            costs = stage_costs(clip, Path(name, "out.mp4"), RenderOptions(RULES, warmup=0))
        decode = costs["decode"].core / CORES
        encode = costs["encode"].core / min(CORES, CODECS["h264"].threads(frame[1]))
        shared = (costs["decode"].core + costs["encode"].core + launches) / CORES
        whole = max(launches, memory, copies, decode, encode, shared)
        table.add(
            f"{frame[0]}x{frame[1]}", counted.operators, counted.bytes / 1e6, launches, memory,
            copies, decode, encode, whole, 1e3 / whole,
        )  # fmt: skip
    results.record(asked, "gpu_counted", table)


if __name__ == "__main__":
    main()
