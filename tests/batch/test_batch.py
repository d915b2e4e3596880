"""Many clips: which, under what names, and that nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from patience import PATIENCE, until

from ncavideo.batch.jobs import Job, find_jobs
from ncavideo.batch.journal import NAME, Entry, Journal
from ncavideo.batch.render_process import RenderProcess
from ncavideo.batch.run import JobProgress, run_batch
from ncavideo.cli.main import main
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8"]
ASKED = {"rules": ("fire", "moss"), "steps": 1, "warmup": 2, "cell": 8}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Five good clips with hard names, one below, and four that are none."""
    here = tmp_path / "in"
    (here / "below").mkdir(parents=True)
    data = clip.read_bytes()
    for name in ("plain.mp4", "two words.mp4", 'it\'s "x".mp4', "new\nline.mp4", "below/deep.mp4"):
        (here / name).write_bytes(data)
    (here / os.fsdecode(b"b\xffd.mp4")).write_bytes(data)
    (here / "empty.mp4").touch()
    (here / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (here / "cut.mp4").write_bytes(data[: len(data) // 2])
    (here / "gone.mp4").symlink_to(here / "nowhere.mp4")
    (here / "notes.txt").write_text("not a clip")
    (here / "below" / "loop").symlink_to(here)
    return here


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


@pytest.mark.parametrize("damage", ["drop table jobs", "delete from jobs", "a foreign file"])
def test_a_journal_that_breaks_leaves_no_clip_without_a_word(
    damage: str, clip: Path, tmp_path: Path
) -> None:
    out, jobs = tmp_path / "out", []
    for index in range(3):
        copy = tmp_path / f"{index}.mp4"
        copy.write_bytes(clip.read_bytes())
        jobs.append(Job(copy, out / f"{index}.mp4", RenderOptions(**ASKED)))
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


def test_a_bug_in_a_thread_fails_its_clip_alone(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, jobs = tmp_path / "out", []
    for index in range(3):
        copy = tmp_path / f"{index}.mp4"
        copy.write_bytes(clip.read_bytes())
        jobs.append(Job(copy, out / f"{index}.mp4", RenderOptions(**ASKED)))
    rendered = RenderProcess.render

    def sometimes(self: RenderProcess, order: dict[str, Any]) -> Any:
        if order["clip"] == os.fsencode(jobs[1].clip).hex():
            raise ZeroDivisionError("a bug")
        return rendered(self, order)

    monkeypatch.setattr(RenderProcess, "render", sometimes)
    report = run_batch(jobs, out, workers=1)
    assert [entry.state for entry in report.entries] == ["done", "failed", "done"]
    assert "ZeroDivisionError: a bug" in report.entries[1].reason


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


def pictures_list(clip: Path, folder: Path) -> Path:
    list_ = folder / "list.toml"
    list_.write_text(f'[[job]]\nclip = "{clip}"\noutput = "f_%04d.png"\n')
    return list_


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


# What is to be rendered


def names(jobs: list[Job]) -> list[str]:
    return [job.output.name for job in jobs]


def test_dry_run_does_nothing(folder: Path, tmp_path: Path) -> None:
    result = run("batch", folder, "--out-dir", tmp_path / "out", *QUICK, "--dry-run")
    assert result.exit_code == 0
    assert "plain.fire-moss.mp4" in result.stdout
    assert not (tmp_path / "out").exists()


def test_folders_patterns_and_templates(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert len(find_jobs([str(folder)], out, ASKED)) == 9
    assert len(find_jobs([str(folder)], out, ASKED, recursive=True)) == 10
    jobs = find_jobs([str(folder / "p*.mp4"), str(folder / "below")], out, ASKED,
                     template="{number}-{parent}-{stem}{suffix}")  # fmt: skip
    assert names(jobs) == ["0001-in-plain.mp4", "0002-below-deep.mp4"]
    matte = find_jobs([str(folder / "plain.mp4")], out, ASKED | {"matte": True})
    assert names(matte) == ["plain.fire-moss.mov"]


def test_lists_have_their_own_options(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "clip,output,rules,shade,flow\n"
        f"{clip},a.mp4,water;magma,0.2,true\n"
        f"{clip},,,,\n"
    )  # fmt: skip
    (tmp_path / "list.toml").write_text(
        f'[[job]]\nclip = "{clip}"\noutput = "b.mp4"\ncontrol = ["fire=edges"]\nstart = 1\n'
    )
    jobs = find_jobs([str(tmp_path / "list.csv"), str(tmp_path / "list.toml")], tmp_path, ASKED)
    assert names(jobs) == ["a.mp4", "in.fire-moss.mp4", "b.mp4"]
    first, second, third = (job.options for job in jobs)
    assert (first.rules, first.shade, first.flow) == (("water", "magma"), 0.2, True)
    assert second == RenderOptions(**ASKED)
    assert (third.control, third.start) == (("fire=edges",), 1.0)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("l.csv", "file\na.mp4\n", "unknown key 'file'"),
        ("l.csv", "clip,steps\na.mp4,many\n", "whole number"),
        ("l.csv", "rules\nfire\n", "names no clip"),
        ("l.toml", "job = 3", "[[job]] tables"),
        ("l.toml", "[[job]]\nclip = 3", "must be a text"),
        ("l.toml", "[[job", "not TOML"),
        ("l.toml", "[[job]]\nsteps = " + "9" * 5000, "not TOML"),
        ("l.toml", '[[job]]\nclip = "a.mp4"\noutput = "../../x.mp4"', "outside"),
        ("l.csv", "clip\n", "no clip to render"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, name: str, text: str, match: str) -> None:
    import re

    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(match)):
        find_jobs([str(tmp_path / name)], tmp_path / "out", ASKED)


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
