"""What is queued, running, done or failed, and why: in SQLite, so that a crash loses nothing."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ncavideo.batch.jobs import Job
from ncavideo.batch.urls import Place
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.fetch import hidden
from ncavideo.util.lock import Claims
from ncavideo.video.numbered import is_numbered, numbered

NAME = ".ncavideo-batch.sqlite"
LOCK = ".lock"  # what the name of a journal's lock ends with
QUEUED, RUNNING, DONE, FAILED, SKIPPED = "queued", "running", "done", "failed", "skipped"
SCHEMA = """
create table if not exists jobs (
    key text primary key,
    clip text not null,
    output text not null,
    state text not null,
    attempts integer not null default 0,
    reason text not null default '',
    frames integer not null default 0,
    seconds real not null default 0,
    changed real not null,
    notes text not null default '[]'
)
"""
# What earlier versions' journals lack.
NOTES = "alter table jobs add column notes text not null default '[]'"


@dataclass(frozen=True)
class Entry:
    """How a job stands.

    `reason`: why it failed or was skipped; `seconds`: what it took; `notes`: what should be known
    of its output, such as a sound stream that was left out; `by_another`: whether another batch did
    it, before this one or beside it.
    """

    key: str
    clip: str
    output: str
    state: str
    attempts: int
    reason: str
    frames: int
    seconds: float
    notes: tuple[str, ...] = ()
    by_another: bool = False


class Journal:
    """The journal in the file `path`; used by several threads of one process.

    `claims`: which jobs, by their keys, which process is at work on. Other batches may use the same
    journal at the same time; nothing is to be noted of a job without its claim.

    Every method raises `OutputError` when the file can be neither read nor written any more: its
    disk is full, its pages are damaged, or its table is another program's.
    """

    def __init__(self, path: Path) -> None:
        self._lock, self._path = threading.Lock(), path
        try:
            self._base = sqlite3.connect(path, timeout=30, check_same_thread=False)
            # Not a write-ahead log: it cannot lie in a folder that several machines share.
            self._base.execute("pragma journal_mode=delete")
            self._base.execute(SCHEMA)
            columns = {row[1] for row in self._base.execute("pragma table_info(jobs)")}
            if "notes" not in columns:
                self._base.execute(NOTES)
            self._base.commit()
        except sqlite3.Error as error:
            raise UserError(f"the journal {path} cannot be used ({error})") from error
        try:
            self.claims = Claims(path.with_name(path.name + LOCK))
        except OSError as error:
            self._base.close()
            raise UserError(
                f"the lock of the journal {path} cannot be made ({error.strerror})"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, self._base:
                yield self._base
        except sqlite3.Error as error:
            raise OutputError(f"the journal {self._path} cannot be used ({error})") from error

    def enter(self, job: Job) -> Entry:
        """Return a job's entry; a new one, or one that a crash left running, is queued.

        Unless its output is there: outputs appear whole, so the worker outlived whoever was to note
        that it was done.
        """
        with self._transaction() as base:
            begun = base.execute(
                "select changed from jobs where key = ? and state = ?", (job.key, RUNNING)
            ).fetchone()
            if begun and _appeared_since(job.output, begun[0]):
                base.execute("update jobs set state = ? where key = ?", (DONE, job.key))
            base.execute(
                "insert or ignore into jobs (key, clip, output, state, changed)"
                " values (?, ?, ?, ?, ?)",
                (job.key, _plain(job.clip), _plain(job.output), QUEUED, time.time()),
            )
            base.execute(
                "update jobs set state = ? where key = ? and state in (?, ?)",
                (QUEUED, job.key, RUNNING, SKIPPED),
            )
        return self.entry(job.key)

    def entry(self, key: str) -> Entry:
        """Return how a job stands."""
        with self._transaction() as base:
            row = base.execute(
                "select key, clip, output, state, attempts, reason, frames, seconds, notes"
                " from jobs where key = ?",
                (key,),
            ).fetchone()
        if row is None:
            raise OutputError(f"the journal {self._path} has lost a clip: remove it and run again")
        try:
            notes = tuple(str(note) for note in json.loads(row[-1]))
        except (ValueError, TypeError):
            notes = ()
        return Entry(*(*row[:-1], notes))

    def done_since(self, key: str, when: float) -> bool:
        """Return whether a job was done at `when` (seconds since the epoch) or later."""
        with self._transaction() as base:
            row = base.execute(
                "select 1 from jobs where key = ? and state = ? and changed >= ?", (key, DONE, when)
            ).fetchone()
        return row is not None

    def begin(self, key: str) -> None:
        """Note that a job is being tried."""
        self._set(key, RUNNING, "", attempt=True)

    def finish(
        self,
        key: str,
        state: str,
        reason: str = "",
        frames: int = 0,
        seconds: float = 0.0,
        notes: Sequence[str] = (),
    ) -> None:
        """Note how a try ended."""
        self._set(key, state, reason, frames, seconds, notes)

    def _set(
        self,
        key: str,
        state: str,
        reason: str,
        frames: int = 0,
        seconds: float = 0.0,
        notes: Sequence[str] = (),
        attempt: bool = False,
    ) -> None:
        with self._transaction() as base:
            base.execute(
                "update jobs set state = ?, reason = ?, frames = ?, seconds = ?, notes = ?,"
                " changed = ?, attempts = attempts + ? where key = ?",
                (state, reason, frames, seconds, json.dumps(list(notes)), time.time(),
                 int(attempt), key),
            )  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()
            self.claims.close()


def is_there(output: Place) -> bool:
    """Return whether an output is there; of numbered pictures, the first, which comes last."""
    return _first(output).exists()


def _first(output: Place) -> Place:
    return numbered(output, 1) if isinstance(output, Path) and is_numbered(output) else output


def _appeared_since(output: Place, when: float) -> bool:
    """Return whether an output is there and new. How old what is behind a URL is cannot be told."""
    first = _first(output)
    return isinstance(first, Path) and first.exists() and first.stat().st_mtime >= when - 1


def _plain(path: Place) -> str:
    """Return a path as text that SQLite takes, whatever bytes its name is made of."""
    return hidden(path).encode("utf-8", "backslashreplace").decode()
