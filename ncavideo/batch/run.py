"""A batch from beginning to end: workers, retries, the journal, the report."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ncavideo.batch import ray_cluster
from ncavideo.batch.jobs import Job
from ncavideo.batch.journal import DONE, FAILED, NAME, SKIPPED, Entry, Journal, is_there
from ncavideo.batch.ray_watch import RayWatch
from ncavideo.batch.render_process import RenderProcess, make_order, share_of_cores
from ncavideo.batch.urls import Place, Url
from ncavideo.util.device import cores, free_memory
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.events import crash, event
from ncavideo.util.fetch import hidden
from ncavideo.util.worker_process import LostError

CORES_A_WORKER = 4  # a render alone keeps about as many busy
MEMORY_A_WORKER = 1.5e9  # bytes, for a clip in full HD
BACKOFF = 2.0  # seconds before the second try; twice as long before each other one
LONGEST_BACKOFF = 60.0
ELSEWHERE = 0.5  # seconds between two looks at what another batch is at work on
LOSSES = 20  # of nodes that a job may see, beside its retries
MOST_WORKERS = 256


class Host(Protocol):
    """Where a worker's renders run."""

    def render(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the worker's messages. Raises `LostError` if the last one is missing."""

    def end(self) -> None:
        """End the render that is running; its checkpoint stays."""


@dataclass(frozen=True)
class JobProgress:
    """The progress of one `job` in one `worker`.

    `elsewhere`: another batch is at work on it, and is waited for.
    """

    worker: int
    job: Job
    done: int
    frames: int | None
    elsewhere: bool = False


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
    by_memory = max(1, int(free_memory() // MEMORY_A_WORKER))
    return max(1, min(cores() // CORES_A_WORKER, by_memory, jobs))


def run_batch(
    jobs: Sequence[Job],
    out_dir: Place,
    *,
    workers: int | None = None,
    retries: int = 2,
    ray: str | None = None,
    needs: ray_cluster.Needs | None = None,
    journal: Path | None = None,
    news: Callable[[JobProgress], None] = lambda news: None,
    finished: Callable[[Job, Entry], None] = lambda job, entry: None,
) -> BatchReport:
    """Render all jobs, `workers` at once, each in a process of its own.

    `ray`: the address of a cluster whose nodes they run on, which see the same paths; `needs`: what
    each takes of a node. What the journal (by default in `out_dir`) knows as done is not done
    again, while its output is there; what failed is tried again. What may pass, as a full disk or a
    crash, is tried up to `retries` more times; a node that is lost counts for nothing. Raises
    `UserError` if the folder or the cluster cannot be used.
    """
    begun = time.perf_counter()
    with ExitStack() as stack:
        watch = stack.enter_context(nullcontext() if ray is None else ray_cluster.connected(ray))
        if watch is None:
            hosts = _hosts(jobs, workers)
        else:
            hosts = _nodes(len(jobs), workers, needs or ray_cluster.Needs(), watch)
        book = stack.enter_context(closing(Journal(journal or journal_of(out_dir))))
        waiting: queue.Queue[Job] = queue.Queue()
        ended: dict[str, Entry] = {}

        def end(job: Job, entry: Entry) -> None:
            ended[job.key] = entry
            finished(job, entry)

        for job in jobs:
            entry = None
            # Another batch may be at work on it: a worker then waits for that one.
            if book.claims.claim(job.key):
                try:
                    entry = _settled(book, job)
                finally:
                    book.claims.let_go(job.key)
            if entry is None:
                waiting.put(job)
            else:
                end(job, entry)
        team = [
            _Worker(index, host, waiting, book, retries, news, end)
            for index, host in enumerate(hosts[: waiting.qsize()])
        ]
        stack.callback(_end, team)
        event("batch.begin", jobs=len(jobs), waiting=waiting.qsize(), workers=len(team), ray=ray)
        for worker in team:
            worker.start()
        for worker in team:
            # With a limit, since not every system lets Ctrl-C through to a thread that waits. Not
            # `join`: interrupted in it, Python before 3.13 takes a thread for dead that is not.
            while not worker.ended.wait(0.2):
                pass
        # From the list of jobs, and not from their messages: none can be missing.
        report = BatchReport(
            [ended.get(job.key) or _failed(job, "nothing is known of it") for job in jobs]
        )
    report.seconds = time.perf_counter() - begun
    event("batch.done", **report.as_json())
    return report


def journal_of(out_dir: Place) -> Path:
    """Return where a batch's journal is: in its folder, which is made, or for a URL right here.

    Raises `UserError` if the folder cannot be used.
    """
    if isinstance(out_dir, Url):
        digest = hashlib.sha256(str(out_dir).encode()).hexdigest()
        return Path(f".ncavideo-batch-{digest[:12]}.sqlite")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {out_dir} cannot be made: {error.strerror}") from error
    if not os.access(out_dir, os.W_OK):
        raise UserError(f"the folder {out_dir} cannot be written to")
    return out_dir / NAME


def _nodes(
    jobs: int, workers: int | None, needs: ray_cluster.Needs, watch: RayWatch
) -> Sequence[Host]:
    """Return a host on a cluster for each worker."""
    needs = ray_cluster.with_gpus(needs)
    count = min(workers or ray_cluster.places(needs), jobs, MOST_WORKERS)
    return [ray_cluster.Node(needs, watch) for _ in range(count)]


def _hosts(jobs: Sequence[Job], workers: int | None) -> Sequence[Host]:
    """Return a host on this machine for each worker."""
    count = workers or default_workers(len(jobs))
    gpus = _gpus(jobs)
    return [
        RenderProcess(share_of_cores(index, count), f"cuda:{index % gpus}" if gpus else None)
        for index in range(count)
    ]


def _end(team: Sequence[_Worker]) -> None:
    for worker in team:
        worker.end()
    for worker in team:
        if worker.ident is not None:
            worker.ended.wait()


def _gpus(jobs: Sequence[Job]) -> int:
    """Return how many GPUs there are for jobs that may run on any."""
    from ncavideo.util.device import choose_device

    if any(job.options.device not in ("auto", "cuda") for job in jobs):
        return 0
    if choose_device() != "cuda":
        return 0
    import torch

    return int(torch.cuda.device_count())


def _settled(book: Journal, job: Job, since: float = math.inf) -> Entry | None:
    """Return a job's entry if there is nothing to do, None if it is to be rendered.

    Even with --overwrite there is not if it was done after `since` (seconds since the epoch). The
    job has to be claimed.
    """
    entry = book.enter(job)
    there = is_there(job.output)
    if entry.state == DONE and there:
        fresh = not job.options.overwrite or book.done_since(job.key, since)
        return replace(entry, by_another=True) if fresh else None
    if not there or job.options.overwrite:
        return None
    if entry.state == FAILED and entry.frames:  # its own output, of a clip that is damaged
        return entry
    book.finish(job.key, SKIPPED, f"{job.output} exists: --overwrite replaces it")
    return book.entry(job.key)


def _failed(job: Job, reason: str) -> Entry:
    """Return the entry of a job that the journal may know nothing of."""
    return Entry(job.key, hidden(job.clip), hidden(job.output), FAILED, 0, reason, 0, 0.0)


class _Worker(threading.Thread):
    """Takes jobs from the queue and has its host render them."""

    def __init__(
        self,
        index: int,
        host: Host,
        waiting: queue.Queue[Job],
        journal: Journal,
        retries: int,
        news: Callable[[JobProgress], None],
        finished: Callable[[Job, Entry], None],
    ) -> None:
        super().__init__(name=f"batch worker {index}", daemon=True)
        self._index, self._host, self._waiting, self._journal = index, host, waiting, journal
        self._retries, self._news, self._finished = retries, news, finished
        self._leaving, self.ended = threading.Event(), threading.Event()
        self._since, self._waited_for = time.time(), set[str]()

    def run(self) -> None:
        """Render until nothing is left; `ended` tells that nothing is being done any more."""
        try:
            self._render_all()
        finally:
            self.ended.set()

    def _render_all(self) -> None:
        while not self._leaving.is_set():
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            if not self._journal.claims.claim(job.key):
                self._put_off(job)
                continue
            try:
                entry = _settled(self._journal, job, self._since) or self._work_on(job)
            except OutputError as error:
                entry = _failed(job, str(error))
            except Exception as error:
                # A bug, or a machine at its end; the other clips, and the exit code, go on from it.
                crash("batch.crashed")
                entry = _failed(job, f"it cannot be rendered ({type(error).__name__}: {error})")
                self._note(entry)
            finally:
                self._journal.claims.let_go(job.key)
            level = logging.INFO if entry.state == DONE else logging.ERROR
            event("batch.job", level, worker=self._index, **asdict(entry))
            self._finished(job, entry)

    def _put_off(self, job: Job) -> None:
        """Put a job back that another batch is at work on, and wait a moment if it was before.

        If that batch ends without it, this one renders it.
        """
        if job.key in self._waited_for:
            self._leaving.wait(ELSEWHERE)
        else:
            self._waited_for.add(job.key)
            event("batch.elsewhere", worker=self._index, output=hidden(job.output))
            self._news(JobProgress(self._index, job, 0, None, elsewhere=True))
        self._waiting.put(job)

    def _note(self, entry: Entry) -> None:
        """Write an entry into the journal, if that can be done."""
        with suppress(OutputError):
            self._journal.finish(entry.key, entry.state, entry.reason)

    def _work_on(self, job: Job) -> Entry:
        """Render a job, again if need be; return how it ended."""
        tries = losses = 0
        while not self._leaving.is_set():
            self._journal.begin(job.key)
            try:
                again = self._try(job)
                tries += 1
            except LostError as lost:
                reason = str(lost) if lost.blameless else f"its process died ({lost})"
                self._journal.finish(job.key, FAILED, reason)
                event("batch.lost", logging.WARNING, output=hidden(job.output), reason=reason)
                again = not lost.final
                losses += lost.blameless
                tries += not lost.blameless
            if not again or tries > self._retries or losses > LOSSES:
                break
            self._leaving.wait(min(LONGEST_BACKOFF, BACKOFF * 2 ** (tries + losses - 1)))
        return self._journal.entry(job.key)

    def _try(self, job: Job) -> bool:
        """Render one clip; return whether it failed in a way that may pass."""
        order = make_order(job.clip, job.output, job.options)
        last: dict[str, Any] = {}
        for last in self._host.render(order):
            if last["kind"] == "progress":
                self._news(JobProgress(self._index, job, last["done"], last["frames"]))
            elif last["kind"] == "event":
                event(last["name"], last["level"], **last["facts"])
        if last["kind"] == "failed":
            self._journal.finish(job.key, FAILED, last["reason"])
            return bool(last["may_pass"])
        lost = last["lost"]
        state, reason = DONE, ""
        if lost is not None:
            state = FAILED
            reason = (
                f"the clip is damaged: {lost['frames']} frames ({lost['seconds']:.2f} s) are"
                " missing from the output"
            )
        frames, seconds, notes = last["frames"], last["seconds"], last["notes"]
        self._journal.finish(job.key, state, reason, frames, seconds, notes)
        return False

    def end(self) -> None:
        """Ask the worker to stop; its checkpoint stays."""
        self._leaving.set()
        self._host.end()
