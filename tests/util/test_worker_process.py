"""Processes that work for this one: what they say, how they end, and that they always do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from patience import PATIENCE

from ncavideo.util.worker_process import LostError, WorkerProcess

WORKER = """
import os, signal, sys, time
from ncavideo.util.worker_process import read_job, say
job = read_job()
try:
    say(kind="begun", process=os.getpid(), job=job)
    if job["do"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job["do"] == "leave":
        sys.exit(3)
    if job["do"] == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(kind="deaf")
        time.sleep(600)
    if job["do"] == "wait":
        time.sleep(600)
except KeyboardInterrupt:
    say(kind="stopped")
else:
    say(kind="done")
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    (tmp_path / "a_worker.py").write_text(WORKER)
    paths = [str(tmp_path), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return WorkerProcess("a_worker", PATIENCE)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_job_and_its_messages(worker: WorkerProcess) -> None:
    for number in range(2):  # each in a process of its own
        begun, last = worker.run({"do": "work", "number": number})
        assert begun["job"] == {"do": "work", "number": number}
        assert last == {"kind": "done"}
        assert gone(begun["process"])


@pytest.mark.parametrize(("do", "reason"), [("die", "signal 9"), ("leave", "exit code 3")])
def test_a_worker_without_a_last_message_is_lost(
    worker: WorkerProcess, do: str, reason: str
) -> None:
    with pytest.raises(LostError, match=reason):
        list(worker.run({"do": do}))


def test_a_worker_that_cannot_be_started(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(LostError, match="it cannot be started: No such file"):
        list(worker.run({"do": "work"}))


def test_stop_lets_it_save_its_work(worker: WorkerProcess) -> None:
    kinds = []
    for message in worker.run({"do": "wait"}):
        kinds.append(message["kind"])
        worker.stop()
    assert kinds == ["begun", "stopped"]


def test_a_stop_that_comes_before_the_process_is_not_lost(worker: WorkerProcess) -> None:
    worker.stop()
    began = time.monotonic()
    # SIGTERM may come before the worker listens for it: then it ends at once.
    with pytest.raises(LostError, match="signal 15"):
        list(worker.run({"do": "wait"}, lambda: True))
    assert time.monotonic() - began < PATIENCE, "it was waited for to the end"


def test_nobody_listens_any_more(worker: WorkerProcess) -> None:
    messages = worker.run({"do": "wait"})
    process = next(messages)["process"]
    messages.close()  # type: ignore[attr-defined]
    assert gone(process)


def test_one_that_does_not_end_is_killed(worker: WorkerProcess) -> None:
    worker._patience = 1.0
    messages = worker.run({"do": "ignore"})
    process = next(messages)["process"]
    assert next(messages)["kind"] == "deaf"
    worker.end()
    assert gone(process)
    with pytest.raises(LostError, match="signal 9"):
        next(messages)
