"""Batches of the same clips, one after another and at once: nothing is rendered twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from quick_batch import ASKED, QUICK, pictures_list, run

from ncavideo.batch.jobs import Job
from ncavideo.batch.journal import NAME
from ncavideo.batch.run import JobProgress, run_batch
from ncavideo.rendering.options import RenderOptions

pytestmark = pytest.mark.slow


def test_numbered_pictures_are_not_rendered_twice(clip: Path, tmp_path: Path) -> None:
    out, list_ = tmp_path / "out", pictures_list(clip, tmp_path)
    command = ["batch", list_, "--out-dir", out, *QUICK, "--json", "--quiet"]
    (first,) = json.loads(run(*command).stdout)["jobs"]
    assert (first["state"], first["frames"]) == ("done", 5)
    again = run(*command)
    assert again.exit_code == 0
    assert not first["by_another"]
    assert json.loads(again.stdout)["jobs"] == [first | {"by_another": True}]
    shown = run(*command[:-2]).stderr
    assert "1 done (1 of them by another run), 0 failed, 0 skipped" in shown
    # Somebody else's are left alone, and told as such.
    (out / NAME).unlink()
    (skipped,) = json.loads(run(*command).stdout)["jobs"]
    assert (skipped["state"], skipped["attempts"]) == ("skipped", 0)
    (out / "f_0001.png").unlink()
    assert json.loads(run(*command).stdout)["jobs"][0]["state"] == "done"


def equal_batches(clip: Path, tmp_path: Path, *more: str) -> list[dict[str, Any]]:
    """Start two equal batches of clips and numbered pictures at once; return their reports."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(3):
        (source / f"{index}.mp4").write_bytes(clip.read_bytes())
    list_ = pictures_list(clip, tmp_path)
    command = [sys.executable, "-m", "ncavideo", "batch", source, list_, "--out-dir", out,
               *QUICK, "--workers", 2, "--json", *more]  # fmt: skip
    both = [
        subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    reports = []
    for batch in both:
        told, errors = batch.communicate(timeout=PATIENCE)
        assert (batch.returncode, b"failed" in errors) == (0, False), errors
        reports.append(json.loads(told))
    return reports


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_two_equal_batches_share_the_work(
    clip: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Whole outputs were once journalled as failed: the other batch had made them."""
    one, other = equal_batches(clip, tmp_path, *more)
    for report in (one, other):
        assert (report["done"], report["failed"], report["skipped"]) == (4, 0, 0)
        assert [job["attempts"] for job in report["jobs"]] == [1] * 4
    assert [job["output"] for job in one["jobs"]] == [job["output"] for job in other["jobs"]]
    for job, same in zip(one["jobs"], other["jobs"], strict=True):
        assert {job.pop("by_another"), same.pop("by_another")} == {True, False}
    assert one["jobs"] == other["jobs"]


def test_a_batch_takes_over_from_one_that_was_killed(clip: Path, tmp_path: Path) -> None:
    out, job = tmp_path / "out", Job(clip, tmp_path / "out" / "o.mp4", RenderOptions(**ASKED))
    out.mkdir()
    hold = (
        "import sys, time; from pathlib import Path; from ncavideo.batch.journal import Journal\n"
        "claims = Journal(Path(sys.argv[1])).claims; print(claims.claim(sys.argv[2]), flush=True)\n"
        "time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", hold, out / NAME, job.key],
                             stdout=subprocess.PIPE)  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == b"True\n"
    waited: list[JobProgress] = []

    def news(told: JobProgress) -> None:
        if told.elsewhere:
            waited.append(told)
            assert not list(out.glob("*.mp4"))
            other.kill()

    try:
        report = run_batch([job], out, workers=1, news=news)
    finally:
        other.kill()
        other.communicate()
    assert [told.job for told in waited] == [job]
    assert [(entry.state, entry.attempts) for entry in report.entries] == [("done", 1)]
