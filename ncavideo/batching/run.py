"""A batch from beginning to end: workers, retries, the journal, the report."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ncavideo.batching.jobs import Job, as_arguments
from ncavideo.batching.journal import DONE, FAILED, SKIPPED, Entry, Journal
from ncavideo.cores import cores
from ncavideo.errors import UserError
from ncavideo.memory import free

CORES_A_WORKER = 4  # a render alone keeps about as many busy
MEMORY_A_WORKER = 1.5e9  # bytes, for a clip in full HD
BACKOFF = 2.0  # seconds before the second try; twice as long before each other one
PATIENCE = 10.0  # seconds that a worker has to leave in when it is asked to


@dataclass(frozen=True)
class News:
    """What a worker has to tell: which `worker`, of which `job`, and how far it is."""

    worker: int
    job: Job
    done: int
    frames: int | None


@dataclass
class BatchReport:
    """How a batch ended: each job's entry in the journal, in the batch's order."""

    entries: list[Entry] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, state: str) -> int:
        """Return how many jobs ended so."""
        return sum(entry.state == state for entry in self.entries)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        counts = {state: self.count(state) for state in (DONE, FAILED, SKIPPED)}
        return {**counts, "seconds": self.seconds, "jobs": [asdict(e) for e in self.entries]}


def default_workers(jobs: int) -> int:
    """Return how many clips are rendered at once: as many as cores and free memory allow."""
    by_memory = max(1, int((free() or MEMORY_A_WORKER * 64) // MEMORY_A_WORKER))
    return max(1, min(cores() // CORES_A_WORKER, by_memory, jobs))


def run_batch(
    jobs: Sequence[Job],
    out_dir: Path,
    *,
    workers: int | None = None,
    retries: int = 2,
    news: Callable[[News], None] = lambda news: None,
    finished: Callable[[Job, Entry], None] = lambda job, entry: None,
) -> BatchReport:
    """Render all jobs, `workers` at once, each in a process of its own.

    What the journal in `out_dir` knows as done is not done again, while its output is there; what
    failed is tried again. What may pass, as a full disk or a crash, is tried up to `retries` more
    times. Raises `UserError` if the folder cannot be used.
    """
    begun = time.perf_counter()
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {out_dir} cannot be made: {error.strerror}") from error
    if not os.access(out_dir, os.W_OK):
        raise UserError(f"the folder {out_dir} cannot be written to")
    count = workers or default_workers(len(jobs))
    gpus = _gpus(jobs)
    journal = Journal(out_dir)
    waiting: queue.Queue[Job] = queue.Queue()
    team: list[_Worker] = []
    try:
        for job in jobs:
            entry = journal.enter(job)
            if entry.state == DONE and job.output.exists() and not job.options.overwrite:
                finished(job, entry)
            elif entry.state != DONE and job.output.exists() and not job.options.overwrite:
                journal.finish(job.key, SKIPPED, f"{job.output} exists: --overwrite replaces it")
                finished(job, journal.entry(job.key))
            else:
                waiting.put(job)
        team = [
            _Worker(index, count, gpus, waiting, journal, retries, news, finished)
            for index in range(min(count, waiting.qsize()))
        ]
        for worker in team:
            worker.start()
        for worker in team:
            # With a limit, since not every system lets Ctrl-C through to a thread that waits.
            while worker.is_alive():
                worker.join(0.2)
        report = BatchReport([journal.entry(job.key) for job in jobs])
    finally:
        for worker in team:
            worker.leave()
        for worker in team:
            worker.join()
        journal.close()
    report.seconds = time.perf_counter() - begun
    return report


def _gpus(jobs: Sequence[Job]) -> int:
    """Return how many cards there are for jobs that may run on any."""
    from ncavideo.engines import choose_device

    if any(job.options.device not in ("auto", "cuda") for job in jobs):
        return 0
    if choose_device() != "cuda":
        return 0
    import torch

    return int(torch.cuda.device_count())


class _Worker(threading.Thread):
    """Takes jobs from the queue and gives each to a process of its own."""

    def __init__(
        self,
        index: int,
        count: int,
        gpus: int,
        waiting: queue.Queue[Job],
        journal: Journal,
        retries: int,
        news: Callable[[News], None],
        finished: Callable[[Job, Entry], None],
    ) -> None:
        super().__init__(name=f"batch worker {index}", daemon=True)
        self._index, self._waiting, self._journal = index, waiting, journal
        self._retries, self._news, self._finished = retries, news, finished
        self._device = f"cuda:{index % gpus}" if gpus else None
        self._cores = _share_of_cores(index, count)
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving = threading.Event()

    def run(self) -> None:
        """Render until nothing is left."""
        while not self._leaving.is_set():
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            for attempt in range(self._retries + 1):
                if attempt and self._leaving.wait(BACKOFF * 2 ** (attempt - 1)):
                    break
                self._journal.begin(job.key)
                if not self._try(job) or self._leaving.is_set():
                    break
            self._finished(job, self._journal.entry(job.key))

    def _try(self, job: Job) -> bool:
        """Render one clip; return whether it failed in a way that may pass."""
        options = as_arguments(job.options)
        if self._device is not None:
            options["device"] = self._device
        text = {
            "clip": os.fsencode(job.clip).hex(),
            "output": os.fsencode(job.output).hex(),
            "options": options,
            "cores": self._cores,
        }
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "ncavideo.batching.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C reaches the batch, which asks its workers to leave.
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        last: dict[str, Any] = {}
        try:
            process.stdin.write(json.dumps(text).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                last = json.loads(line)
                if last.get("kind") == "progress":
                    self._news(News(self._index, job, last["done"], last["frames"]))
        except (BrokenPipeError, ValueError):
            last = {}
        finally:
            # What a worker that died at once has not read is still to be written, and cannot be.
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            process.wait()
            self._process = None
        return self._noted(job, last, process.returncode)

    def _noted(self, job: Job, last: dict[str, Any], code: int) -> bool:
        if last.get("kind") == "done":
            lost = last["lost"]
            if lost is None:
                self._journal.finish(job.key, DONE, "", last["frames"], last["seconds"])
            else:
                reason = (
                    f"the clip is damaged: {lost['frames']} frames ({lost['seconds']:.2f} s) are"
                    " missing from the output"
                )
                self._journal.finish(job.key, FAILED, reason, last["frames"], last["seconds"])
            return False
        if last.get("kind") == "failed":
            self._journal.finish(job.key, FAILED, last["reason"])
            return bool(last["may_pass"])
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._journal.finish(job.key, FAILED, f"the process that rendered it died ({ended})")
        return not self._leaving.is_set()

    def leave(self) -> None:
        """Ask the worker to give up; what it has rendered can be gone on with."""
        self._leaving.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def _share_of_cores(index: int, count: int) -> list[int] | None:
    """Return the cores for one of `count` workers, None for all where they cannot be shared out."""
    if count < 2 or not hasattr(os, "sched_getaffinity"):
        return None
    everything = sorted(os.sched_getaffinity(0))
    if len(everything) < count:
        return [everything[index % len(everything)]]
    return everything[index::count]
