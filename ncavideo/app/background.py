"""Generators that run to their end in a thread, even if their consumer is gone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def in_background(work: Iterator[T]) -> Iterator[T]:
    """Yield what `work` yields, which runs in a thread of its own.

    Gradio may drop a generator whose tab was closed without closing it; a place in a queue that it
    holds would never be released. Errors of `work` are raised here.
    """
    news: queue.SimpleQueue[tuple[T | None, BaseException | None, bool]] = queue.SimpleQueue()

    def run() -> None:
        try:
            for item in work:
                news.put((item, None, False))
        except BaseException as error:
            news.put((None, error, True))
        else:
            news.put((None, None, True))

    threading.Thread(target=run, daemon=True).start()
    while True:
        item, error, ended = news.get()
        if error is not None:
            raise error
        if ended:
            return
        yield item  # type: ignore[misc]
