"""A render in another process: its turn, its progress and its end."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ncavideo.app.turn_queue import TurnQueue
from ncavideo.batch.render_process import RenderProcess, make_order
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.worker_process import LostError

State = Literal["waiting", "starting", "rendering", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class RenderStatus:
    """The state of a render.

    `before`: renders ahead of it in the queue; `done` of `frames`, if the clip says how many;
    `rate`: frames a second; `reason`: why it failed; `notes`: sentences for the user at the end.
    """

    state: State
    before: int = 0
    done: int = 0
    frames: int | None = None
    rate: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "starting", "rendering")


class Job(ABC):
    """Something that is rendered when its turn in the `line` comes."""

    def __init__(self, line: TurnQueue) -> None:
        self._line = line
        self._stopped = False

    def run(self) -> Iterator[RenderStatus]:
        """Render, and yield its states; the last says how it ended.

        Closing the iterator stops the render.
        """
        try:
            with self._line.place() as before:
                while (many := before()) and not self._stopped:
                    yield RenderStatus("waiting", many)
                if self._stopped:
                    yield RenderStatus("cancelled")
                    return
                yield RenderStatus("starting")
                yield from self._rendered()
        finally:
            self.stop()

    @abstractmethod
    def _rendered(self) -> Iterator[RenderStatus]:
        """Render, and yield the states; the last says how it ended."""

    def _ended(self, reason: str) -> RenderStatus:
        return RenderStatus("cancelled") if self._stopped else RenderStatus("failed", reason=reason)

    def stop(self) -> None:
        """Cancel the render, at any stage."""
        self._stopped = True


class Render(Job):
    """One render of `clip` to `output`, run when its turn comes."""

    def __init__(self, clip: Path, output: Path, options: RenderOptions, line: TurnQueue) -> None:
        super().__init__(line)
        # A cancelled render is not resumed here: its checkpoint goes.
        self._options = replace(options, fresh=True)
        self._clip, self._output = clip, output
        self._process = RenderProcess()

    def _rendered(self) -> Iterator[RenderStatus]:
        order = make_order(self._clip, self._output, self._options)
        begun = 0.0
        try:
            for news in self._process.render(order, lambda: self._stopped):
                if news["kind"] == "progress":
                    begun = begun or time.monotonic()
                    # The first frame waits for the warm-up: the others tell how fast it goes.
                    seconds = max(time.monotonic() - begun, 1e-3)
                    rate = (news["done"] - 1) / seconds if news["done"] > 1 else 0.0
                    yield RenderStatus("rendering", 0, news["done"], news["frames"], rate)
                elif news["kind"] == "failed":
                    yield self._ended(news["reason"])
                elif news["kind"] == "done":
                    lost = news["lost"]
                    notes = tuple(news["notes"])
                    if lost is not None:
                        notes += (f"the clip is damaged: {lost['frames']} frames are missing",)
                    yield RenderStatus("done", 0, news["frames"], news["frames"], notes=notes)
        except LostError as error:
            yield self._ended(f"the render crashed ({error}): the clip may be damaged")

    def stop(self) -> None:
        """Cancel the render, at any stage."""
        super().stop()
        self._process.end()
