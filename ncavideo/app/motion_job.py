"""A moment in motion: two seconds at reduced size, made by the process of the previews."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ncavideo.app import preview_process
from ncavideo.app.preview_process import Moments
from ncavideo.app.render_job import Job, RenderStatus
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError


class MotionJob(Job):
    """Two seconds of `clip` from `time` on, written into `folder` when no render is going on."""

    def __init__(
        self,
        moments: Moments,
        clip: Path,
        options: RenderOptions,
        time: float,
        folder: Path,
        line: TurnQueue,
    ) -> None:
        super().__init__(line)
        self._moments, self._order, self._folder = moments, (clip, options, time), folder

    @property
    def output(self) -> Path:
        """The clip when it is complete: source on the left, result on the right."""
        return self._folder / "motion.mp4"

    def _rendered(self) -> Iterator[RenderStatus]:
        try:
            news = self._moments.call(preview_process.motion, self._folder, self._order)
            while news is not None and not self._stopped:
                yield RenderStatus("rendering", 0, *news)
                news = self._moments.call(preview_process.motion, self._folder)
            if news is None:
                yield RenderStatus("done")
                return
            self._moments.call(preview_process.drop_motion, self._folder)
            yield RenderStatus("cancelled")
        except (UserError, OSError) as error:
            yield self._ended(str(error))
