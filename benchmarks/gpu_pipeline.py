"""Renders whose frames stay on a GPU, beside ones of which the GPU only takes the steps.

    python benchmarks/gpu_pipeline.py [--sizes 1280x720 1920x1080 3840x2160] [--record]

On the example clip enlarged, with fire and moss. Prints in one call of under eight minutes

agreement   of both ways at the same texture: the share of samples that are more than one level of
            255 apart, the largest difference of an expression, and whether two renders are the
            same file
stages      milliseconds a frame, one stage after the other and each waited for: in wall time, and
            in processor time of all threads. `copies` is a frame's way to the device and back
renders     frames a second from the start of the work to the finished file, warm-up included, and
            which stage was busy longest
memory      what the estimate before a render says the GPU needs, beside the most that torch took

What would begin after `--budget` seconds is left out, and said. Without a CUDA device it prints one
sentence and exits with code 2; `--device cpu` has torch run the device's passes on the processor,
which shows that the script works and nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch
from stage_worker import RULES, frames
from stages import enlarged

from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering import gpu_memory
from ncavideo.rendering.device_frame import DeviceFrame
from ncavideo.rendering.frame_place import SWITCH
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import render

WARM = 4  # frames that are not counted: kernels are compiled, calls are recorded
WAYS = ("processor", "device")  # where the frame is: the switch's values


def size(text: str) -> tuple[int, int]:
    """Read `WIDTHxHEIGHT`."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def wait(device: str) -> None:
    """Wait for all that a device was asked for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def make_renderer(frame: tuple[int, int], device: str) -> FrameRenderer:
    """Return a renderer of the two rules with default settings."""
    options = RenderOptions(RULES, device=device, warmup=0)
    return FrameRenderer(find_ruleset(RULES, None), frame, ClipRange(0.0, 1.0), options)


def timed(work: Callable[[], Any], device: str) -> tuple[Any, float, float]:
    """Return what `work` returns, and its seconds in wall time and in processor time."""
    wait(device)
    wall, core = time.perf_counter(), time.process_time()
    made = work()
    wait(device)
    return made, time.perf_counter() - wall, time.process_time() - core


def measure_stages(
    frame: tuple[int, int], device: str, way: str, count: int
) -> dict[str, tuple[float, float]]:
    """Return each stage's median milliseconds a frame, in wall time and in processor time."""
    owner = make_renderer(frame, device)
    stages: Any = DeviceFrame(owner) if way == "device" else owner
    taken: dict[str, list[tuple[float, float]]] = {"control": [], "step": [], "composite": []}
    if way == "device":
        taken["copies"] = []
    for index, rgb in enumerate(frames(frame, WARM + count)):

        def condition(rgb: np.ndarray = rgb, index: int = index) -> Any:
            return stages.condition(rgb, index / 25)

        conditions, *control = timed(condition, device)
        texture, *step = timed(lambda c=conditions: stages.step(c), device)
        _, *composite = timed(
            lambda t=texture, c=conditions, rgb=rgb: stages.composite(t, c, rgb), device
        )
        spent = {"control": control, "step": step, "composite": composite}
        if way == "device":
            flag = torch.zeros((), dtype=torch.bool, device=device)
            _, *spent["copies"] = timed(
                lambda rgb=rgb, flag=flag: stages._transfer.down(stages._transfer.up(rgb), flag),
                device,
            )
        if index >= WARM:
            for stage, (wall, core) in spent.items():
                taken[stage].append((1e3 * wall, 1e3 * core))
    owner.close()
    return {
        stage: (statistics.median(w for w, _ in both), statistics.median(c for _, c in both))
        for stage, both in taken.items()
    }


def compare(frame: tuple[int, int], device: str, count: int = 3) -> tuple[float, float]:
    """Return the share of samples more than a level apart, and expression's largest difference."""
    here, owner = make_renderer(frame, device), make_renderer(frame, device)
    there = DeviceFrame(owner)
    apart, expression = [], 0.0
    for index, rgb in enumerate(frames(frame, count)):
        ours, theirs = here.condition(rgb, index / 25), there.condition(rgb, index / 25)
        difference = np.abs(theirs.weights.cpu().numpy() - ours.weights)
        expression = max(expression, float(difference.max()))
        texture = there.step(theirs)
        expected = here.composite(texture.cpu().numpy(), ours, rgb).astype(np.int16)
        out = there.composite(texture, theirs, rgb).astype(np.int16)
        apart.append(float((np.abs(out - expected) > 1).mean()))
    here.close()
    owner.close()
    return max(apart), expression


