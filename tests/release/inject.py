"""Make the n-th call fail that writes, renames, removes, locks or starts a process.

For a process of its own: what is replaced here is not put back.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATHS = ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir")
KILL = "KILL"
PACKETS_A_POINT = 200  # libav writes what it muxes in C, in blocks: not every packet is a write
open_file = io.open


class Faults:
    """Counts the calls in `folder` from 1; the one numbered `point` fails with `kind`.

    `kind`: the number of an error, or `KILL`. `trace`: what was called, in order.
    """

    def __init__(self, folder: str, point: int, kind: int | str) -> None:
        self._folder, self._point, self._kind = os.path.realpath(folder), point, kind
        self._lock, self._on = threading.Lock(), True
        self.trace: list[str] = []

    def off(self) -> None:
        """Count and fail no more: for a process forked from this one."""
        self._on = False

    def here(self, *paths: Any) -> bool:
        """Return whether any of the paths lies in the folder."""
        texts = [os.fsdecode(p) for p in paths if isinstance(p, str | bytes | os.PathLike)]
        return any(os.path.realpath(text).startswith(self._folder) for text in texts)

    def at(self, call: str) -> None:
        """Count a call; fail or die if it is the one."""
        if not self._on:
            return
        with self._lock:
            self.trace.append(call)
            due = len(self.trace) == self._point
        if due and self._kind == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if due:
            assert isinstance(self._kind, int)
            raise OSError(self._kind, os.strerror(self._kind))


def install(faults: Faults) -> None:
    """Replace the calls of the operating system that the package uses, for this process."""
    for name in PATHS:
        _wrap_path_call(faults, name)
    _wrap_open(faults)
    _wrap(faults, os, "fsync")
    _wrap(faults, fcntl, "flock")
    _wrap(faults, fcntl, "lockf")
    _wrap(faults, subprocess.Popen, "_execute_child")
    if "torch" in sys.modules:
        _wrap(faults, sys.modules["torch"], "save")
    connect = sqlite3.connect
    sqlite3.connect = lambda *a, **k: connect(  # type: ignore[assignment]
        *a, factory=_journal(faults), **k
    )
    for module in [m for name, m in sys.modules.items() if name.startswith("ncavideo.video")]:
        if hasattr(module, "open_output"):
            _wrap_muxer(faults, module, "open_output")
    if "av" in sys.modules:
        _wrap_muxer(faults, sys.modules["av"], "open")


def _base(path: Any) -> str:
    return os.path.basename(os.fsdecode(path))  # noqa: PTH119


def _wrap(faults: Faults, owner: Any, name: str) -> None:
    original = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        faults.at(name)
        return original(*arguments, **named)

    setattr(owner, name, call)


def _wrap_path_call(faults: Faults, name: str) -> None:
    original = getattr(os, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if faults.here(*arguments):
            faults.at(f"{name} {_base([a for a in arguments if not isinstance(a, int)][-1])}")
        return original(*arguments, **named)

    setattr(os, name, call)


def _wrap_open(faults: Faults) -> None:
    low = os.open

    def open_low(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & WRITING and faults.here(path):
            faults.at(f"os.open {_base(path)}")
        return low(path, flags, *arguments, **named)

    class Raw(io.FileIO):
        def write(self, data: Any) -> Any:
            faults.at(f"write {_base(self.name)}")
            return super().write(data)

    def open_high(
        file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None,
        errors: str | None = None, newline: str | None = None, *more: Any, **named: Any,
    ) -> Any:  # fmt: skip
        if not set(mode) & set("wax+") or not faults.here(file):
            return open_file(file, mode, buffering, encoding, errors, newline, *more, **named)
        faults.at(f"open {_base(file)}")
        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        both = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return both if "b" in mode else io.TextIOWrapper(both, encoding, errors, newline)

    os.open = open_low
    io.open = builtins.open = open_high  # type: ignore[assignment]


def _journal(faults: Faults) -> type[sqlite3.Connection]:
    """Return a kind of connection whose statements and transactions are calls."""

    def at(call: str) -> None:
        try:
            faults.at(call)
        except OSError as error:
            raise sqlite3.OperationalError(f"disk I/O error: {error.strerror}") from error

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            at(f"sqlite {sql.split()[0]}")
            return super().execute(sql, *arguments)

        def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
            if kind is None:
                try:
                    at("sqlite commit")
                except sqlite3.Error:
                    self.rollback()
                    raise
            return super().__exit__(kind, error, trace)

    return Connection


def _wrap_muxer(faults: Faults, module: Any, name: str) -> None:
    original: Callable[..., Any] = getattr(module, name)

    def open_muxer(file: Any, *arguments: Any, **named: Any) -> Any:
        reads = name == "open" and "w" not in (*arguments, named.get("mode"))
        if reads or not isinstance(file, str) or not faults.here(file):
            return original(file, *arguments, **named)
        faults.at("libav open")
        return _Muxer(faults, original(file, *arguments, **named))

    setattr(module, name, open_muxer)


class _Muxer:
    """A container for output whose packets, some of them, and whose end are calls."""

    def __init__(self, faults: Faults, container: Any) -> None:
        self._faults, self._container, self._packets = faults, container, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def __enter__(self) -> _Muxer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _count(self) -> None:
        if self._packets % PACKETS_A_POINT == 0:
            self._faults.at("libav packet")
        self._packets += 1

    def mux_one(self, packet: Any) -> None:
        self._count()
        self._container.mux_one(packet)

    def mux(self, packets: Any) -> None:
        self._count()
        self._container.mux(packets)

    def close(self) -> None:
        if self._packets:
            try:
                self._faults.at("libav close")
            finally:
                self._container.close()
        else:
            self._container.close()
