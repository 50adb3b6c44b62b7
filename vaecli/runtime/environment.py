"""Variables of the environment that libraries read when they are loaded, as the program `vaecli` sets them.

One thread of OpenBLAS: every sum here is computed with one, because sums of several depend on their number. Where the
system gives no more threads, or no address space for them, OpenBLAS would interrupt the process, or try for ever.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_MARK = "ADDED_BY_VAECLI"  # in the environment of this process, and of its own other processes


def add(name: str, value: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set a variable unless it is set, and remember that it was not."""
    if name not in environment:
        environment[name] = value
        environment[_MARK] = ",".join([*filter(None, [environment.get(_MARK)]), name])


def limit_blas(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have OpenBLAS start no threads, unless the environment gives a number for it."""
    add(BLAS_THREADS, "1", environment)


def as_before(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without what `add` set, for a program of the user's."""
    added = {_MARK, *environment[_MARK].split(",")} if _MARK in environment else set()
    return {name: value for name, value in environment.items() if name not in added}
