"""Who uses the app: a session for each open tab, with a folder of its own."""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Protocol

from ncavideo.app.render_queue import RenderQueue
from ncavideo.nca.catalog import presets
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.rendering.look_file import save_look
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

# Seconds from the setting of a form to its first reading, and after which it is left alone. A busy
# page takes seconds to take over what it was sent.
SOONEST, SETTLED = 0.2, 60.0


class Stoppable(Protocol):
    """A task that a session may run."""

    def stop(self) -> None:
        """Have it end soon."""


class Session:
    """One open tab: its files, its running tasks, the rule sets it may use.

    Its folder has a name that cannot be guessed: anyone who knows a file's address may fetch it.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / secrets.token_urlsafe(24)
        self.folder.mkdir()
        self.clip: Path | None = None
        self.mask: Path | None = None
        self.painted = 0  # number of the newest painted mask
        self.own: dict[str, Path] = {}
        self.last_training: Path | None = None
        self.renders = RenderQueue()
        self.shown = ""  # the rule set whose swatches the form shows
        self.rules: tuple[str, ...] = ()  # its rules
        self.chosen: list[str] = []  # those that the swatches choose, in that order
        self.turn_of_choice = 0  # number of the newest choice by swatches
        self.turn = 0  # how often swatches were drawn
        self.slots: list[str] = []  # the rules that the fields of own controls are for
        self.turn_of_form = 0  # number of the newest form that was answered
        self.answered: object = None  # that form
        self.turn_of_reading = 0  # number of the newest form that was read once more
        self._set_at = -math.inf  # when the server last set fields of the form
        self.saved: dict[RenderOptions, Path] = {}  # the looks that could be saved so far
        self.moving: object = None  # clip, options and moment of the clip in motion
        self.begun = False  # whether the form has been brought back, so that it may be kept
        self.fractal_begun = False  # the same of the fields of the fractal
        self.closed = False
        self._lock = threading.Lock()
        self._running: dict[str, Stoppable] = {}
        self._uploads: list[Path] = []
        self._count = 0
        self._newest: dict[str, Path] = {}  # the newest folder of each kind

    def show(self, ruleset: str, rules: tuple[str, ...]) -> None:
        """Note which rule set's swatches the form shows, and that its fields are set."""
        self.shown, self.rules = ruleset, rules
        self.set_form()

    def set_form(self) -> None:
        """Note that the server sets fields of the form."""
        self._set_at = time.monotonic()

    def settling(self) -> float:
        """Return in how many seconds the form is to be read again, 0 once it has settled."""
        since = time.monotonic() - self._set_at
        return max(SOONEST, since / 2) if since < SETTLED else 0.0

    def ruleset_path(self, name: str) -> str:
        """Return what `open_ruleset` takes for a name in the list. Raises `UserError`."""
        if name in self.own:
            return str(self.own[name])
        if name not in presets():
            raise UserError(f"there is no rule set {name!r} here")
        return name

    def ruleset(self, name: str) -> RuleSet:
        """Open a preset, or a rule set of this session. Raises `UserError`."""
        return open_ruleset(self.ruleset_path(name))

    def ruleset_names(self) -> list[str]:
        """Return the names of all that there are: one's own first."""
        return [*self.own, *(name for name in presets() if name not in self.own)]

    def plain(self, text: str) -> str:
        """Return an error's text with the names of files instead of where they lie."""
        return re.sub(rf"{re.escape(str(self.folder))}/(?:[^/\s]+/)*", "", text)

    def saved_look(self, options: RenderOptions) -> Path:
        """Return the look's file. All that were asked for stay: one may be on its way."""
        path = self.saved.get(options)
        if path is None:
            path = self.place("saved") / f"{'-'.join(options.rules)}.toml"
            save_look(path, options)
            self.saved[options] = path
        return path

    def place(self, what: str) -> Path:
        """Return a new empty folder for one piece of work."""
        with self._lock:
            self._count += 1
            self._newest[what] = folder = self.folder / f"{what}-{self._count}"
        folder.mkdir()
        return folder

    def take(self, upload: str, what: str) -> Path:
        """Return an uploaded file as the session's own, in a new folder, under its own name."""
        source = Path(upload)
        return self.take_to(source, self.place(what) / source.name)

    def take_to(self, source: Path, target: Path) -> Path:
        """Make an uploaded file the session's own, as `target`.

        Two sessions that upload the same bytes share one file: each has its own link to it.
        """
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
        with self._lock:
            self._uploads.append(source)
        return target

    def keep_only(self, what: str, *kept: Path) -> None:
        """Remove the folders of all other work of that kind."""
        for folder in self.folder.glob(f"{what}-*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def tidy(self) -> None:
        """Remove the clips and masks that neither the form nor a listed render has any more."""
        folders = [*self.folder.glob("clip-*"), *self.folder.glob("mask-*")]
        used = {path.parent for path in (self.clip, self.mask, *self.renders.files()) if path}
        # What was taken last may not be the form's yet.
        for folder in set(folders) - used - set(self._newest.values()):
            shutil.rmtree(folder, ignore_errors=True)
        self._free_uploads()

    def _free_uploads(self) -> None:
        with self._lock:
            kept = []
            for upload in self._uploads:
                # Still linked to from here or from another session: the last link removes it.
                if upload.exists() and upload.stat().st_nlink == 1:
                    shutil.rmtree(upload.parent, ignore_errors=True)
                else:
                    kept.append(upload)
            self._uploads = kept

    def run(self, what: str, work: Stoppable | None) -> None:
        """Register a running task, so that it ends with the session; None when it has ended."""
        with self._lock:
            if work is None:
                self._running.pop(what, None)
            else:
                self._running[what] = work
        if self.closed and work is not None:
            work.stop()

    def stop(self, what: str) -> None:
        """Stop the running task, if there is one."""
        with self._lock:
            work = self._running.get(what)
        if work is not None:
            work.stop()

    def close(self) -> None:
        """Stop everything and remove the session's files."""
        self.closed = True
        self.renders.stop()
        for what in list(self._running):
            self.stop(what)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._free_uploads()


class Sessions:
    """All open tabs, by the hash that Gradio gives each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._streams: Counter[str] = Counter()
        self._seen: dict[str, float] = {}  # when each was last heard of, by time.monotonic

    def get(self, key: str | None) -> Session:
        """Return the session of a tab; a new one at its first call."""
        key = key or ""
        with self._lock:
            self._seen[key] = time.monotonic()
            if key not in self._open:
                self._open[key] = Session(self._root)
            return self._open[key]

    def end(self, key: str | None) -> None:
        """End a tab's session."""
        with self._lock:
            session = self._open.pop(key or "", None)
            self._seen.pop(key or "", None)
        if session is not None:
            session.close()

    def arrive(self, key: str) -> None:
        """Note that a tab holds a stream, one more if it has some."""
        with self._lock:
            self._streams[key] += 1

    def leave(self, key: str) -> None:
        """Note that a tab's stream has ended."""
        with self._lock:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]
            if key in self._open:
                self._seen[key] = time.monotonic()

    def end_absent(self, patience: float) -> None:
        """End the sessions without a stream that were not heard of for `patience` seconds."""
        now = time.monotonic()
        with self._lock:
            absent = [
                key
                for key in self._open
                if not self._streams[key] and now - self._seen[key] > patience
            ]
        for key in absent:
            self.end(key)

    def end_all(self) -> None:
        """End all of them."""
        for key in list(self._open):
            self.end(key)
