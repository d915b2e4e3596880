"""Whether a Ray cluster still answers, which Ray itself does not say in time.

Ray ends the whole process, without a word to its caller, when the head is silent for 60 s; without
the process that serves this machine (the raylet), it waits for ever.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ncavideo.util.worker_process import LostError

PATIENCE = 30.0  # seconds of silence; half of Ray's, so that there is time to end in peace
EVERY = 2.0  # seconds between two looks
ANSWER = 2.0  # seconds that one attempt to connect may take
GONE = (
    "the Ray cluster does not answer any more: start it, or leave out --ray, and run the same"
    " command again"
)
_END = object()

T = TypeVar("T")


class RayWatch:
    """Knocks at the head and at this machine's raylet; `gone` is set once one of them is lost."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self._ended = threading.Event()
        self._places = _places()
        threading.Thread(target=self._watch, name="Ray watch", daemon=True).start()

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        heard = time.monotonic()
        while not self._ended.wait(EVERY):
            if all(_answers(*place) for place in self._places):
                heard = time.monotonic()
            elif time.monotonic() - heard > PATIENCE:
                self.gone.set()
                return

    def messages(self, task: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Yield what a streaming task yields; its errors are raised here.

        Raises `LostError` once the cluster is gone: Ray's own calls then never return.
        """
        found: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=_fetch, args=(task, found), daemon=True).start()
        while (message := self._next(found)) is not _END:
            yield message

    def call(self, ask: Callable[[], T]) -> T:
        """Return what a call of Ray's returns; its errors are raised here.

        Raises `LostError` once the cluster is gone, as `messages` does.
        """
        found: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=_put, args=(ask, found), daemon=True).start()
        answer: T = self._next(found)
        return answer

    def _next(self, found: queue.Queue[Any]) -> Any:
        while True:
            try:
                message = found.get(timeout=EVERY / 4)
            except queue.Empty:
                if self.gone.is_set():
                    raise lost() from None
                continue
            if isinstance(message, BaseException):
                raise message
            return message


def lost() -> LostError:
    """Return the error of a render whose cluster is gone."""
    return LostError(GONE, blameless=True, final=True)


def _fetch(task: Iterable[Any], found: queue.Queue[Any]) -> None:
    import ray

    try:
        for reference in task:
            found.put(ray.get(reference))
    except BaseException as error:
        found.put(error)
    else:
        found.put(_END)


def _put(ask: Callable[[], Any], found: queue.Queue[Any]) -> None:
    try:
        found.put(ask())
    except BaseException as error:
        found.put(error)


def _places() -> list[tuple[str, int]]:
    """Return where the head and this machine's raylet listen."""
    import ray

    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    own = [
        (node["NodeManagerAddress"], node["NodeManagerPort"])
        for node in ray.nodes()
        if node["NodeID"] == context.get_node_id()
    ]
    return [(host.strip("[]"), int(port)), *own]


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), ANSWER).close()
    except OSError:
        return False
    return True
