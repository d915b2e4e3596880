"""Fail every call that writes, renames, locks or starts a process, one at a time.

    python tests/release/faults.py --all             # a render, a batch, a training
    python tests/release/faults.py render --sample 9 # 9 points of the first

After each fault: the exit code and the sentence are right, nothing or the whole file is under the
output's name, the same command ends with the same bytes, and nothing is left over.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cheap
import inject

KINDS: dict[str, int | str] = {
    "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES, "EINTR": errno.EINTR,
    "KILL": "KILL",
}  # fmt: skip
KILLED = -9
QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "1", "--cell", "8", "--quiet"]
STYLES = Path(__file__).parents[2] / "examples" / "styles"
SECONDS = 300.0  # for one run
OLD = 7200.0  # seconds by which what was left is aged, so that doctor takes it for abandoned
RECIPE = """
format = 1
name = "small"
[model]
channels = 4
hidden = 8
[training]
iterations = 20
size = 32
batch = 1
pool = 2
steps = [1, 2]
precision = "float32"
vgg = "vgg.safetensors"
[guide]
kind = "none"
[[rule]]
name = "fire"
style = "fire.png"
"""


@dataclass(frozen=True)
class Case:
    """A command, the files that it needs, and the names of its outputs."""

    name: str
    command: list[str]
    inputs: list[str]
    outputs: list[str]
    # What stays beside the outputs, beginnings of names.
    beside: tuple[str, ...] = ()


CASES = {
    case.name: case
    for case in (
        Case("render", ["render", "in.mp4", "-o", "out.mp4", *QUICK], ["in.mp4"], ["out.mp4"]),
        Case(
            "batch",
            ["batch", *"abcd", "--out-dir", "out", "--workers", "2", "--retries", "0",
             "--template", "{stem}.mp4", *QUICK],
            [*"abcd"],
            [f"out/{name}.mp4" for name in "abcd"],
            ("out/.ncavideo-batch.sqlite",),
        ),
        Case(
            "train",
            ["train", "small.toml", "-o", "out.safetensors", "--folder", "run", "--device", "cpu",
             "--sheet-every", "10", "--quiet"],
            ["small.toml", "fire.png", "vgg.safetensors"],
            ["out.safetensors"],
            ("run/",),
        ),
    )
}  # fmt: skip


def make_inputs(folder: Path) -> None:
    """Make a clip of 600 frames with sound, four of 5, a recipe, its picture and its VGG16."""
    from PIL import Image

    for name, seconds in (("in.mp4", 24.0), *((name, 0.2) for name in "abcd")):
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi",
             "-i", f"testsrc2=size=32x32:rate=25:duration={seconds}", "-f", "lavfi",
             "-i", f"sine=frequency=440:duration={seconds}", "-f", "mp4", str(folder / name)],
            check=True,
        )  # fmt: skip
    (folder / "small.toml").write_text(RECIPE)
    with Image.open(STYLES / "fire.png") as picture:
        picture.crop((64, 64, 128, 128)).save(folder / "fire.png")
    cheap.make_vgg(folder / "vgg.safetensors")


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code or minus the signal, what it said, and the calls it made."""

    code: int
    said: str
    trace: list[str]


def run(case: Case, folder: Path, point: int, kind: int | str) -> Ended:
    """Run a case's command in a process of its own, with a fault at a point; 0 for none."""
    said, trace = folder.with_suffix(".said"), folder.with_suffix(".trace")
    trace.unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        _be_the_command(case, folder, point, kind, said, trace)
    deadline = time.monotonic() + SECONDS
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(process, 9)
            os.waitpid(process, 0)
            return Ended(-1, "it hangs", [])
        time.sleep(0.01)
    if not cheap.wait_for_orphans():
        return Ended(-1, "what it left running hangs", [])
    calls = json.loads(trace.read_text()) if trace.exists() else []
    return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"), calls)


def _be_the_command(
    case: Case, folder: Path, point: int, kind: int | str, said: Path, trace: Path
) -> None:
    from ncavideo.cli.main import main

    code = 70
    try:
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(folder)
        faults = inject.Faults(str(folder), point, kind)
        cheap.fork_workers(faults)
        inject.install(faults)
        try:
            main(case.command)
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 1
        except BaseException:
            code = 71
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        with inject.open_file(trace, "w") as file:
            json.dump(faults.trace, file)
    finally:
        os._exit(code)


def look(case: Case, folder: Path) -> dict[str, str]:
    """Return the digests of the outputs that are there."""
    return {
        name: _content(folder / name) for name in case.outputs if os.path.lexists(folder / name)
    }


