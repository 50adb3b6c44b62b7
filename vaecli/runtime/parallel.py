"""How many processor cores this process may use, and how work is spread over them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def n_cores() -> int:
    """At least 1. Honours `taskset` and containers where the system tells; `os.cpu_count` does not."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item], n_workers: int) -> Iterator[Result]:
    """`work(item)` for each item, in order; `n_workers` threads work while this one takes the next item.

    At most `2 * n_workers + 2` items are in work or wait to be handed on, so memory stays bounded. The results, and the
    problem that is raised, are those of a plain loop: work on an earlier item speaks before the source of a later one.
    Threads suffice where the work is NumPy's and Arrow's, which let go of the interpreter
    (docs/adr/0011-threads-in-order.md).
    """
    waiting: deque[Future[Result]] = deque()
    source, problem, ended = iter(items), None, False
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="vaecli")
    try:
        while True:
            while not ended and len(waiting) < 2 * n_workers + 2:
                try:
                    waiting.append(pool.submit(work, next(source)))
                except StopIteration:
                    ended = True
                except Exception as found:
                    problem, ended = found, True
            if waiting:
                yield waiting.popleft().result()
            elif problem is not None:
                raise problem
            else:
                return
    finally:
        problem = None  # it knows this frame: a circle that would keep files open
        pool.shutdown(cancel_futures=True)
