"""The hidden folder beside an output in which a render can be gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from ncavideo.control import named_files
from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError
from ncavideo.util.lock import Lock, is_locked
from ncavideo.util.state import Memory
from ncavideo.version import __version__

SEGMENT = 250  # frames: x264's longest distance between two key frames
SUFFIX = ".work"
JOB, LOCK = "job.json", "lock"
# What changes nothing in the picture.
INDIFFERENT = ("overwrite", "fresh")
ARRAY = "$array"


@dataclass(frozen=True)
class State:
    """All that a render needs to go on after a frame, beside the source and its options."""

    grid: Snapshot
    memory: Memory | None


class Work:
    """One render's folder: closed segments of packets, and the state after the last of them.

    It is named after everything that decides the output's bits, so another clip, other options or
    another rule set never meet in one.
    """

    def __init__(self, output: Path, key: str, about: dict[str, Any], *, fresh: bool) -> None:
        self.folder = output.absolute().with_name(f".{output.name}.{key[:12]}{SUFFIX}")
        if fresh and self.folder.is_dir():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        busy = f"another render is at work on {output}: wait for it, or end it"
        self._lock = Lock(self.folder / LOCK, busy)
        try:
            job = self.folder / JOB
            if not job.exists():
                job.write_text(json.dumps(about, default=str), "utf-8")
            for leftover in self.folder.glob("*.part*"):
                leftover.unlink()
            self.segments = self._closed()
        except KeyboardInterrupt:  # before there is anybody who would let go of the folder
            self.release(done=False)
            raise

    def _closed(self) -> int:
        """Return how many whole segments there are, with a state to go on from."""
        count = 0
        while self.segment(count).exists():
            count += 1
        while count and not self._state(count - 1).exists():
            count -= 1
        return count

    @property
    def frames(self) -> int:
        """How many frames are done."""
        return self.segments * SEGMENT

    def segment(self, number: int) -> Path:
        """Return where a segment's packets are."""
        return self.folder / f"{number:06d}.packets"

    def _state(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def save(self, number: int, state: State) -> None:
        """Keep the state after segment `number`, which is closed next, and drop older ones."""
        arrays: dict[str, np.ndarray] = {"grid": state.grid.state}
        document = {"step": state.grid.step, "memory": _without_arrays(state.memory, arrays)}
        arrays["document"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
        partial = self._state(number).with_suffix(".part.npz")
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._state(number))
        if number >= 2:
            self._state(number - 2).unlink(missing_ok=True)

    def state(self) -> State:
        """Return the state after the last closed segment. Raises `UserError` if it is damaged."""
        path = self._state(self.segments - 1)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                document = json.loads(bytes(arrays["document"]).decode())
                memory = _with_arrays(document["memory"], arrays)
                return State(Snapshot(arrays["grid"], int(document["step"])), memory)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UserError(f"{path} is damaged: start over with --fresh") from error

    def release(self, *, done: bool) -> None:
        """Let go of the folder; remove it if the render is done, or nothing in it can be used."""
        self.segments = self._closed()
        if done or not self.segments:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            for leftover in self.folder.glob("*.part*"):
                leftover.unlink(missing_ok=True)
        self._lock.release()


@dataclass(frozen=True)
class Unfinished:
    """A render that was cut short: its folder, output, frames that are done, and bytes taken."""

    folder: Path
    output: str
    frames: int
    size: int


def unfinished(folder: Path) -> list[Unfinished]:
    """Return the renders in `folder` that nobody is at work on, and that were not finished."""
    found = []
    for work in sorted(folder.glob(f".*{SUFFIX}")):
        if not (work / JOB).is_file() or is_locked(work / LOCK):
            continue
        try:
            job = json.loads((work / JOB).read_text("utf-8"))
            output = str(job.get("output", "?"))
        except (OSError, ValueError, AttributeError):
            output = "?"
        frames = SEGMENT * len(list(work.glob("*.packets")))
        size = sum(path.stat().st_size for path in work.iterdir())
        found.append(Unfinished(work, output, frames, size))
    return found


def fingerprint(clip: Path, ruleset: RuleSet, options: RenderOptions) -> str:
    """Return a hash of all that decides a render's bits: contents, options, versions."""
    weights = hashlib.sha256()
    for array in (ruleset.w1, ruleset.b1, ruleset.w2):
        weights.update(array.tobytes())
    asked = {k: v for k, v in asdict(options).items() if k not in INDIFFERENT}
    controls = [*options.control, options.light_control, options.opacity_control]
    named = [path for text in controls if text for path in named_files(text)]
    files = [(str(path), _hash(path)) for path in named]
    parts = [
        _hash(clip), weights.hexdigest(), list(ruleset.inputs), ruleset.fire_rate,
        ruleset.provenance.get("light_scale"), asked, files, SEGMENT,
        __version__, av.__version__, av.library_versions,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}") from error


def _without_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return plain data for JSON, its arrays moved into `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {ARRAY: name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _without_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_without_arrays(item, arrays) for item in value]
    return value


def _with_arrays(value: Any, arrays: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return arrays[value[ARRAY]]
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, arrays) for item in value]
    return value
