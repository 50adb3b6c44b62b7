"""Another process of this interpreter, and objects that the two send each other as pickles, through pipes of their own.

`multiprocessing` would run the script that started this process once more, and a third process beside it.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # of Linux


@dataclass(frozen=True, slots=True)
class Channel:
    """One end of the two pipes."""

    reader: IO[bytes]
    writer: IO[bytes]

    def send(self, value: object) -> None:
        """Send a value that can be pickled. Raises ConnectionError where the other process has ended."""
        pickle.dump(value, self.writer, pickle.HIGHEST_PROTOCOL)
        self.writer.flush()

    def receive(self) -> Any:
        """Wait for the next value. Raises EOFError where the other process has ended."""
        try:
            return pickle.load(self.reader)
        except pickle.UnpicklingError:  # within a value
            raise EOFError from None


@dataclass(frozen=True, slots=True)
class PythonProcess:
    """A process that imports from the same places as this one."""

    process: subprocess.Popen[bytes]
    channel: Channel

    @classmethod
    def start(cls, module: str, function: str) -> PythonProcess:
        """Have it call a function of a module, which talks by `channel_of_child`. Raises OSError where none starts.

        It does not see the signals that end this one, also those that a terminal sends to both.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # what is blocked stays so in a new program
        try:
            # not as PYTHONPATH: a folder may have a colon in its name, and -I and -E ignore the variable
            code = (
                f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import end_with; end_with({os.getpid()}); "
                f"from {module} import {function}; {function}()"
            )
            process = subprocess.Popen(
                [sys.executable, *_flags(), "-P", "-c", code, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdin is not None
            assert process.stdout is not None
            started = cls(process, Channel(process.stdout, process.stdin))
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # raises what a signal that came meanwhile raises
        except BaseException:
            started.end()
            raise
        return started

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self.process.poll() is not None

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code, or minus the number of the signal that killed it."""
        return self.process.wait()

    def kill(self) -> None:
        """Kill it if it runs; `end` waits until it is gone."""
        self.process.kill()

    def end(self) -> None:
        """Kill it if it runs, and wait until it is gone."""
        self.process.kill()
        for pipe in (self.channel.reader, self.channel.writer):
            with suppress(ConnectionError):  # what is not sent yet
                pipe.close()
        self.process.wait()


def _flags() -> list[str]:
    """The options of the interpreter that this process was started with, as -I or -W error."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing
    return flags


def can_be_sent(value: object) -> bool:
    """Whether the other process would receive the value: it can be pickled, and made again from that."""
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:
        return False
    return True


def end_with(parent: int) -> None:
    """Have the system kill this process when the one with that number ends; elsewhere than on Linux do nothing.

    Without it a process would go on until it next reads or writes, and for ever where a library never comes back.
    """
    with suppress(Exception):
        from ctypes import CDLL

        CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before
        os._exit(1)


def channel_of_child() -> Channel:
    """The other end, in the process that was started. What a library prints goes to standard error from then on."""
    writer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return Channel(sys.stdin.buffer, writer)
