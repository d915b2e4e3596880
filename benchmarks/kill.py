"""Kill a render at random moments, resume it, and compare the files.

    python benchmarks/kill.py [--kills 25] [--frames 2000] [--signal KILL|INT|TERM]

A small clip of so many frames is rendered once undisturbed. Then, for each kill, the same render is
started, gets the signal at a random moment of its run, and is started again. Each line says after
how many frames the second run resumed, how many the first had left in closed segments (of 250
frames: no more than one is rendered twice), and whether the file is the same, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import results

from ncavideo.rendering.checkpoint import SEGMENT

OPTIONS = ["--rules", "fire,moss", "--flow", "--control", "fire=edges,smooth=0.3", "--cell", "2"]


def command(clip: Path, out: Path) -> list[str]:
    """Return the render."""
    return [sys.executable, "-m", "ncavideo", "render", str(clip), "-o", str(out), *OPTIONS]


def main() -> None:
    """Print a line a kill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--signal", default="KILL", choices=["KILL", "INT", "TERM"])
    results.add_record(parser)
    arguments = parser.parse_args()
    draw = random.Random(0)
    # A shell's background jobs ignore Ctrl-C, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, out = folder / "in.mp4", folder / "out.mp4"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25",
             "-frames:v", str(arguments.frames), str(clip)],
            check=True,
        )  # fmt: skip
        begin = time.perf_counter()
        subprocess.run([*command(clip, out), "--quiet"], check=True)
        length = time.perf_counter() - begin
        whole = out.read_bytes()
        print(f"undisturbed: {length:.1f} s, {len(whole)} bytes", flush=True)
        same = kill = 0
        while kill < arguments.kills:
            out.unlink()
            moment = draw.uniform(0.05, 0.95) * length
            process = subprocess.Popen([*command(clip, out), "--quiet"])
            time.sleep(moment)
            process.send_signal(getattr(signal, f"SIG{arguments.signal}"))
            process.wait()
            if out.exists():
                # Too late for a kill. It has to be the same file all the same.
                assert out.read_bytes() == whole
                continue
            kill += 1
            left = SEGMENT * len(list(folder.glob(".out.mp4.*.work/*.packets")))
            done = subprocess.run(
                [*command(clip, out), "--json", "--quiet"], check=True, capture_output=True
            )
            report = json.loads(done.stdout)
            identical = out.read_bytes() == whole
            same += identical
            clean = sorted(p.name for p in folder.iterdir()) == ["in.mp4", "out.mp4"]
            print(
                f"{kill:3} at {moment:5.1f} s: went on after {report['resumed']} frames (left"
                f" {left}), {'same' if identical else 'DIFFERENT'}, "
                f"{'clean' if clean else 'LEFTOVERS'}",
                flush=True,
            )
    columns = {"signal": "", "frames": ",", "kills": "", "identical files": ""}
    table = results.Table("runs", columns)
    table.add(arguments.signal, arguments.frames, arguments.kills, same)
    results.record(arguments, f"kill-{arguments.signal}", table)


if __name__ == "__main__":
    main()
