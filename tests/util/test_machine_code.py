"""Machine code that is kept for the next run is right, or is not used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = """
from ncavideo.util.machine_code import compiled

@compiled()
def answer(x):
    return x + {number}
"""
RUN = """
import sys
sys.path.insert(0, ".")
{before}
import subject
print(subject.answer(1), sum(subject.answer.stats.cache_hits.values()))
"""
# What dies, or finds the disk full, at the n-th file of Numba's that is about to be there.
AT = """
import errno, os
replace, left = os.replace, [{calls}]
def failing(source, target):
    left[0] -= target.endswith((".nbi", ".nbc"))
    if left[0] == 0:
        {fault}
    replace(source, target)
os.replace = failing
"""
KILL = "os.kill(os.getpid(), 9)"
FULL = "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))"


def run(folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN.format(before=before)], cwd=folder, text=True,
        capture_output=True, env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "kept")},
    )  # fmt: skip


def write(folder: Path, number: int) -> None:
    (folder / "subject.py").write_text(SOURCE.format(number=number))
    os.utime(folder / "subject.py", (number, number))  # by which Numba knows a source


def kept(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder / "kept").rglob(f"*.{suffix}"))


def test_it_is_kept(tmp_path: Path) -> None:
    write(tmp_path, 1)
    assert run(tmp_path).stdout.split() == ["2", "0"]
    assert run(tmp_path).stdout.split() == ["2", "1"]


def test_an_old_source_leaves_nothing(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(tmp_path, number)
        assert run(tmp_path).stdout.split() == [str(1 + number), "0"]
    assert len(kept(tmp_path, "nbc")) == 1


@pytest.mark.parametrize("fault", [KILL, FULL])
@pytest.mark.parametrize("calls", [1, 2])
def test_a_new_source_never_gets_the_code_of_an_old_one(
    tmp_path: Path, calls: int, fault: str
) -> None:
    """However its first compilation ends."""
    write(tmp_path, 1)
    assert run(tmp_path).returncode == 0
    write(tmp_path, 2)
    ended = run(tmp_path, AT.format(calls=calls, fault=fault))
    if fault == KILL:
        assert ended.returncode == -signal.SIGKILL
    else:
        assert ended.stdout.split() == ["3", "0"], ended.stderr
    for hits in ("0", "1"):
        assert run(tmp_path).stdout.split() == ["3", hits]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x05damaged"])
def test_damaged_code_is_compiled_anew(tmp_path: Path, suffix: str, content: bytes) -> None:
    write(tmp_path, 1)
    run(tmp_path)
    (path,) = kept(tmp_path, suffix)
    path.write_bytes(content)
    found = run(tmp_path)
    assert found.stdout.split() == ["2", "0"], found.stderr
    assert run(tmp_path).stdout.split() == ["2", "1"]
