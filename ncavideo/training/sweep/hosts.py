"""Where a sweep's runs are trained: in processes of this machine, or on a Ray cluster's nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ncavideo.batch import ray_cluster
from ncavideo.batch.ray_watch import RayWatch
from ncavideo.util.device import choose_device, cores, free_memory
from ncavideo.util.worker_process import WorkerProcess

WORKER = "ncavideo.training.worker"
PATIENCE = 60.0  # seconds that a run has to save itself
MEMORY_A_RUN = 2e9  # bytes: torch, VGG16 and the states of a usual run


class Host(Protocol):
    """Trains one run after the other."""

    def run(self, order: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        """Yield the worker's messages. Raises `LostError` if the last one is missing."""

    def stop(self) -> None:
        """Ask the run to save itself and end; does not wait."""


class Here:
    """Trains in processes of this machine with `threads` threads each, on one `gpu` or on any."""

    def __init__(self, threads: int, gpu: str | None = None) -> None:
        self._threads, self._gpu, self._stopped = threads, gpu, False
        self._worker = WorkerProcess(WORKER, PATIENCE)

    def run(self, order: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        """Yield the worker's messages."""
        order = {**order, "threads": self._threads, "gpu": self._gpu}
        yield from self._worker.run(order, lambda: self._stopped)

    def stop(self) -> None:
        """Ask the run to save itself and end; does not wait."""
        self._stopped = True
        self._worker.stop()


class There:
    """Trains on whatever node of a Ray cluster has room."""

    def __init__(self, needs: ray_cluster.Needs, watch: RayWatch) -> None:
        self._node = ray_cluster.Node(needs, watch, _train)

    def run(self, order: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        """Yield the worker's messages."""
        yield from self._node.run(order, name)

    def stop(self) -> None:
        """Ask the run to save itself and end; does not wait."""
        self._node.end(kill=False)


def _train(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Train on the node where this runs. Ray lets it see the GPUs that it may use."""
    yield from Here(max(1, int(ray_cluster.promised_cores()))).run(order, "")


def hosts_here(runs: int, jobs: int | None, device: str) -> Sequence[Host]:
    """Return the hosts for `jobs` runs at once on this machine.

    By default: one a GPU, or as many as there are cores and free memory for. Raises `UserError` if
    there is no such device.
    """
    chosen = choose_device(device)
    gpus = visible_gpus() if chosen == "cuda" else []
    by_memory = max(1, int(free_memory() // MEMORY_A_RUN))
    usual = len(gpus) or (1 if chosen != "cpu" else min(cores(), by_memory))
    count = max(1, min(jobs or usual, runs))
    threads = max(1, cores() // count)
    return [Here(threads, gpus[i % len(gpus)] if len(gpus) > 1 else None) for i in range(count)]


def hosts_there(
    runs: int, jobs: int | None, needs: ray_cluster.Needs, watch: RayWatch
) -> Sequence[Host]:
    """Return the hosts for `jobs` runs at once on a cluster, by default as many as have room."""
    needs = ray_cluster.with_gpus(needs)
    count = max(1, min(jobs or ray_cluster.places(needs), runs))
    return [There(needs, watch) for _ in range(count)]


def visible_gpus() -> list[str]:
    """Return what `CUDA_VISIBLE_DEVICES` calls each GPU that torch sees here."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in named.split(",")] if named else []
    count = torch.cuda.device_count()
    return names[:count] if len(names) >= count else [str(index) for index in range(count)]
