"""Limits of a process on memory, threads and open files (`ulimit`), which libraries meet without a word.

Where no memory is left, OpenBLAS asks again for ever, or leaves with exit code 1, and Arrow aborts, as it does where no
thread starts. So a run that could only end so is refused before it loads them (docs/adr/0066-limited-processes.md).
"""

from __future__ import annotations

import os
import resource
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from vaecli.errors import EnvironmentProblem
from vaecli.runtime.environment import add

MB = 2**20
# with which a small table is read and scored, or learned: measured by benchmarks/limited_memory.py
LEAST = 480 * MB
LEAST_TO_FIT = 1024 * MB
LEAST_FILES = 32
_FEW_THREADS = 4096  # a limit of so many is tried, as nothing shows how many are in use
PER_THREAD = 128 * MB  # a stack, a buffer of OpenBLAS, an arena of the allocator, and what a batch takes

_ARENAS = "MALLOC_ARENA_MAX"  # which glibc reads as a process starts
_M_ARENA_MAX = -8  # of <malloc.h>
_LIMITS = ((resource.RLIMIT_AS, "VmSize", "ulimit -v"), (resource.RLIMIT_DATA, "VmData", "ulimit -d"))


def limit() -> tuple[int, str] | None:
    """The lower of the limits of this process, in bytes, and the command that sets it; None without one."""
    found = [(resource.getrlimit(kind)[0], command) for kind, _, command in _LIMITS]
    finite = [one for one in found if one[0] != resource.RLIM_INFINITY]
    return min(finite, default=None)


def left() -> int | None:
    """The bytes that this process may still map; None without a limit."""
    found = [
        max(most - _in_use(field), 0)
        for kind, field, _ in _LIMITS
        if (most := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY
    ]
    return min(found, default=None)


def require(verb: str) -> None:
    """Raise EnvironmentProblem for a limit under which a verb cannot run, whatever the table."""
    _require_memory(verb)
    _require_files()
    _require_threads()


def _require_memory(verb: str) -> None:
    least = LEAST_TO_FIT if verb == "fit" else LEAST
    found = limit()
    if found is None or found[0] >= least:
        return
    most, command = found
    raise EnvironmentProblem(
        f"the memory of a process is limited to {most / MB:,.0f} MB (`{command}`), "
        f"and `{verb}` takes at least {least / MB:,.0f} MB",
        f"raise it in the shell: `{command} {least // 1024}` or more; it counts what is reserved, "
        "a control group (`systemd-run -p MemoryMax=…`) only what is used",
    )


def _require_files() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if resource.RLIM_INFINITY != most < LEAST_FILES:
        raise EnvironmentProblem(
            f"a process may hold {most} files open (`ulimit -n`), and this one takes at least {LEAST_FILES}",
            f"raise the limit where it is set: `ulimit -n {LEAST_FILES}` or more",
        )


def _require_threads() -> None:
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if most == resource.RLIM_INFINITY or most >= _FEW_THREADS:
        return
    from vaecli.runtime.parallel import n_cores

    n = 16 + 2 * n_cores()  # of Arrow's reader and allocator, of ours and of those that train
    started, all_started = [], threading.Event()
    try:
        for _ in range(n):
            one = threading.Thread(target=all_started.wait, daemon=True)
            one.start()
            started.append(one)
    except RuntimeError:
        raise EnvironmentProblem(
            f"only {len(started)} more threads can be started (`ulimit -u` is {most}), and this run takes up to {n}",
            "raise the limit, or end other processes of this user",
        ) from None
    finally:
        all_started.set()
        for one in started:
            one.join()


def use_few_arenas() -> None:
    """Have the threads of this process, and of those that it starts, share two heaps; elsewhere than in glibc nothing.

    Else each reserves 64 MB of its own, eight per core, and a limit is met with a fifth of it in use.
    """
    add(_ARENAS, "2")
    with suppress(Exception):
        from ctypes import CDLL

        CDLL(None).mallopt(_M_ARENA_MAX, int(os.environ[_ARENAS]))


@cache
def most_threads() -> int | None:
    """How many threads may compute at the same time in what was left at the first call; None without a limit."""
    room = left()
    return None if room is None else max(1, room // PER_THREAD)


def _in_use(field: str) -> int:
    """What the kernel counts under this name; 0 where it does not show it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
