"""What all tabs share: the sessions, who renders and trains, the process that previews."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import gradio as gr
import numpy as np

from ncavideo.app import preview_process
from ncavideo.app.preview_process import Moments
from ncavideo.app.sessions import Session, Sessions
from ncavideo.app.turn_queue import TurnQueue

PATIENCE = 0.2  # seconds between two looks at whether a tab is still open
FAREWELL = 2.0  # seconds that tabs have at most to let go


class Service:
    """One running app. `root`: the folder that all its files are in, and that goes with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sessions = Sessions(root)
        # Swatches are drawn in a process of their own: they do not wait for a preview.
        self.moments, self.drawing = Moments(), Moments()
        self.renders, self.trainings, self.fractals = TurnQueue(), TurnQueue(), TurnQueue()
        self._staying = 0  # tabs that `stay` waits for
        self._samples: dict[str, dict[str, np.ndarray]] = {}

    def session(self, request: gr.Request) -> Session:
        """Return the session of a request."""
        return self.sessions.get(request.session_hash)

    async def stay(self, request: gr.Request) -> None:
        """Take as long as the tab is open.

        Gradio closes a tab's stream of answers whenever none is awaited. The answer to what is
        asked between that and the word of it, which may be late, would never arrive.
        """
        session = self.session(request)
        self._staying += 1
        try:
            while not session.closed:
                await asyncio.sleep(PATIENCE)
        finally:
            self._staying -= 1

    def end(self, request: gr.Request) -> None:
        """End the session of a tab that was closed."""
        self.sessions.end(request.session_hash)

    async def samples(self, ruleset: str) -> dict[str, np.ndarray]:
        """Return a picture of each rule of a rule set, `[h, w, 3]` uint8. Raises `UserError`."""
        if ruleset not in self._samples:
            self._samples[ruleset] = await self.drawing.run(preview_process.samples, ruleset)
        return self._samples[ruleset]

    def known_samples(self, ruleset: str) -> dict[str, np.ndarray]:
        """Return those of a rule set that were drawn already: none, or all."""
        return self._samples.get(ruleset, {})

    def forget_samples(self, ruleset: Path) -> None:
        """Forget the pictures of a rule set that has changed."""
        self._samples.pop(str(ruleset), None)

    def close(self) -> None:
        """End everything that is going on, and remove all files."""
        self.sessions.end_all()
        self.moments.close()
        self.drawing.close()
        # Gradio's server stops within a moment if no tab awaits an answer, and in seconds if one
        # does; the last one needs a moment to arrive.
        deadline = time.monotonic() + FAREWELL
        while self._staying and time.monotonic() < deadline:
            time.sleep(PATIENCE / 4)
        time.sleep(PATIENCE)
        shutil.rmtree(self.root, ignore_errors=True)
