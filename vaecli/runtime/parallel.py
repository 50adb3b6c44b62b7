"""The processor cores of this process, and an ordered map over several threads."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from vaecli.runtime.process_limits import most_threads

Item = TypeVar("Item")
Result = TypeVar("Result")
SHORT_TURN = 1e-4  # seconds


def n_cores() -> int:
    """Number of processor cores that this process may use, at least 1.

    Respects `taskset` and the limits of containers where the system reports them; `os.cpu_count` does not.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def short_turns() -> Iterator[None]:
    """A block in which a thread that waits for the interpreter's lock is given it after a tenth of a millisecond.

    NumPy releases the lock in each operation, and mostly has it back before the thread that waited has woken up. So a
    thread may wait for the whole of Python's 5 ms, which is as long as a tile takes.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SHORT_TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], n_workers: int, most: int | None = None
) -> Generator[Result]:
    """Yield `work(item)` for each item, in order, computed by `n_workers` threads; the calling thread reads the items.

    Raises what `work` and `items` raise, in the order of a plain loop: a failure in an earlier item is raised before a
    failure to read a later one. At most `most` items, by default `2 * n_workers + 1`, are in work or waiting to be
    yielded: memory is bounded. Threads suffice because NumPy and Arrow release the interpreter lock
    (docs/adr/0011-threads-in-order.md). Where the memory of a process is limited, there are no more threads than fit.
    """
    n_workers = min(n_workers, most_threads() or n_workers)
    waiting: deque[Future[Result]] = deque()
    most = 2 * n_workers + 1 if most is None else most
    source, problem, ended = iter(items), None, False
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="vaecli")
    try:
        while True:
            while not ended and len(waiting) < most:
                try:
                    waiting.append(pool.submit(work, next(source)))
                except StopIteration:
                    ended = True
                except Exception as failure:
                    problem, ended = failure, True
            if waiting:
                yield waiting.popleft().result()
            elif problem is not None:
                raise problem
            else:
                return
    finally:
        problem = None  # its traceback refers to this frame: a reference cycle that would keep files open
        pool.shutdown(cancel_futures=True)
