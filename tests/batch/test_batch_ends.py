"""How a batch and its workers end: killed, interrupted, crashed, or in peace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from patience import PATIENCE, until
from quick_batch import ASKED, QUICK, run

from ncavideo.batch.jobs import Job
from ncavideo.batch.run import run_batch
from ncavideo.rendering.options import RenderOptions

pytestmark = pytest.mark.slow


def works(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_batch_that_is_killed_goes_on(clip: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(4):
        (source / f"{index}.mp4").write_bytes(clip.read_bytes())
    command = [sys.executable, "-m", "ncavideo", "batch", source, "--out-dir", out, *QUICK]
    process = subprocess.Popen([str(a) for a in [*command, "--quiet"]])
    until(
        lambda: len(list(out.glob("[0-9]*.mp4"))) >= 1,
        "an output of four",
        lambda: list(out.glob("*")),
        process=process,
        every=0.01,
    )
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not any(map(works, workers)), "an end of its workers, whom nobody reads")
    done = sorted(out.glob("[0-9]*.mp4"))
    assert 1 <= len(done) < 4
    times = {p.name: p.stat().st_mtime_ns for p in done}
    result = run("batch", source, "--out-dir", out, *QUICK, "--json", "--quiet")
    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)["done"] == 4
    assert all((out / name).stat().st_mtime_ns == when for name, when in times.items())


# Several times: the journal was once closed under a worker's hands, in one run of four.
@pytest.mark.parametrize("turn", range(5))
def test_ctrl_c_ends_its_workers(clip: Path, tmp_path: Path, turn: int) -> None:
    long = tmp_path / "long.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "400", "-i", str(clip), "-c", "copy",
                    str(long)], check=True)  # fmt: skip
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ncavideo", "batch", long, "--out-dir", out, *QUICK]
    process = subprocess.Popen(
        [str(a) for a in [*command, "--steps", "60"]], stderr=subprocess.PIPE
    )
    until(lambda: list(out.glob(".*.work")), "a render that has begun", process=process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not list(out.glob("*.mp4"))
    assert running_with(str(out)) == []


def running_with(argument: str) -> list[str]:
    """Return the command lines of the processes that were started with `argument`."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if argument.encode() in (text := line.read_bytes()):
                found.append(os.fsdecode(text.replace(b"\0", b" ")))
    return found


def test_a_crash_is_tried_again(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies is replaced, and the journal says how often."""
    from ncavideo.batch import run as batch

    monkeypatch.setattr(batch, "BACKOFF", 0.01)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = Job(clip, tmp_path / "out" / "o.mp4", RenderOptions(**ASKED))
    report = run_batch([job], tmp_path / "out", workers=1, retries=2)
    (entry,) = report.entries
    assert (entry.state, entry.attempts) == ("failed", 3)
    assert "died (exit code 1)" in entry.reason


def test_a_worker_that_cannot_be_started_fails_its_clip(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that was to start it once died of it, and the batch ended as if all were well."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    result = run("batch", folder, "--out-dir", tmp_path / "out", *QUICK, "--workers", 2,
                 "--retries", 0, "--json", "--quiet")  # fmt: skip
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["done"], found["failed"]) == (0, 9)
    assert result.stderr.count("failed: ") == 9
    assert {job["reason"] for job in found["jobs"]} == {
        "its process died (it cannot be started: No such file or directory)"
    }


def test_a_worker_ends_in_peace(clip: Path, tmp_path: Path) -> None:
    """Its watch over its input must not get in the way at the end."""
    order = {
        "clip": os.fsencode(clip).hex(),
        "output": os.fsencode(tmp_path / "o.mp4").hex(),
        "options": ASKED,
        "cores": None,
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "ncavideo.batch.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(order).encode() + b"\n")
    worker.stdin.flush()
    worker.wait(PATIENCE)  # its input is still open
    _, said = worker.communicate()
    assert (worker.returncode, said) == (0, b"")
    assert (tmp_path / "o.mp4").exists()
