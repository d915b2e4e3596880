"""Control and composite beside an earlier commit: core-milliseconds a frame, and whole renders.

    python benchmarks/stages.py [--against COMMIT] [--repeats N] [--record]

Unpacks the earlier commit from git into a temporary folder and measures both in turns, each in
a process of its own, on the example clip enlarged to 1280x720, 1920x1080 and 3840x2160, with fire
and moss.

stages: processor time of all threads, a frame, for control and composite.
renders: frames a second from the start of the work to the finished file, warm-up included.

Then this version alone:

inputs: the processor time of a frame's steps, inputs made and texture taken, beside the bare steps.
cores: what each stage takes alone at 1920x1080, and from that the least time of a frame on two and
on sixteen cores, if the step, the decoder and the encoder get faster with cores as far as their
threads go: not a measurement.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import av
import results
from stage_worker import RULES, frames

from ncavideo.cli.bench_stages import stage_costs
from ncavideo.control.levels import ClipRange
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import composers
from ncavideo.video.codecs import CODECS

ROOT = Path(__file__).parents[1]
BEFORE = "66c537e"
SIZES = {"1280x720": (1280, 720), "1920x1080": (1920, 1080), "3840x2160": (3840, 2160)}
# Of the Python interface, which both versions have.
RENDER = """
import sys, ncavideo
_, clip, output, *rules = sys.argv
report = ncavideo.render(clip, rules=rules, out=output, overwrite=True)
print(report.frames / report.seconds)
"""


def enlarged(size: tuple[int, int], seconds: float, folder: Path) -> Path:
    """Return the beginning of the example clip, enlarged, without sound."""
    path = folder / f"{size[0]}x{size[1]}.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for rgb in frames(size, round(24 * seconds)):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        output.mux(stream.encode(None))
    return path


def in_tree(tree: Path, *words: str) -> str:
    """Run Python on a version's sources in a process of its own; return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def render_rate(tree: Path, clip: Path, folder: Path) -> float:
    """Return the frames a second of a whole render of a clip."""
    words = ("-c", RENDER, str(clip), str(folder / "out.mp4"), *RULES)
    return float(in_tree(tree, *words).splitlines()[-1])


def steps_and_inputs(size: tuple[int, int], cell: int, repeats: int) -> tuple[float, float]:
    """Return core-milliseconds of a frame's bare steps, and of its whole step stage."""
    options = RenderOptions(RULES, cell=cell, warmup=0)
    ruleset = find_ruleset(RULES, None)
    renderer = FrameRenderer(ruleset, size, ClipRange(), options, ROOT)
    (rgb,) = frames(size, 1)
    conditions = renderer.condition(rgb, 0)
    inputs = inputs_for(ruleset, RULES, conditions.weights, conditions.light)
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for spent, work in zip(
            taken,
            (
                lambda: renderer._engine.step(inputs, conditions.steps),
                lambda: renderer.step(conditions),
            ),
            strict=True,
        ):
            begun = time.process_time()
            work()
            if turn:
                spent.append(1e3 * (time.process_time() - begun))
    renderer.close()
    bare, whole = map(statistics.median, taken)
    return bare, whole


def on_cores(clip: Path, height: int, folder: Path) -> results.Table:
    """Return each stage's cost alone, and the least time of a frame on two and on sixteen cores."""
    kinds = {"stage": "", "core ms": ".1f", "threads": "", "2 cores": ".1f", "16 cores": ".1f"}
    table = results.Table("cores", kinds)
    costs = stage_costs(clip, folder / "cores.mp4", RenderOptions(RULES, warmup=0))
    threads = {"decode": 16, "step": 16, "encode": CODECS["h264"].threads(height)}
    counts = (2, 16)
    least = {count: [sum(cost.core for cost in costs.values()) / count] for count in counts}
    for stage, cost in costs.items():
        times = []
        for count in counts:
            most = composers(count) if stage == "composite" else threads.get(stage, 1)
            times.append(cost.core / min(count, most))
            least[count].append(times[-1])
        table.add(
            stage,
            cost.core,
            threads.get(stage, f"{composers(2)}, {composers(16)}" if stage == "composite" else 1),
            *times,
        )
    whole = [max(least[count]) for count in counts]
    table.add("a frame", least[2][0] * 2, "", *whole)
    table.add("times as fast", None, "", 1.0, whole[0] / whole[1])
    return table


def unpack(commit: str, folder: Path) -> Path:
    """Unpack a commit into `folder` and return it."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", default=BEFORE, help="the earlier commit")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each measurement")
    parser.add_argument("--frames", type=int, default=12, help="frames of a turn, for stages")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the clip, for renders")
    results.add_record(parser)
    asked = parser.parse_args()
    stages = results.Table(
        "stages",
        {"frame": "", "stage": "", "before, core ms": ".1f", "now, core ms": ".1f", "ratio": ".2f"},
    )
    renders = results.Table(
        "renders", {"frame": "", "before, fps": ".2f", "now, fps": ".2f", "ratio": ".2f"}
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = unpack(asked.against, folder / "before"), ROOT
        script = str(Path(__file__).with_name("stage_worker.py").absolute())
        for label, size in SIZES.items():
            words = (script, *map(str, size), str(asked.frames))
            turns = [
                [json.loads(in_tree(tree, *words)) for tree in trees] for _ in range(asked.repeats)
            ]
            both = [[{**t, "control + composite": sum(t.values())} for t in turn] for turn in turns]
            for stage in ("control", "composite", "control + composite"):
                old, new = (statistics.median(turn[i][stage] for turn in both) for i in (0, 1))
                ratios = [turn[0][stage] / turn[1][stage] for turn in both]
                stages.add(label, stage, old, new, statistics.median(ratios))
        for label, size in SIZES.items():
            clip = enlarged(size, asked.seconds, folder)
            rates = [
                [render_rate(tree, clip, folder) for tree in trees] for _ in range(asked.repeats)
            ]
            old, new = (statistics.median(rate[i] for rate in rates) for i in (0, 1))
            renders.add(label, old, new, statistics.median(b / a for a, b in rates))
        cores = on_cores(enlarged((1920, 1080), 1.5, folder), 1080, folder)
    inputs = results.Table(
        "inputs", {"cells": "", "steps, core ms": ".1f", "with inputs": ".1f", "ratio": ".2f"}
    )
    for size, cell in (((1280, 720), 4), ((1280, 720), 2), ((1280, 720), 1), ((1920, 1080), 1)):
        bare, whole = steps_and_inputs(size, cell, asked.repeats)
        inputs.add(f"{size[0] // cell}x{size[1] // cell}", bare, whole, whole / bare)
    results.record(asked, "stages", stages, renders, inputs, cores)


if __name__ == "__main__":
    main()
