"""Whole commands on a file system that has no locks to give, as some network shares."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from interrupted import segments
from patience import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX locks")]

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8", "--quiet"]
# Read by every Python that is started with its folder on the path, workers included.
REFUSES = """
import errno, fcntl

def refused(*arguments):
    raise OSError(errno.ENOLCK, "No locks available")

fcntl.flock = fcntl.lockf = refused
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose processes get no lock."""
    patched = tmp_path / "patched"
    patched.mkdir()
    (patched / "sitecustomize.py").write_text(REFUSES)
    before = os.environ.get("PYTHONPATH")
    paths = [str(patched), *([before] if before else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def start(folder: Path, environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ncavideo", *map(str, arguments)],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_no_process_gets_a_lock_here(tmp_path: Path, environment: dict[str, str]) -> None:
    ask = (
        "import sys; from pathlib import Path; from ncavideo.util.lock import Lock\n"
        "print(Lock(Path(sys.argv[1]), 'busy').refused)"
    )
    command = [sys.executable, "-c", ask, str(tmp_path / "lock")]
    assert subprocess.check_output(command, env=environment, text=True).strip() == "True"


def test_a_killed_render_resumes(clip: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    command = ["render", clip, *QUICK, "--after", "12", "-o", "out.mp4"]
    killed = start(tmp_path, environment, *command)
    until(lambda: segments(tmp_path), "a closed segment", process=killed, every=0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "out.mp4").exists()
    resumed = start(tmp_path, environment, *command, "--json")
    said, errors = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, errors
    assert json.loads(said)["resumed"] > 0
    whole = start(tmp_path, dict(os.environ), *command[:-1], "whole.mp4")
    whole.communicate(timeout=PATIENCE)
    assert whole.returncode == 0
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_batch_renders_all_and_has_nothing_to_do_again(
    clip: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.mp4").write_bytes(clip.read_bytes())
    command = ["batch", "in", "--out-dir", "out", *QUICK, "--workers", "2", "--json"]
    written = []
    for _ in range(2):
        batch = start(tmp_path, environment, *command)
        said, errors = batch.communicate(timeout=PATIENCE)
        assert batch.returncode == 0, errors
        report = json.loads(said)
        assert (report["done"], report["failed"], report["skipped"]) == (2, 0, 0)
        outputs = sorted((tmp_path / "out").glob("*.mp4"))
        written.append([(path.name, path.stat().st_mtime_ns) for path in outputs])
    assert len(written[0]) == 2
    assert written[1] == written[0], "nothing is rendered twice"