def _content(path: Path) -> str:
    """Return a digest of a file; of a rule set, of its weights: it holds a date."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        from ncavideo.nca.ruleset import RuleSet

        ruleset = RuleSet.load(path)
        data = b"".join(array.tobytes() for array in (ruleset.w1, ruleset.b1, ruleset.w2))
    return hashlib.sha256(data).hexdigest()


def left_over(case: Case, folder: Path) -> list[str]:
    """Return the files that are neither inputs nor outputs nor kept on purpose."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        known = name in case.inputs or name in case.outputs or name in ("out", "run")
        kept = any(name.startswith(beginning) for beginning in case.beside)
        hidden_part = path.name.startswith(".") and ".part" in path.name
        if not known and (not kept or hidden_part):
            found.append(name)
    return found


def clean(folder: Path) -> None:
    """Do as `doctor --clean` does some hours later, in the folder and those in it."""
    from ncavideo.cli.doctor import clean as doctor_clean

    then = time.time() - OLD
    for path in folder.rglob(".*"):
        with contextlib.suppress(OSError):
            os.utime(path, (then, then), follow_symlinks=False)
    before = Path.cwd()
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        if place.exists():
            os.chdir(place)
            doctor_clean()
            os.chdir(before)


def wrong(case: Case, inputs: Path, whole: dict[str, str], point: int, kind: str) -> Iterator[str]:
    """Yield what is wrong after a fault at a point, and after the next start."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name, "work")
        folder.mkdir()
        for given in case.inputs:
            shutil.copy(inputs / given, folder / given)
        ended = run(case, folder, point, KINDS[kind])
        if ended.code == -1 or ended.code not in ((KILLED, 0) if kind == "KILL" else (0, 1, 2)):
            yield f"exit code {ended.code}"
        if "Traceback" in ended.said:
            yield "a traceback: " + ended.said.strip().splitlines()[-1]
        lines = ended.said.strip().splitlines()
        # A batch has a line for every clip that failed.
        if ended.code in (1, 2) and (not lines or (case.name != "batch" and len(lines) > 1)):
            yield f"not one sentence: {lines}"
        there = look(case, folder)
        if any(whole[path] != content for path, content in there.items()):
            yield "another content under the output's name"
        if ended.code == 0 and there != whole:
            yield "exit code 0 without the output"
        if there != whole:
            again = run(case, folder, 0, 0)
            if again.code != 0:
                yield f"the next start ends with {again.code}: {again.said.strip()}"
            elif look(case, folder) != whole:
                yield "the next start ends with other bytes"
        removal = bool(ended.trace[point - 1 :]) and ended.trace[point - 1].startswith(
            ("unlink", "rmdir", "remove", "os.open")
        )
        if kind == "KILL" or removal:
            clean(folder)
        if left := left_over(case, folder):
            yield f"left over: {left}"


def _warm_up(case: Case, inputs: Path) -> None:
    """Do as the case's processes do: those of a batch render each a clip."""
    like = case if case.name != "batch" else CASES["render"]
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        for given in like.inputs:
            shutil.copy(inputs / given, Path(name, given))
        if case.name == "batch":
            shutil.copy(inputs / "a", Path(name, "in.mp4"))
        cheap.warm_up(like.command, Path(name))


def walk(case: Case, sample: int | None, inputs: Path, kinds: Sequence[str]) -> tuple[int, int]:
    """Try a case's points, all or a sample; return how many were tried and how many failed."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name, "work")
        folder.mkdir()
        for given in case.inputs:
            shutil.copy(inputs / given, folder / given)
        _warm_up(case, inputs)
        plain = run(case, folder, 0, 0)
        whole = look(case, folder)
        if plain.code != 0 or set(whole) != set(case.outputs) or left_over(case, folder):
            raise SystemExit(
                f"{case.name} fails without a fault: {plain} {left_over(case, folder)}"
            )
    points = list(itertools.product(range(1, len(plain.trace) + 1), kinds))
    every = len(points)
    if sample is not None:
        points = random.Random(1).sample(points, min(sample, every))
    failed = 0
    begun = time.monotonic()
    for point, kind in points:
        found = list(wrong(case, inputs, whole, point, kind))
        failed += bool(found)
        for what in found:
            print(f"{case.name} {point} {kind} at {plain.trace[point - 1]}: {what}", flush=True)
    print(
        f"{case.name}: {len(points)} of {every} faults ({len(plain.trace)} calls) tried,"
        f" {failed} failed, {time.monotonic() - begun:.0f} s",
        flush=True,
    )
    return len(points), failed


def main() -> int:
    """Walk through what the command line asks for; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="|".join(CASES))
    parser.add_argument("--all", action="store_true", help="every point of every case")
    parser.add_argument("--sample", type=int, default=20, help="points a case, without --all")
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    cheap.prepare()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        inputs = Path(name)
        make_inputs(inputs)
        for case in asked.cases or CASES:
            sample = None if asked.all else asked.sample
            bad += walk(CASES[case], sample, inputs, asked.kinds.split(","))[1]
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
