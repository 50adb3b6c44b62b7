"""Work spread over threads: the results of a plain loop, in bounded memory, and no thread left over."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from vaecli.runtime.parallel import SHORT_TURN, map_in_order, n_cores, short_turns


def slow(item: int) -> int:
    """Earlier items take longer, so that later ones are done first."""
    time.sleep(0.002 if item % 3 == 0 else 0)
    return item * item


def ours() -> list[str]:
    """Threads that were started for work."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vaecli")]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(1, 5))
def test_results_come_in_order(n_items: int, n_workers: int) -> None:
    """Whoever is done first, results come in the order of the items, each once, and the threads end."""
    assert list(map_in_order(slow, range(n_items), n_workers)) == [i * i for i in range(n_items)]
    assert ours() == []


@pytest.mark.parametrize(("n_workers", "most"), [(1, None), (3, None), (1, 2), (3, 4)])
def test_no_more_items_are_taken_than_are_worked_on(n_workers: int, most: int | None) -> None:
    """The source runs ahead of the consumer by a few items for each worker, or by `most`, however long it is."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(200):
            taken += 1
            yield i

    for done, _ in enumerate(map_in_order(slow, items(), n_workers, most)):
        assert taken - done <= (2 * n_workers + 1 if most is None else most)


def test_work_goes_on_side_by_side() -> None:
    """Two workers are in work at the same time: each waits until the other has come."""
    meeting = threading.Barrier(2, timeout=30)
    assert len(list(map_in_order(lambda _: meeting.wait(), range(4), 2))) == 4


@pytest.mark.parametrize("n_workers", [1, 4])
def test_the_first_problem_in_the_order_of_items_is_raised(n_workers: int) -> None:
    """A failure on an early item is raised before a later one of the source, after the results that precede it."""

    def items() -> Iterator[int]:
        yield from range(4)
        raise ValueError("the source")

    def work(item: int) -> int:
        time.sleep(0.01)
        if item == 2:
            raise KeyError("the work")
        return item

    results = map_in_order(work, items(), n_workers)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="the work"):
        next(results)
    assert ours() == []


def test_a_problem_of_the_source_comes_after_all_results() -> None:
    """What was read before the source failed is still handed on."""

    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the source")

    results = map_in_order(slow, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(ValueError, match="the source"):
        next(results)
    assert ours() == []


def test_a_consumer_that_leaves_ends_the_work() -> None:
    """A loop that is broken off leaves no running thread, and items in waiting are not begun."""
    begun = []
    results = map_in_order(lambda item: begun.append(item) or time.sleep(0.01), range(1000), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert ours() == []
    assert len(begun) <= 10


def test_there_is_a_core() -> None:
    """At least the one that runs this."""
    assert n_cores() >= 1


def test_threads_take_short_turns_within_the_block_only() -> None:
    """The interval at which Python switches threads is shorter in the block, and what it was after it, also in need."""
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(SHORT_TURN)
    assert sys.getswitchinterval() == before
    with pytest.raises(ZeroDivisionError), short_turns():
        raise ZeroDivisionError
    assert sys.getswitchinterval() == before
