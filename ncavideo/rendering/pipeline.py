"""Stages that overlap: each in a thread of its own, in order, a bounded number of items ahead.

The whole runs at the speed of its slowest stage, and memory holds no more than `DEPTH` items
between two stages. Decoders, encoders, OpenCV, NumPy's large operations and the engines all let go
of Python's lock while they work, so threads are enough.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

DEPTH = 2  # items that wait between two stages: one being made, one ready
PATIENCE = 0.2  # seconds after which a waiting thread looks whether it is still needed

Items = Generator[Any, None, None]


@dataclass(frozen=True)
class Stage:
    """One stage: what it makes of an item, and how many items it may work on at once.

    More than one worker only for work that remembers nothing from item to item.
    """

    work: Callable[[Any], Any]
    workers: int = 1


def overlap(source: Items, *stages: Stage) -> Items:
    """Yield what the last stage makes of each of the source's items, in the source's order.

    The source and every stage run in threads of their own. An exception in any of them is raised
    here, after the items before it. Closing the generator, which whoever stops early must do, ends
    all threads and closes the source.
    """
    items = _ahead(source)
    for stage in stages:
        items = _ahead(_worked(items, stage))
    return items


def _worked(items: Items, stage: Stage) -> Items:
    """Yield what a stage makes of each item."""
    with closing(items):
        if stage.workers == 1:
            for item in items:
                yield stage.work(item)
            return
        pending: deque[Future[Any]] = deque()
        failure: Exception | None = None
        with ThreadPoolExecutor(stage.workers) as pool:
            while True:
                try:
                    item = next(items)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error  # what came before it is still to be handed on
                    break
                pending.append(pool.submit(stage.work, item))
                if len(pending) >= stage.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        if failure is not None:
            raise failure


def _ahead(items: Items) -> Items:
    """Yield the items, made by a thread that is up to `DEPTH` of them ahead."""
    ready: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue(DEPTH)
    unwanted, done = threading.Event(), threading.Event()

    def offer(item: Any, error: BaseException | None, last: bool) -> bool:
        while not unwanted.is_set():
            try:
                ready.put((item, error, last), timeout=PATIENCE)
                return True
            except queue.Full:
                pass
        return False

    def work() -> None:
        try:
            with closing(items):
                for item in items:
                    if not offer(item, None, False):
                        return
        except BaseException as error:
            offer(None, error, True)
        else:
            offer(None, None, True)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="pipeline", daemon=True)
    thread.start()
    try:
        while True:
            try:
                # With a limit, since not every system lets Ctrl-C through to a thread that waits.
                item, error, last = ready.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if last:
                return
            yield item
    finally:
        unwanted.set()
        _wait_for(thread, done)


def _wait_for(thread: threading.Thread, done: threading.Event) -> None:
    """Wait until a thread is done, however often Ctrl-C is pressed meanwhile.

    It still uses what the caller is about to close, and libav crashes where files are closed under
    it. An interrupt is raised when that is over. Not by `join` alone: interrupted, it takes the
    thread for ended (https://github.com/python/cpython/issues/90882).
    """
    interrupt: KeyboardInterrupt | None = None
    while not done.is_set():
        try:
            done.wait(PATIENCE)
        except KeyboardInterrupt as error:
            interrupt = error
    thread.join()
    if interrupt is not None:
        raise interrupt
