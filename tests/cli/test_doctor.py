"""`ncavideo doctor`: unfinished renders and abandoned files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from interrupted import cut_short, make_clip, run

from ncavideo.cli import doctor
from ncavideo.cli.machine import _mark


def test_doctor_knows_what_was_left(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path_factory.mktemp("clips") / "in.mp4")
    cut_short(clip, tmp_path / "out.mp4", 1, signal.SIGKILL)
    monkeypatch.chdir(tmp_path)
    said = run("doctor").stdout
    assert "unfinished render" in said
    assert "out.mp4: 250 frames" in said or "out.mp4: 500 frames" in said
    assert "removed .out.mp4." in run("doctor", "--clean").stderr
    assert list(tmp_path.iterdir()) == []


def test_doctor_cleans_what_killed_processes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.chdir(tmp_path)
    old = time.time() - 7200
    for name in (f".out.mp4.{gone.pid}.0a1b2c.part", f".s.png.{gone.pid}.0a1b2c.part.png",
                 f".alive.mp4.{os.getpid()}.0a1b2c.part", ".a user's own.part"):  # fmt: skip
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / f".f_%d.png.{gone.pid}.aaaaaa.part").mkdir()
    os.utime(tmp_path / f".f_%d.png.{gone.pid}.aaaaaa.part", (old, old))
    (tmp_path / f".new.mp4.{gone.pid}.0a1b2c.part").touch()
    listed = [check.detail for check in doctor._abandoned()]
    assert len(listed) == 3
    assert len(doctor.clean()) == 3
    assert {path.name for path in tmp_path.iterdir()} == {
        f".alive.mp4.{os.getpid()}.0a1b2c.part",
        ".a user's own.part",
        f".new.mp4.{gone.pid}.0a1b2c.part",
    }


def test_doctor_cleans_what_a_render_killed_at_once_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".a.mp4.0123456789ab.work", ".b.mp4.0123456789ab.work", ".c.mp4.0123456789ab.work",
                 ".mine.work", ".mine.0123456789ab.work"):  # fmt: skip
        (tmp_path / name).mkdir()
    (tmp_path / ".b.mp4.0123456789ab.work" / "lock").touch()
    (tmp_path / ".c.mp4.0123456789ab.work" / "job.json").touch()
    (tmp_path / ".mine.0123456789ab.work" / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert len(doctor._unfinished()) == 3
    assert [path.name[:2] for path in doctor.clean()] == [".a", ".b", ".c"]
    assert {path.name for path in tmp_path.iterdir()} == {".mine.work", ".mine.0123456789ab.work"}


def test_doctor_does_not_say_that_it_removed_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = tmp_path / ".s.mp4.1.0a1b2c.part", tmp_path / ".s.mp4.1.0a1b2d.part"
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == stays:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    for path in (stays, goes):
        path.touch()
    monkeypatch.setattr(Path, "unlink", refused)
    monkeypatch.setattr(doctor, "abandoned", lambda folder: [stays, goes])
    monkeypatch.chdir(tmp_path)
    assert doctor.clean() == [goes]
    assert list(tmp_path.iterdir()) == [stays]


@pytest.mark.parametrize("cuda", ["13.2", None])
def test_doctor_names_a_torch_that_cannot_use_the_gpu(
    cuda: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert ("built without CUDA" in doctor._devices().detail) == (cuda is None)


@pytest.mark.parametrize(
    ("mark", "facts"),
    [
        ("ok", {"ok": True}),
        ("??", {"ok": True, "doubt": True}),
        ("NO", {"ok": False}),
        ("--", {"ok": False, "needed": False}),
    ],
)
def test_what_is_not_needed_is_no_failure(mark: str, facts: dict[str, bool]) -> None:
    """As an engine for GPUs on a machine without one."""
    assert _mark(doctor.Check("engine", detail="", **facts)) == mark
