"""The log: one JSON object a line, of every command, also of what its workers meet."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ncavideo.cli import doctor
from ncavideo.cli.main import main
from ncavideo.nca import engines
from ncavideo.util import events

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8", "--quiet"]


@pytest.fixture(autouse=True)
def no_handlers_left() -> Iterator[None]:
    before = list(events.LOGGER.handlers)
    yield
    for handler in set(events.LOGGER.handlers) - set(before):
        events.LOGGER.removeHandler(handler)
        handler.close()
    events.LOGGER.setLevel(logging.NOTSET)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def lines(path: Path) -> list[dict[str, object]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for line in found:
        assert datetime.fromisoformat(str(line["time"])).tzinfo is not None
        assert {"level", "event", "process"} <= line.keys()
    return found


def test_a_render_is_logged(clip: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.mp4"
    assert run("render", clip, "-o", out, *QUICK, "--log-file", log).exit_code == 0
    begin, done = lines(log)[1], lines(log)[-1]
    assert [line["event"] for line in lines(log)] == ["command", "render.begin", "render.done"]
    assert (begin["clip"], begin["frames"], begin["cells"]) == (str(clip), 5, [8, 6])
    assert (done["output"], done["frames"], done["level"]) == (str(out), 5, "info")
    # What fails is told, too, and the log goes on where it ended.
    assert run("render", clip, "-o", out, *QUICK, "--log-file", log).exit_code == 2
    last = lines(log)[-1]
    assert (last["event"], last["level"], last["exit_code"]) == ("failed", "error", 2)
    assert "--overwrite" in str(last["reason"])
    assert "traceback" not in last


@pytest.mark.slow
def test_a_batch_logs_what_its_workers_meet(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    log = tmp_path / "log.jsonl"
    result = run("batch", clip, tmp_path / "bad.mp4", "--out-dir", tmp_path / "o", *QUICK,
                 "--log-file", log)  # fmt: skip
    assert result.exit_code == 1
    found = lines(log)
    names = [line["event"] for line in found]
    assert names[:2] == ["command", "batch.begin"]
    assert {"render.begin", "render.done"} <= set(names)
    jobs = {line["clip"]: line for line in found if line["event"] == "batch.job"}
    assert jobs[str(clip)]["state"] == "done"
    bad = jobs[str(tmp_path / "bad.mp4")]
    assert bad["level"] == "error"
    assert bad["reason"]
    assert names[-1] == "batch.done"
    (failed,) = (line for line in found if line["event"] == "render.failed")
    assert failed["reason"] == bad["reason"]
    assert "Traceback" in str(failed["traceback"])


def test_a_crash_is_logged_with_its_traceback(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ncavideo.rendering import render

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(render, "render", broken)
    log = tmp_path / "log.jsonl"
    assert run("render", clip, "-o", tmp_path / "o.mp4", *QUICK, "--log-file", log).exit_code == 1
    last = lines(log)[-1]
    assert last["event"] == "crashed"
    assert "ZeroDivisionError: of all things" in str(last["traceback"])


def test_a_sentence_hides_no_fault_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that stands for another one is logged with the other one's traceback."""
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    log = tmp_path / "log.jsonl"
    out = tmp_path / "o.mp4"
    assert run("render", tmp_path / "bad.mp4", "-o", out, *QUICK, "--log-file", log).exit_code == 2
    last = lines(log)[-1]
    assert (last["event"], last["exit_code"]) == ("failed", 2)
    assert "InvalidDataError" in str(last["traceback"])

    def broken() -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(doctor, "_devices", broken)
    monkeypatch.setattr(doctor, "_engines", list)
    log = tmp_path / "doctor.jsonl"
    assert run("doctor", "--log-file", log).exit_code == 1
    (failed,) = (line for line in lines(log) if line["event"] == "doctor.failed")
    assert failed["what"] == "devices"
    assert "ZeroDivisionError: of all things" in str(failed["traceback"])


def test_every_command_can_log_and_a_log_that_cannot_be_is_told(tmp_path: Path) -> None:
    for command in (["render"], ["batch"], ["still"], ["train"], ["presets", "list"], ["doctor"]):
        assert "--log-file" in run(*command, "--help").stdout
    result = run("presets", "list", "--log-file", tmp_path / "no" / "log")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_names_of_any_bytes_are_logged(tmp_path: Path) -> None:
    events.log_to(tmp_path / "log")
    events.event("seen", name="b\udcff\n")
    events.LOGGER.handlers[-1].close()
    assert lines(tmp_path / "log")[0]["name"] == "b\udcff\n"


def test_a_warning_is_said_once(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = engines._load

    def without_fused(name: str) -> type[engines.Engine]:
        if name == "fused":
            raise RuntimeError("no such\ninstruction")
        return load(name)

    monkeypatch.setattr(engines, "_load", without_fused)
    done = run("render", clip, "-o", tmp_path / "out.mp4", *QUICK)
    assert done.exit_code == 0
    assert done.stderr == (
        "ncavideo: the engine fused does not work here (RuntimeError: no such); using a slower"
        " one\n"
    )
    assert events.LOGGER.propagate


@pytest.mark.slow
def test_events_are_not_printed_where_a_library_has_set_up_logging(tmp_path: Path) -> None:
    code = (
        "import logging; logging.warning('a library'); from ncavideo.cli.main import main;"
        f" main(['render', {str(tmp_path / 'none.mp4')!r}, '--rules', 'fire'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    first, *said = done.stderr.splitlines()
    assert first == "WARNING:root:a library"
    assert len(said) == 1 and said[0].startswith("ncavideo: ") and done.returncode == 2