def render_rate(clip: Path, output: Path, device: str, way: str) -> tuple[float, str]:
    """Return the frames a second of a whole render, and the stage that was busy longest."""
    os.environ[SWITCH] = way
    options = RenderOptions(RULES, device=device, overwrite=True)
    begun = time.perf_counter()
    report = render(clip, output, options)
    seconds = time.perf_counter() - begun
    longest = max(report.stages, key=report.stages.__getitem__)
    busy = 1e3 * report.stages[longest] / report.frames
    return report.frames / seconds, f"{longest}, {busy:.1f} ms a frame"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = [(1280, 720), (1920, 1080), (3840, 2160)]
    parser.add_argument("--sizes", type=size, nargs="+", default=usual)
    parser.add_argument("--frames", type=int, default=16, help="frames of a measurement of stages")
    parser.add_argument("--seconds", type=float, default=3.0, help="of the clip, for renders")
    parser.add_argument("--budget", type=float, default=420, help="seconds after which none begins")
    parser.add_argument("--device", default="cuda")
    results.add_record(parser)
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    asked = parse()
    device: str = asked.device
    if device.startswith("cuda") and not torch.cuda.is_available():
        print("this benchmark needs a CUDA device, and there is none here", file=sys.stderr)
        sys.exit(2)
    begun = time.perf_counter()
    engine = make_renderer(asked.sizes[0], device)._engine
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "the processor"
    print(f"{name}, engine {type(engine).__name__}, PyTorch {torch.__version__}")
    same = results.Table(
        "agreement", {"frame": "", "samples apart": ".2e", "expression": ".1e", "same file": ""}
    )
    columns = [f"{way}, {kind}" for way in WAYS for kind in ("wall ms", "core ms")]
    stages = results.Table("stages", {"frame": "", "stage": "", **dict.fromkeys(columns, ".2f")})
    renders = results.Table("renders", {"frame": "", "frame on": "", "fps": ".1f", "busiest": ""})
    memory = results.Table("memory", {"frame": "", "estimate, GB": ".2f", "taken, GB": ".2f"})

    def left_out(what: str) -> bool:
        late = time.perf_counter() - begun > asked.budget
        if late:
            print(f"{what}: left out, for want of time")
        return late

    with tempfile.TemporaryDirectory() as folder:
        for frame in asked.sizes:
            label = f"{frame[0]}x{frame[1]}"
            if left_out(label):
                continue
            found = [measure_stages(frame, device, way, asked.frames) for way in WAYS]
            for stage in found[1]:
                rows = [way.get(stage, (None, None)) for way in found]
                stages.add(label, stage, *rows[0], *rows[1])
            clip = enlarged(frame, asked.seconds, Path(folder))
            outputs = [Path(folder, f"{label}.{number}.mp4") for number in range(3)]
            if device.startswith("cuda"):
                torch.cuda.reset_peak_memory_stats(device)
            files = []
            for way, output in zip((*WAYS[::-1], WAYS[1]), outputs, strict=True):
                if not left_out(f"{label}, a render, frame on {way}"):
                    renders.add(label, way, *render_rate(clip, output, device, way))
                    if way == "device":
                        files.append(output.read_bytes())
            alike = "not tried" if len(files) < 2 else "yes" if files[0] == files[1] else "NO"
            same.add(label, *compare(frame, device), alike)
            if device.startswith("cuda"):
                ruleset = find_ruleset(RULES, None)
                cells = make_renderer(frame, device).cells
                needed = gpu_memory.estimate(ruleset, frame, cells, 8)
                taken = torch.cuda.max_memory_reserved(device)
                memory.add(label, needed / 1e9, taken / 1e9)
    tables = [table for table in (same, stages, renders, memory) if table.rows]
    results.record(asked, "gpu_pipeline", *tables)


if __name__ == "__main__":
    main()
