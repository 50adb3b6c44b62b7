"""One run at a time: a lock (flock) on a file, which the system gives back when its holder ends, however it ends.

`flock FILE COMMAND` of util-linux locks the same way, so that scripts and vaecli can share one lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vaecli.errors import LockHeld
from vaecli.runtime.atomic_file import translated


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the lock on the file at `path`, which is made if it is not there and never written, while the block runs.

    Raises LockHeld if another process has it, UsageError for a folder that does not exist, EnvironmentProblem for a
    file that may not be opened and for a file system without locks.
    """
    with translated(path):
        descriptor = _open_and_lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def in_turn(folder: str, seconds: float = 2.0) -> Iterator[None]:
    """Run the block while no other process is in such a block for `folder`; after `seconds` of waiting, run it anyway.

    What it protects is small and quick: a lock that another program keeps, and a file system without locks, must not
    stop a run.
    """
    import time

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        until = time.monotonic() + seconds
        with suppress(OSError):
            while not _lock(descriptor) and time.monotonic() < until:
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _open_and_lock(path: str) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)  # also a file of another user in a folder of all
        except FileNotFoundError:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                raise LockHeld(
                    f"{path}: another run holds the lock", "try again later, or give --skip-if-locked to leave with 0"
                )
            if _is_file_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody removed the file between opening and locking it


def _lock(descriptor: int) -> bool:
    """Whether this process has the lock now. Raises OSError where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _is_file_at(path: str, descriptor: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
