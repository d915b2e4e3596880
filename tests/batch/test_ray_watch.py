"""Calls of Ray's end once its cluster is gone, although Ray would wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ncavideo.batch import ray_watch
from ncavideo.batch.ray_watch import GONE, RayWatch
from ncavideo.util.worker_process import LostError


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[RayWatch]:
    """Give a watch over no place: it is told when the cluster is gone."""
    monkeypatch.setattr(ray_watch, "_places", list)
    made = RayWatch()
    yield made
    made.end()


def test_a_call_gives_what_it_returns_or_raises(watch: RayWatch) -> None:
    assert watch.call(lambda: 3) == 3
    assert watch.call(lambda: None) is None

    def fail() -> None:
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        watch.call(fail)


def test_a_call_without_an_answer_ends_with_the_cluster(watch: RayWatch) -> None:
    answer = threading.Event()
    threading.Timer(0.2, watch.gone.set).start()
    with pytest.raises(LostError, match=GONE):
        watch.call(answer.wait)
    answer.set()
