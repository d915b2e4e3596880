"""A fractal that is made in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ncavideo.app.render_job import Job, RenderStatus
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.still.options import StillOptions
from ncavideo.util.worker_process import LostError, WorkerProcess

PATIENCE = 10.0  # seconds that the process has to end in


class FractalJob(Job):
    """A fractal with `options`, written to `output` when its turn in the `line` comes.

    The same file, bit for bit, as `ncavideo still` writes. The `frames` of its states are the
    steps, or, with levels, percent of the work.
    """

    def __init__(self, options: StillOptions, output: Path, line: TurnQueue) -> None:
        super().__init__(line)
        self._order = {"options": asdict(options), "output": os.fsencode(output).hex()}
        self._worker = WorkerProcess("ncavideo.still.worker", PATIENCE)

    def _rendered(self) -> Iterator[RenderStatus]:
        try:
            for news in self._worker.run(self._order, lambda: self._stopped):
                if news["kind"] == "progress":
                    yield RenderStatus("rendering", 0, news["done"], news["total"])
                elif news["kind"] == "failed":
                    yield self._ended(news["reason"])
                else:
                    yield RenderStatus("done" if news["kind"] == "done" else "cancelled")
        except LostError as error:
            yield self._ended(f"the fractal crashed ({error}): there may not be enough memory")

    def stop(self) -> None:
        """Cancel the fractal, at any stage."""
        super().stop()
        self._worker.stop()
