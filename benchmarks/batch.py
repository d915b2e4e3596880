"""Thirty clips, six of them bad, twice: outcomes, messages, and the cost of the journal.

    python benchmarks/batch.py [--frames 250] [--workers N]

The second time no finished clip may be rendered again, and only the six may be tried. *Single
renders*: the same good clips, one `ncavideo render` after another; both include start-up times.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import results

OPTIONS = ["--rules", "fire,moss", "--quiet"]
GOOD = 24


def bad_clips(folder: Path, good: bytes) -> None:
    """Write six clips that cannot be rendered whole, each in its own way."""
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    (folder / "cut.mp4").write_bytes(good[: len(good) // 2])
    (folder / "text.mov").write_text("This is a letter.\n")
    (folder / "gone.mkv").symlink_to(folder / "nowhere.mkv")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", str(folder / "tone.mp4")],
        check=True,
    )


def command(*words: object) -> list[str]:
    """Return a command line of this very ncavideo."""
    return [sys.executable, "-m", "ncavideo", *map(str, words)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--workers", type=int, default=1)
    results.add_record(parser)
    arguments = parser.parse_args()
    numbers = ("exit code", "done", "failed", "files made")
    columns = {"turn": "", "seconds": ".1f", **dict.fromkeys(numbers, "")}
    table = results.Table("turns", columns)
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "in", Path(name) / "out"
        folder.mkdir()
        first = folder / "00.mp4"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
             "-frames:v", str(arguments.frames), str(first)],
            check=True,
        )  # fmt: skip
        for index in range(1, GOOD):
            (folder / f"{index:02d}.mp4").write_bytes(first.read_bytes())
        bad_clips(folder, first.read_bytes())
        batch = command("batch", folder, "--out-dir", out, *OPTIONS, "--json", "--retries", 0,
                        "--workers", arguments.workers)  # fmt: skip
        times = {}
        for turn in ("first", "second"):
            begin = time.perf_counter()
            done = subprocess.run(batch, capture_output=True)
            seconds = time.perf_counter() - begin
            report = json.loads(done.stdout)
            for job in report["jobs"]:
                if job["state"] == "failed" and turn == "first":
                    print(f"{Path(job['clip']).name}: {job['reason']}")
            now = {p.name: p.stat().st_mtime_ns for p in out.glob("*.mp4")}
            made = sum(times.get(n) != t for n, t in now.items())
            table.add(turn, seconds, done.returncode, report["done"], report["failed"], made)
            times = now
        begin = time.perf_counter()
        for index in range(GOOD):
            target = Path(name) / "straight.mp4"
            subprocess.run(
                command("render", folder / f"{index:02d}.mp4", "-o", target, *OPTIONS,
                        "--overwrite"),
                check=True,
            )  # fmt: skip
        seconds = time.perf_counter() - begin
        table.add(f"{GOOD} single renders", seconds, None, None, None, None)
    results.record(arguments, "batch", table)


if __name__ == "__main__":
    main()
