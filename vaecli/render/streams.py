"""The standard streams of the program: there from the start, and no message can end a run.

Data and summaries that standard output refuses are an EnvironmentProblem. Messages on standard error are best effort:
a full disk, a closed pipe or a terminal that is gone must not change the exit code.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vaecli.errors import EnvironmentProblem


def prepare_streams() -> None:
    """Open closed standard streams on the null device, and let standard error ignore what cannot be written.

    A file that is opened while descriptor 1 or 2 is free would receive what is printed. Input and output wait: a pipe
    of a program that set it to refuse what does not fit would lose rows.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
            os.set_inheritable(descriptor, True)
    for descriptor in (0, 1):
        with suppress(OSError):
            os.set_blocking(descriptor, True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - open as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    raw = _BestEffort(2, "w", closefd=False)
    encoding = sys.stderr.encoding if sys.stderr else "utf-8"
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)


class _BestEffort(io.FileIO):
    """Writes what can be written and drops the rest."""

    def write(self, data: Any) -> int:
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


@contextmanager
def printing() -> Iterator[None]:
    """Print to standard output. Raises EnvironmentProblem if it cannot be written, BrokenPipeError without a reader."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as problem:
        drop_output()
        raise EnvironmentProblem(
            f"standard output: cannot be written: {problem.strerror or problem}",
            "free some space, or send it elsewhere",
        ) from problem


def drop_output() -> None:
    """Send the rest of standard output nowhere: what is buffered cannot be written, and would fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
