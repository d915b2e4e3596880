"""A render in a process of its own on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from ncavideo.batch.jobs import as_arguments
from ncavideo.batch.urls import Place
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.worker_process import WorkerProcess

PATIENCE = 10.0  # seconds; a killed render resumes from its checkpoint


def make_order(clip: Place, output: Place, options: RenderOptions) -> dict[str, Any]:
    """Return a render as plain data for another process.

    Names are their bytes in hexadecimal, since they need not be text.
    """
    return {
        "clip": os.fsencode(str(clip)).hex(),
        "output": os.fsencode(str(output)).hex(),
        "options": as_arguments(options),
    }


class RenderProcess:
    """Renders one order of `make_order` after the other, each in a new process.

    `cores`: the cores to keep to, None for all; `device`: instead of the options' own.
    """

    def __init__(self, cores: list[int] | None = None, device: str | None = None) -> None:
        self._cores, self._device = cores, device
        self._worker = WorkerProcess("ncavideo.batch.worker", PATIENCE)

    def render(
        self, order: dict[str, Any], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """Yield the messages of `batch.worker`; the last says how it ended.

        `stopped` and errors: as in `WorkerProcess.run`.
        """
        order = {**order, "cores": self._cores}
        if self._device is not None:
            order["options"] = {**order["options"], "device": self._device}
        yield from self._worker.run(order, stopped)

    def end(self) -> None:
        """End the process; its checkpoint stays."""
        self._worker.end()


def share_of_cores(index: int, count: int) -> list[int] | None:
    """Return the cores for one of `count` workers, None for all where they cannot be shared out."""
    if count < 2 or not hasattr(os, "sched_getaffinity"):
        return None
    everything = sorted(os.sched_getaffinity(0))
    if len(everything) < count:
        return [everything[index % len(everything)]]
    return everything[index::count]
