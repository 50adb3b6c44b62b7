"""Runs the command of a notification so that a kill of this run neither repeats nor loses it.

The command is run by `notifier`, in a session of its own: a signal to this run or its process group does not reach
it, and it writes a receipt. It holds the lock of the state as long as it lives, so the next run waits for it and then
reads the receipt. What remains open is a machine that stops between the start of the command and its receipt.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vaecli.runtime.atomic_file import translated
from vaecli.runtime.environment import as_before

NOTIFIER = Path(__file__).with_name("notifier.py")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a notification: whether its command began, and its outcome, None if that is unknown."""

    begun: bool
    outcome: str | None  # an empty text: it succeeded


NO_RECEIPT = Receipt(begun=False, outcome=None)


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """Hold the lock beside the file at `path`, waiting for other runs and their notifiers; raises as `translated`."""
    import fcntl

    with translated(str(path)):
        file = open(path.with_name(path.name + ".lock"), "ab")  # noqa: SIM115 - closed below
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def notify(command: Sequence[str], payload: bytes, receipt: Path, timeout: float, lock: IO[bytes]) -> Receipt:
    """Run `command` with `payload` on its standard input, for `timeout` seconds at most; its receipt."""
    words = [str(receipt), str(timeout), str(len(payload)), *command]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(NOTIFIER), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=as_before(),
        pass_fds=[lock.fileno()],
        start_new_session=True,
    ) as running:
        assert running.stdin is not None
        with suppress(BrokenPipeError), running.stdin as stdin:
            stdin.write(payload)
        running.wait()
    return read_receipt(receipt)


def read_receipt(path: Path) -> Receipt:
    """The receipt in a file; one without a begin where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Receipt(bool(found["begun"]), found.get("outcome"))
    except (OSError, ValueError, KeyError, TypeError):
        return NO_RECEIPT
