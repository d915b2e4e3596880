"""Checkpoint folder beside an output: lets an interrupted render resume."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from ncavideo.control import map_paths, named_files
from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.option_table import table
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.warp import REVISION
from ncavideo.util.atomic_write import MOST_NAME, cut_name
from ncavideo.util.errors import BusyError, OutputError, UserError
from ncavideo.util.lock import Lock, is_locked
from ncavideo.util.state import StateDict
from ncavideo.version import __version__
from ncavideo.video.clip import Clip, file_identity
from ncavideo.video.packets import DIGEST, is_whole

SEGMENT = 250  # frames: x264's longest distance between two key frames
PASSES = 8  # all that makes a segment, from the survey to the encoder: raised where bits change
SUFFIX = ".work"
JOB, LOCK = "job.json", "lock"
ARRAY = "$array"
FOLDER = re.compile(rf"\..*\.[0-9a-f]{{12}}{re.escape(SUFFIX)}", re.S)
FULL = (errno.ENOSPC, errno.EDQUOT)
MOST_TRIES = 100  # times that a folder may go away between its making and its locking
PATIENCE = 1.0  # seconds for `doctor`, which holds a folder only to look or to clean up


@dataclass(frozen=True)
class State:
    """All that a render needs to go on after a frame, beside the source and its options."""

    grid: Snapshot
    state_dict: StateDict | None


class RenderCheckpoint:
    """The checkpoint folder of one render: closed segments of packets, and the state after them.

    It is named after everything that decides the output's bits, so another clip, other options or
    another rule set never meet in one.
    """

    def __init__(self, output: Path, key: str, about: dict[str, Any], *, fresh: bool) -> None:
        self.folder = output.absolute().with_name(_folder_name(output.name, key))
        self.notes: list[str] = []
        self._lock = self._locked(f"another render is at work on {output}: wait for it, or end it")
        try:
            if fresh:
                self._clear()
            job = self.folder / JOB
            if not job.exists():
                job.write_text(json.dumps(about, default=str), "utf-8")
            for leftover in self.folder.glob("*.part*"):
                leftover.unlink()
            self.segments = self._whole()
        except OSError as error:
            with contextlib.suppress(OSError):
                self.release(done=False)
            self._lock.release()
            raise self._unusable(error) from error

    def _locked(self, busy: str) -> Lock:
        """Make the folder and lock it. Whoever held it may remove it in between: then once more."""
        for _ in range(MOST_TRIES):
            try:
                self.folder.mkdir(exist_ok=True)
                # What is in it is removed sooner or later: never in a folder of somebody's own.
                if self.folder.is_symlink():
                    raise UserError(f"the folder {self.folder} cannot be used: it is a link")
                return Lock(self.folder / LOCK, busy, PATIENCE)
            except FileNotFoundError:
                if not self.folder.parent.is_dir() or self.folder.is_symlink():
                    raise UserError(f"the folder {self.folder} cannot be made") from None
            except FileExistsError as error:
                # `mkdir` looks whether what is there is a folder: it may be removed in between.
                if os.path.lexists(self.folder) and not self.folder.is_dir():
                    raise self._unusable(error) from error
            except OSError as error:
                with contextlib.suppress(OSError):
                    self.folder.rmdir()  # it may be all that the disk had room for
                raise self._unusable(error) from error
        # No other render is as fast: /proc and its like have folders that take no others.
        raise UserError(f"the folder {self.folder} cannot be made")

    def _unusable(self, error: OSError) -> UserError | OutputError:
        if error.errno in FULL:
            return OutputError(f"the disk is full: the folder {self.folder} cannot be made")
        return UserError(f"the folder {self.folder} cannot be used: {error.strerror}")

    def _clear(self) -> None:
        """Remove all but the lock, which is held."""
        for path in self.folder.iterdir():
            if path.name != LOCK:
                path.unlink()

    def _closed(self) -> int:
        """Return how many segments there are, with a state to go on from."""
        count = 0
        while self.segment(count).exists():
            count += 1
        while count and not self._state(count - 1).exists():
            count -= 1
        return count

    def _whole(self) -> int:
        """Return how many segments are as they were written, with such a state to go on from.

        What comes after them is removed, and is rendered again; a note says so if it was damaged.
        """
        closed = self._closed()
        count = 0
        while count < closed and is_whole(self.segment(count)):
            count += 1
        while count and self._read(count - 1) is None:
            count -= 1
        if count < closed:
            self.notes.append(
                f"what {self.folder.name} keeps of this render is damaged after frame"
                f" {count * SEGMENT}: it is rendered again from there"
            )
        for path in (*self.folder.glob("*.packets"), *self.folder.glob("*.npz")):
            if not path.stem.isdigit() or int(path.stem) >= count:
                path.unlink()
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
        document = {"step": state.grid.step, "memory": _without_arrays(state.state_dict, arrays)}
        arrays["document"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
        written = io.BytesIO()
        np.savez(written, **arrays)  # type: ignore[arg-type]
        data = written.getbuffer()
        partial = self._state(number).with_suffix(".part.npz")
        with partial.open("wb") as file:
            file.write(hashlib.blake2b(data, digest_size=DIGEST).digest())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._state(number))
        if number >= 2:
            self._state(number - 2).unlink(missing_ok=True)

    def state(self) -> State:
        """Return the state after the last closed segment. Raises `UserError` if it is damaged."""
        state = self._read(self.segments - 1)
        if state is None:
            path = self._state(self.segments - 1)
            raise UserError(f"{path} is damaged: the same command renders that part again")
        return state

    def _read(self, number: int) -> State | None:
        """Return the state after a segment, None if it is not as it was written."""
        try:
            data = self._state(number).read_bytes()
            if hashlib.blake2b(data[DIGEST:], digest_size=DIGEST).digest() != data[:DIGEST]:
                return None
            with np.load(io.BytesIO(data[DIGEST:]), allow_pickle=False) as arrays:
                document = json.loads(bytes(arrays["document"]).decode())
                state_dict = _with_arrays(document["memory"], arrays)
                return State(Snapshot(arrays["grid"], int(document["step"])), state_dict)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def release(self, *, done: bool) -> None:
        """Let go of the folder; remove it if the render is done, or nothing in it can be used."""
        self.segments = self._closed()
        if done or not self.segments:
            _remove_held(self.folder)
        else:
            for leftover in self.folder.glob("*.part*"):
                with contextlib.suppress(OSError):  # the next start removes it
                    leftover.unlink(missing_ok=True)
        self._lock.release()


def _folder_name(output: str, key: str) -> str:
    """Return the hidden folder's name.

    Where that is longer than file systems take, a hash stands for what is cut off: it may be the
    suffix, which decides what the packets are.
    """
    tail = f".{key[:12]}{SUFFIX}"
    room = MOST_NAME - len(tail) - 1
    if len(os.fsencode(output)) > room:
        digest = hashlib.sha256(os.fsencode(output)).hexdigest()[:12]
        output = f"{cut_name(output, room - len(digest) - 1)}.{digest}"
    return f".{output}{tail}"


def _remove_held(folder: Path) -> bool:
    """Remove a folder whose lock is held; return whether it is gone.

    The lock goes last: whoever takes a new one then finds nothing that is about to be removed, and
    keeps the folder. The job goes before it: by that a folder half removed is known for a render's.
    """
    try:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (JOB, LOCK):
                path.unlink()
        (folder / JOB).unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
    except OSError:
        return False
    return True


def remove(folder: Path) -> bool:
    """Remove an unfinished render's folder; return False if it stays.

    So it does if somebody is, or may be, at work in it, or if it is a link to a folder of
    somebody's own.
    """
    try:
        if folder.is_symlink():
            return False
        lock = Lock(folder / LOCK, "")
    except (BusyError, OSError):
        return False
    with contextlib.closing(lock):
        return not lock.refused and _remove_held(folder)


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
        if not _is_ours(work) or is_locked(work / LOCK):
            continue
        try:
            job = json.loads((work / JOB).read_text("utf-8"))
            output = str(job.get("output", "?"))
        except (OSError, ValueError, AttributeError):
            output = "?"
        frames = SEGMENT * len(list(work.glob("*.packets")))
        try:
            size = sum(path.stat().st_size for path in work.iterdir())
        except OSError:  # somebody began, or ended, meanwhile
            continue
        found.append(Unfinished(work, output, frames, size))
    return found


def _is_ours(folder: Path) -> bool:
    """Return whether a render made this folder; killed at once, it left it empty or with a lock."""
    try:
        if folder.is_symlink() or not FOLDER.fullmatch(folder.name):
            return False
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return JOB in names or names <= {LOCK}


def fingerprint(clip: Path | Clip, ruleset: RuleSet, options: RenderOptions) -> str:
    """Return a hash of all that decides a render's bits: files, options, versions.

    Files count as `ncavideo.util.identity` tells them apart.
    """
    weights = hashlib.sha256()
    drawing = ruleset.decoder.arrays.values() if ruleset.decoder else ()
    for array in (ruleset.w1, ruleset.b1, ruleset.w2, *drawing):
        weights.update(array.tobytes())
    known = table(type(options))
    asked = {k: v for k, v in asdict(options).items() if known[k].belongs not in ("pipe", "run")}
    controls = [*options.control, options.light_control, options.opacity_control]
    named = [path for text in controls if text for path in named_files(text)]
    files = [file_identity(path) for path in named]
    # Not the folder of a file, which is a new one each time for what is behind a URL.
    texts = [text and map_paths(text, lambda path: Path(path).name) for text in controls]
    for name in ("control", "light_control", "opacity_control"):
        del asked[name]
    identity = (clip if isinstance(clip, Clip) else Clip(clip)).identity
    parts = [
        identity, weights.hexdigest(), list(ruleset.inputs), ruleset.fire_rate,
        ruleset.provenance.get("light_scale"), asked, texts, files, SEGMENT, PASSES,
        __version__, av.__version__, av.library_versions,
    ]  # fmt: skip
    if options.flow:
        parts.append(REVISION)
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


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
