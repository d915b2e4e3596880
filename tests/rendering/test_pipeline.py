"""Stages that overlap: order, errors, leaving early, and never too much in flight."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE

from ncavideo.rendering.pipeline import DEPTH, Stage, overlap


def counting(count: int) -> Generator[int, None, None]:
    yield from range(count)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("pipeline")}


@given(count=st.integers(0, 40), stages=st.integers(0, 4), workers=st.integers(1, 3))
def test_items_come_in_order_through_every_stage(count: int, stages: int, workers: int) -> None:
    chain = [Stage(lambda item: item + 1, workers) for _ in range(stages)]
    assert list(overlap(counting(count), *chain)) == [item + stages for item in range(count)]
    assert not threads()


def test_uneven_workers_keep_the_order() -> None:
    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3))
        return item

    assert list(overlap(counting(20), Stage(work, 4))) == list(range(20))


def test_stages_run_at_the_same_time() -> None:
    """Stages wait for each other, each with another item: one at a time they would never end."""
    meeting = threading.Barrier(3)

    def meet(stage: int, item: int) -> int:
        if item == 2 - stage:
            meeting.wait(timeout=PATIENCE)
        return item

    chain = [Stage(lambda item, n=n: meet(n, item)) for n in range(3)]
    assert list(overlap(counting(12), *chain)) == list(range(12))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_an_error_arrives_as_it_was_after_what_came_before(broken: int, workers: int) -> None:
    error = ValueError("the seventh")

    def work(stage: int, item: int) -> int:
        if stage == broken and item == 6:
            raise error
        return item

    chain = [Stage(lambda item, n=n: work(n, item), workers) for n in range(3)]
    got = []
    with pytest.raises(ValueError, match="the seventh") as caught:
        for item in overlap(counting(50), *chain):
            got.append(item)
    assert caught.value is error
    assert got == list(range(6))
    assert not threads()


def test_an_error_of_the_source_arrives_too() -> None:
    def source() -> Generator[int, None, None]:
        yield 1
        raise KeyError("source")

    items = overlap(source(), Stage(lambda item: item))
    assert next(items) == 1
    with pytest.raises(KeyError, match="source"):
        next(items)
    assert not threads()


def test_leaving_early_closes_the_source_and_ends_every_thread() -> None:
    closed = []

    def source() -> Generator[int, None, None]:
        try:
            yield from range(10_000)
        finally:
            closed.append(threading.current_thread().name)

    items = overlap(source(), Stage(lambda item: item), Stage(lambda item: item, 2))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert len(closed) == 1
    assert not threads()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX")
def test_ctrl_c_while_leaving_still_waits_for_what_is_in_work() -> None:
    ended = []

    def source() -> Generator[int, None, None]:
        try:
            yield from range(10_000)
        finally:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.5)
            ended.append(True)

    items = overlap(source(), Stage(lambda item: item))
    assert next(items) == 0
    with pytest.raises(KeyboardInterrupt):
        items.close()
    assert ended
    assert not threads()


def test_a_slow_consumer_holds_everything_up() -> None:
    begun: list[int] = []

    def source() -> Generator[int, None, None]:
        for item in range(1000):
            begun.append(item)
            yield item

    stages = 2
    items = overlap(source(), *[Stage(lambda item: item)] * stages)
    for expected in range(5):
        assert next(items) == expected
    time.sleep(0.3)  # long enough for the stages to run as far ahead as they can
    # Behind each of the three threads a full queue, and one item in its hands.
    most = (stages + 1) * (DEPTH + 1)
    assert len(begun) <= 5 + most
    assert next(items) == 5
    items.close()


def test_each_stage_sees_its_items_in_order() -> None:
    seen: list[int] = []
    list(overlap(counting(30), Stage(lambda item: item), Stage(seen.append)))
    assert seen == list(range(30))
