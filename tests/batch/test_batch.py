"""A batch: which clips are rendered, and what is told of the others."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from quick_batch import ASKED, QUICK, run, three_jobs

from ncavideo.batch.jobs import Job, find_jobs
from ncavideo.batch.render_process import RenderProcess
from ncavideo.batch.run import run_batch
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


def test_good_ones_are_rendered_and_bad_ones_are_told(folder: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run("batch", folder, "--out-dir", out, *QUICK, "--workers", 2, "--json", "--quiet",
                 "--recursive", "--report", report)  # fmt: skip
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found == json.loads(report.read_text())
    assert (found["done"], found["failed"], found["skipped"]) == (6, 4, 0)
    for job in found["jobs"]:
        assert bool(job["reason"]) == (job["state"] == "failed")
        assert job["attempts"] == 1
    outputs = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
    assert len(outputs) == 6
    assert "two words.fire-moss.mp4" in outputs
    assert not [p for p in out.iterdir() if ".part" in p.name or ".work" in p.name]
    # Again: only the four are tried.
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir() if p.suffix == ".mp4"}
    again = json.loads(
        run("batch", folder, "--out-dir", out, *QUICK, "--recursive", "--json", "--quiet").stdout
    )
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir() if p.suffix == ".mp4"} == before
    assert [job["attempts"] for job in again["jobs"] if job["state"] == "done"] == [1] * 6
    assert [job["attempts"] for job in again["jobs"] if job["state"] == "failed"] == [2] * 4


def test_existing_outputs_are_left_alone(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "in.fire-moss.mp4").write_text("mine")
    result = run("batch", clip, "--out-dir", out, *QUICK, "--json", "--quiet")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["skipped"] == 1
    assert (out / "in.fire-moss.mp4").read_text() == "mine"
    result = run("batch", clip, "--out-dir", out, *QUICK, "--json", "--quiet", "--overwrite")
    assert json.loads(result.stdout)["done"] == 1


def test_what_cannot_be_asked_for(folder: Path, tmp_path: Path) -> None:
    twice = [str(folder / "plain.mp4")] * 2
    with pytest.raises(UserError, match="would both become"):
        find_jobs(twice, tmp_path, ASKED)
    for template in ("{clip}", "same.mp4", "{stem", "{stem:d}", "{stem:99999999999999999999}",
                     "{number:d}", "{stem!q}"):  # fmt: skip
        with pytest.raises(UserError, match="template"):
            find_jobs(twice[:1], tmp_path, ASKED, template=template)
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match="no clip in"):
        find_jobs([str(tmp_path / "bare")], tmp_path, ASKED)
    for missing, kind in (("nowhere", "folder"), ("nowhere.csv", "list"), ("none.TOML", "list")):
        with pytest.raises(UserError, match=f"there is no {kind} {missing}"):
            find_jobs([missing], tmp_path, {"rules": ("fire",)})
    with pytest.raises(UserError, match="nothing matches"):
        find_jobs([str(tmp_path / "*.mkv")], tmp_path, ASKED)
    with pytest.raises(UserError, match="no rules"):
        find_jobs(twice[:1], tmp_path, {})
    for bad in (["--workers", 0], ["--retries", -1], ["--shade", 3]):
        assert run("batch", folder, "--out-dir", tmp_path / "o", *QUICK, *bad).exit_code == 2
    (tmp_path / "file").touch()
    assert run("batch", folder, "--out-dir", tmp_path / "file", *QUICK).exit_code == 2


def test_what_was_left_out_is_told_of_every_clip(tmp_path: Path) -> None:
    clip, out = tmp_path / "in.mkv", tmp_path / "out"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.2",
         "-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "libopus", str(clip)],
        check=True,
    )  # fmt: skip
    said = run("batch", clip, "--out-dir", out, *QUICK, "--template", "{stem}.mov").output
    assert "note: the sound stream in opus was left out" in said
    # The journal has it, for a batch that finds all done.
    again = json.loads(
        run("batch", clip, "--out-dir", out, *QUICK, "--template", "{stem}.mov", "--json",
            "--quiet").stdout
    )  # fmt: skip
    assert (again["jobs"][0]["state"], again["jobs"][0]["attempts"]) == ("done", 1)
    assert "opus was left out" in again["jobs"][0]["notes"][0]


def test_what_the_muxer_refuses_is_not_tried_again(clip: Path, tmp_path: Path) -> None:
    job = Job(clip, tmp_path / "out" / "o.mov", RenderOptions(**ASKED, codec="vp9"))
    (entry,) = run_batch([job], tmp_path / "out", workers=1, retries=2).entries
    assert (entry.state, entry.attempts) == ("failed", 1)
    assert "mov cannot hold vp9 video" in entry.reason


def test_a_bug_in_a_thread_fails_its_clip_alone(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, jobs = tmp_path / "out", three_jobs(clip, tmp_path)
    rendered = RenderProcess.render

    def sometimes(self: RenderProcess, order: dict[str, Any]) -> Any:
        if order["clip"] == os.fsencode(jobs[1].clip).hex():
            raise ZeroDivisionError("a bug")
        return rendered(self, order)

    monkeypatch.setattr(RenderProcess, "render", sometimes)
    report = run_batch(jobs, out, workers=1)
    assert [entry.state for entry in report.entries] == ["done", "failed", "done"]
    assert "ZeroDivisionError: a bug" in report.entries[1].reason
