"""Where the memory of a process is limited, the program runs in a second process, and the first reports its end.

A library that gets no memory may abort, leave with a code of its own, or never come back, whatever Python does. The
first process loads no such library; it passes signals on, and has the exit code and the message that the second owes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Set
from contextlib import suppress
from types import FrameType

from vaecli.errors import EnvironmentProblem
from vaecli.runtime import watchdog
from vaecli.runtime.python_process import end_with

_LATER = 5.0  # seconds after the watchdog, which ends what Python can still end


def divide(limit: str, report: Callable[[EnvironmentProblem], int]) -> Callable[[int], None]:
    """Fork, before there are threads. Returns in the second process, what it calls with its exit code as it leaves.

    The first one never returns: it waits, and leaves with that code. If the second ended otherwise, `report` is given
    the problem, which names the `limit`, and returns the exit code; or it was stopped, which has a code of its own.
    Where a system cannot wait for signals for a time, as macOS, there is no second process.
    """
    if not hasattr(signal, "sigtimedwait"):
        return lambda _: None
    try:
        reader, writer = os.pipe()
    except OSError:  # no more files
        return lambda _: None
    first = os.getpid()
    stops = {number for number in watchdog.STOPS if signal.getsignal(number) is not signal.SIG_IGN}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, the end of a process is never reported
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*stops, signal.SIGCHLD})
    try:
        second = os.fork()
    except OSError:  # no more processes: this one has to do
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return lambda _: None
    if second == 0:
        os.close(reader)
        if signal.SIGINT in stops:
            signal.signal(signal.SIGINT, _interrupt_once)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        end_with(first)

        def note(code: int) -> None:
            with suppress(OSError):
                os.write(writer, bytes([code]))

        return note
    os.close(writer)
    status, stop = _wait_for(second, stops)
    noted = os.read(reader, 1)
    if noted:
        os._exit(noted[0])
    code = report(_problem(status, stop, limit))
    os._exit(128 + stop if stop else code)


def _wait_for(process: int, stops: Set[int]) -> tuple[int, int]:
    """Pass signals on until the process has ended: its status, and the first signal, 0 without one.

    Its group may have had the signal as well: it takes the first and ignores the others. If it has not ended some time
    after one, it is killed.
    """
    stop, until = 0, float("inf")
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status, stop
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
        came = signal.sigtimedwait({*stops, signal.SIGCHLD}, 1.0 if stop else 3600.0)
        if came is not None and came.si_signo in stops:
            if not stop:
                stop, until = came.si_signo, time.monotonic() + watchdog.SECONDS + _LATER
            with suppress(ProcessLookupError):
                os.kill(process, came.si_signo)


def _problem(status: int, stop: int, limit: str) -> EnvironmentProblem:
    if stop:
        return EnvironmentProblem(f"{watchdog.STOPS[signal.Signals(stop)]}, and ended where it stood")
    how = f"was ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "was ended by a library"
    return EnvironmentProblem(
        f"the process {how}; its memory is limited (`{limit}`), and libraries end where they get none",
        f"raise the limit (`{limit}`), or try fewer --workers, a smaller --batch-rows (score) or --preset fast (fit)",
    )


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
