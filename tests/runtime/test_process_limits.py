"""Limits of a process: which holds, what is left of it, how many threads fit, and what is refused."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable

import pytest

from vaecli.errors import EnvironmentProblem
from vaecli.runtime import process_limits
from vaecli.runtime.parallel import map_in_order
from vaecli.runtime.process_limits import (
    LEAST,
    LEAST_FILES,
    LEAST_TO_FIT,
    MB,
    PER_THREAD,
    left,
    limit,
    most_threads,
    require,
)

NONE = resource.RLIM_INFINITY
Limits = Callable[..., None]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Pretend limits of `ulimit -v` and `ulimit -d` in bytes, and that 100 MB are in use."""

    def pretend(space: int = NONE, data: int = NONE, files: int = 1024, threads: int = NONE) -> None:
        values = {
            resource.RLIMIT_AS: space,
            resource.RLIMIT_DATA: data,
            resource.RLIMIT_NOFILE: files,
            resource.RLIMIT_NPROC: threads,
        }
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (values[kind], NONE))
        monkeypatch.setattr(process_limits, "_in_use", lambda _: 100 * MB)
        most_threads.cache_clear()

    yield pretend
    most_threads.cache_clear()


def test_the_lower_limit_holds(limits: Limits) -> None:
    """Of address space or of data."""
    limits(NONE)
    assert (limit(), left()) == (None, None)
    limits(900 * MB, 700 * MB)
    assert (limit(), left()) == ((700 * MB, "ulimit -d"), 600 * MB)
    limits(90 * MB)
    assert (limit(), left()) == ((90 * MB, "ulimit -v"), 0)


def test_what_is_in_use_is_counted() -> None:
    """A process has mapped some MB."""
    assert process_limits._in_use("VmSize") > process_limits._in_use("VmData") > MB
    assert process_limits._in_use("none") == 0


@pytest.mark.parametrize(("verb", "least"), [("score", LEAST), ("fit", LEAST_TO_FIT)])
def test_a_limit_that_is_too_low_is_refused(limits: Limits, verb: str, least: int) -> None:
    """The message has the limit, what the verb takes, and the command that raises it, in its unit of 1 kB."""
    limits(least)
    require(verb)
    limits(NONE)
    require(verb)
    limits(200 * MB)
    with pytest.raises(EnvironmentProblem) as found:
        require(verb)
    assert "limited to 200 MB (`ulimit -v`)" in found.value.message
    assert f"`{verb}` takes at least {least // MB:,} MB" in found.value.message
    assert f"`ulimit -v {least // 1024}`" in found.value.hint


def test_few_open_files_are_refused(limits: Limits) -> None:
    """Else the run ends in one of many places, some of them in libraries."""
    limits(files=LEAST_FILES)
    require("score")
    limits(files=LEAST_FILES - 1)
    with pytest.raises(EnvironmentProblem, match=r"may hold 31 files open \(`ulimit -n`\)") as found:
        require("score")
    assert "`ulimit -n 32`" in found.value.hint


def test_few_threads_are_refused(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried where the limit is low, and have ended then."""
    begin, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if len(begun) == 5:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        begin(thread)

    limits(threads=100)
    require("score")
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(EnvironmentProblem, match=r"only 5 more threads can be started \(`ulimit -u` is 100\)"):
        require("score")
    assert not any(thread.is_alive() for thread in begun)
    limits(threads=NONE)
    require("score")


def test_no_more_threads_than_fit(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one, and as many as are asked for without a limit."""

    def n_used() -> int:
        both = threading.Barrier(2)

        def meet(_: int) -> str:
            try:
                both.wait(timeout=0.2)
            except threading.BrokenBarrierError:
                return "alone"
            return "met"

        return len(set(map_in_order(meet, range(2), 2)) - {"alone"}) + 1

    limits(NONE)
    assert (most_threads(), n_used()) == (None, 2)
    limits(100 * MB + 3 * PER_THREAD)
    assert (most_threads(), n_used()) == (3, 2)
    limits(120 * MB)
    assert (most_threads(), n_used()) == (1, 1)
