"""A render, or a training run of a sweep, on a node of a Ray cluster."""

from __future__ import annotations

import io
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

from ncavideo.batch.ray_watch import RayWatch, lost
from ncavideo.batch.render_process import RenderProcess
from ncavideo.util.errors import UserError
from ncavideo.util.worker_process import LostError
from ncavideo.version import __version__

LOCAL = "local"
ANSWER = 5.0  # seconds that a cluster has to answer in


@dataclass(frozen=True)
class Needs:
    """What one render asks of its node: CPU cores, GPUs, bytes.

    `gpus`: 0.5 lets two renders share a GPU; None is one GPU where the cluster has any.
    """

    cpus: float = 4
    gpus: float | None = None
    memory: float = 1_500_000_000

    def __post_init__(self) -> None:
        """Raise `UserError` for a value out of range."""
        for flag, value, high in (
            ("--ray-cpus", self.cpus, 4096), ("--ray-gpus", self.gpus or 0, 64),
            ("--ray-memory", self.memory / 1e9, 100_000),
        ):  # fmt: skip
            if not 0 <= value <= high:
                raise UserError(f"{flag} must lie between 0 and {high}, not {value:g}")
        if self.gpus is not None and self.gpus > 1 and self.gpus != int(self.gpus):
            raise UserError(f"--ray-gpus must be below 1, or a whole number, not {self.gpus:g}")


class _Log(io.TextIOBase):
    """Takes text that is printed into the log."""

    def write(self, text: str, /) -> int:
        if text.strip():
            logging.getLogger("ncavideo.ray").info("%s", text.strip())
        return len(text)


@contextmanager
def connected(address: str) -> Iterator[RayWatch]:
    """Be connected to the cluster at `address`; `auto` finds one, `local` starts one here.

    Yields what tells whether it still answers. Raises `UserError` if there is none, or Ray is not
    installed.
    """
    # Else a call that comes after the end, from a thread that waited, connects once more.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray needs Ray: pip install 'ncavideo[ray]'") from error
    if address.startswith("ray://"):
        raise UserError(
            "a Ray client's address (ray://) cannot follow renders: run on the head node with"
            " --ray auto, or through `ray job submit`"
        )
    if ray.is_initialized():
        watch = RayWatch()
        try:
            yield watch
        finally:
            watch.end()
        return
    _knock(address)
    # A cluster of our own reports to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=None if address == LOCAL else address,
            include_dashboard=None if address != LOCAL else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise _no_cluster(address) from error
    # Ray prints what befalls the cluster on standard output, where only our report belongs; the
    # last of it when it is shut down.
    with redirect_stdout(_Log()):
        watch = RayWatch()
        try:
            yield watch
        finally:
            watch.end()
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise `UserError` unless somebody answers at `HOST:PORT`: Ray itself waits for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        if address not in ("auto", LOCAL):
            raise UserError(f"--ray must be auto, local or HOST:PORT, not {address!r}")
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address) from error


def _no_cluster(address: str) -> UserError:
    return UserError(
        f"there is no Ray cluster at {address} to connect to: `ray start --head` begins one, and"
        " --ray local starts one for this batch alone"
    )


def with_gpus(needs: Needs) -> Needs:
    """Return `needs` with a number of GPUs."""
    import ray

    has_any = ray.cluster_resources().get("GPU", 0) > 0
    return replace(needs, gpus=float(has_any)) if needs.gpus is None else needs


def places(needs: Needs) -> int:
    """Return how many renders the cluster has room for at once. Raises `UserError` for none."""
    import ray

    room = 0.0
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        has = node["Resources"]
        asked = (("CPU", needs.cpus), ("GPU", needs.gpus), ("memory", needs.memory))
        room += min((has.get(k, 0) // v for k, v in asked if v), default=1)
    if room < 1:
        raise UserError(
            f"no node of the cluster has {needs.cpus:g} cores, {needs.gpus or 0:g} GPUs and"
            f" {needs.memory / 1e9:g} GB: lower --ray-cpus, --ray-gpus or --ray-memory"
        )
    return int(room)


class Node:
    """Does one order after the other, each as a Ray task wherever there is room.

    `work`: what does an order there, a function of a module that yields a worker's messages; it
    renders by default.
    """

    def __init__(
        self,
        needs: Needs,
        watch: RayWatch,
        work: Callable[[dict[str, Any]], Iterator[dict[str, Any]]] | None = None,
    ) -> None:
        self._needs, self._watch, self._work = needs, watch, work or _render
        self._task: Any = None
        self._lock = threading.Lock()
        self._left = False

    def render(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the messages of a render, as `RenderProcess.render` does.

        Errors: as `run` does.
        """
        yield from self.run(order, os.fsdecode(bytes.fromhex(order["output"])))

    def run(self, order: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        """Yield the messages of the work on an order, whose task has a `name` in Ray's lists.

        Raises `LostError` if its node, the process there, or the cluster is gone.
        """
        import ray

        if self._watch.gone.is_set():
            raise lost()
        task = ray.remote(_on_node).options(
            name=f"ncavideo {name}",
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus or 0,
            memory=round(self._needs.memory),
            # The batch tries again itself: only it knows what has become of the clip.
            max_retries=0,
            num_returns="streaming",
        )
        with self._lock:
            if self._left:
                raise LostError("the batch was ended", blameless=True)
            # Ray tells the head of the task's function first, and would wait for it for ever.
            self._task = self._watch.call(lambda: task.remote(self._work, order, __version__))
        try:
            yield from self._watch.messages(self._task)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, LostError):
                raise LostError(str(cause)) from error
            raise LostError(f"{type(cause).__name__}: {cause}") from error
        except ray.exceptions.OutOfMemoryError as error:
            raise LostError("its node ran out of memory: raise --ray-memory") from error
        except ray.exceptions.RayError as error:
            raise LostError(f"its node is gone: {type(error).__name__}", blameless=True) from error
        finally:
            self._task = None

    def end(self, *, kill: bool = True) -> None:
        """Ask the task to stop; its checkpoint stays.

        Ray kills what the task started, too. Without `kill` the task is interrupted, and has time
        to save.
        """
        import ray

        with self._lock:
            self._left = True
            task = self._task
        if task is not None and not self._watch.gone.is_set():
            ray.cancel(task, force=kill)


def _on_node(
    work: Callable[[dict[str, Any]], Iterator[dict[str, Any]]], order: dict[str, Any], version: str
) -> Iterator[dict[str, Any]]:
    """Do the work on the node where this runs."""
    if version != __version__:
        yield {
            "kind": "failed",
            "reason": f"a node has ncavideo {__version__} and this machine {version}: install the"
            " same everywhere",
            "may_pass": False,
        }
        return
    yield from work(order)


def _render(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Render in a process of its own, as on one machine."""
    yield from RenderProcess(_cores()).render(order)


def promised_cores() -> float:
    """Return how many cores this task was promised, 0 for no promise."""
    import ray

    return float(ray.get_runtime_context().get_assigned_resources().get("CPU", 0))


def _cores() -> list[int] | None:
    """Return as many cores as this task was promised, None for all."""
    promised = promised_cores()
    if not promised or not hasattr(os, "sched_getaffinity"):
        return None
    everything = sorted(os.sched_getaffinity(0))
    # Ray counts cores and does not hand them out. Tasks that begin at different places rarely meet.
    first = os.getpid() % len(everything)
    return sorted((everything[first:] + everything[:first])[: max(1, int(promised))])
