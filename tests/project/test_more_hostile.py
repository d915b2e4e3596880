"""Names and numbers that once hung, or ended with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import ffmpeg, source

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "1", "--cell", "8", "--quiet"]
RENDER = ["render", "a.mp4", *QUICK]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ffmpeg(*source(), folder / "a.mp4")
    command = [sys.executable, "-m", "ncavideo", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_takes_no_folders(tmp_path: Path) -> None:
    done = run(tmp_path, *RENDER, "-o", "/proc/out.mp4")
    assert done.returncode == 2
    assert "cannot be made" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_with_a_colon(tmp_path: Path) -> None:
    done = run(tmp_path, *RENDER, "-o", "tcp:out.mp4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tcp:out.mp4").stat().st_size > 1000


def test_a_seed_that_no_float_holds(tmp_path: Path) -> None:
    done = run(tmp_path, *RENDER, "-o", "out.mp4", "--seed", "1" + "0" * 400)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_list_with_a_zero_byte(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"clip\na\0b.mp4\n")
    done = run(tmp_path, "batch", "list.csv", "--out-dir", "out", *QUICK)
    assert done.returncode == 2
    assert "holds a zero byte" in done.stderr


def test_a_checkpoint_that_is_waited_for(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from ncavideo.training.run import _restore
    from ncavideo.util.errors import UserError

    assert torch
    os.mkfifo(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="not a regular file"):
        _restore(None, tmp_path / "checkpoint.pt")  # type: ignore[arg-type]
