"""The journal of a batch: it survives a crash, and its loss loses no clip."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from quick_batch import ASKED, three_jobs

from ncavideo.batch.jobs import Job
from ncavideo.batch.journal import NAME, Entry, Journal
from ncavideo.batch.run import run_batch
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("damage", ["drop table jobs", "delete from jobs", "a foreign file"])
def test_a_journal_that_breaks_leaves_no_clip_without_a_word(
    damage: str, clip: Path, tmp_path: Path
) -> None:
    out, jobs = tmp_path / "out", three_jobs(clip, tmp_path)
    told = []

    def break_it(job: Job, entry: Entry) -> None:
        told.append(entry)
        if len(told) == 1 and damage == "a foreign file":
            (out / NAME).write_bytes(b"no database at all" * 400)
        elif len(told) == 1:
            with contextlib.closing(sqlite3.connect(out / NAME)) as base, base:
                base.execute(damage)

    report = run_batch(jobs, out, workers=1, retries=0, finished=break_it)
    assert [entry.key for entry in report.entries] == [job.key for job in jobs]
    assert len(told) == 3
    if damage == "delete from jobs":  # what a journal has forgotten is written into it again
        assert {entry.state for entry in report.entries} == {"done"}
        assert all(job.output.exists() for job in jobs)
        return
    assert [entry.state for entry in report.entries] == ["done", *["failed"] * 2]
    assert all(f"the journal {out / NAME}" in entry.reason for entry in report.entries[1:])


def test_the_journal_survives_a_crash(clip: Path, tmp_path: Path) -> None:
    job = Job(clip, tmp_path / "o.mp4", RenderOptions(**ASKED))
    journal = Journal(tmp_path / NAME)
    journal.enter(job)
    journal.begin(job.key)
    journal.close()
    again = Journal(tmp_path / NAME)
    assert again.enter(job).state == "queued"
    again.begin(job.key)
    job.output.touch()
    assert again.enter(job).state == "done"  # its worker lived on
    again.finish(job.key, "done", frames=5)
    assert again.enter(job).state == "done"
    again.close()
    other = Job(clip, tmp_path / "o.mp4", RenderOptions(**ASKED, seed=1))
    assert other.key != job.key
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / NAME).write_bytes(b"not a journal, but long enough to be looked at" * 9)
    with pytest.raises(UserError, match="journal"):
        Journal(tmp_path / "x" / NAME)


def test_a_journal_of_an_earlier_version_is_read(clip: Path, tmp_path: Path) -> None:
    """It has no notes."""
    path, job = tmp_path / "j.sqlite", Job(clip, tmp_path / "o.mp4", RenderOptions(**ASKED))
    with contextlib.closing(Journal(path)) as journal:
        journal.enter(job)
        journal.finish(job.key, "done", frames=5)
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("alter table jobs drop column notes")
        base.commit()
    with contextlib.closing(Journal(path)) as journal:
        assert (journal.entry(job.key).frames, journal.entry(job.key).notes) == (5, ())
        journal.finish(job.key, "done", notes=["a note"])
        assert journal.entry(job.key).notes == ("a note",)
