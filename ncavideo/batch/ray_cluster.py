"""A render on a node of a Ray cluster."""

from __future__ import annotations

import io
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

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
    memory: int = 1_500_000_000

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
def connected(address: str) -> Iterator[None]:
    """Be connected to the cluster at `address`; `auto` finds one, `local` starts one here.

    Raises `UserError` if there is none, or Ray is not installed.
    """
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
        yield
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
        try:
            yield
        finally:
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
    """Renders one order after the other, each as a Ray task wherever there is room."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._task: Any = None
        self._lock = threading.Lock()
        self._left = False

    def render(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the worker's messages, as `RenderProcess.render` does.

        Raises `LostError` if its node, or the process there, is gone.
        """
        import ray

        task = ray.remote(_render).options(
            name=f"ncavideo {os.fsdecode(bytes.fromhex(order['output']))}",
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus or 0,
            memory=self._needs.memory,
            # The batch tries again itself: only it knows what has become of the clip.
            max_retries=0,
            num_returns="streaming",
        )
        with self._lock:
            if self._left:
                raise LostError("the batch was ended", blameless=True)
            self._task = task.remote(order, __version__)
        try:
            for reference in self._task:
                yield ray.get(reference)
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

    def end(self) -> None:
        """Ask the task to stop; its checkpoint stays."""
        import ray

        with self._lock:
            self._left = True
            task = self._task
        if task is not None:
            ray.cancel(task, force=True)


def _render(order: dict[str, Any], version: str) -> Iterator[dict[str, Any]]:
    """Render on the node where this runs, in a process of its own, as on one machine."""
    if version != __version__:
        yield {
            "kind": "failed",
            "reason": f"a node has ncavideo {__version__} and this machine {version}: install the"
            " same everywhere",
            "may_pass": False,
        }
        return
    yield from RenderProcess(_cores()).render(order)


def _cores() -> list[int] | None:
    """Return as many cores as this task was promised, None for all."""
    import ray

    promised = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    if not promised or not hasattr(os, "sched_getaffinity"):
        return None
    everything = sorted(os.sched_getaffinity(0))
    # Ray counts cores and does not hand them out. Tasks that begin at different places rarely meet.
    first = os.getpid() % len(everything)
    return sorted((everything[first:] + everything[:first])[: max(1, int(promised))])
