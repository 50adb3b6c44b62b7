"""Temporary files that name and lock their owner, so that the next run removes what a killed one left.

`.vaecli-TARGET-HOST-PROCESS-RANDOM.part`: a digest of the target's name, a digest of the host's name, the process and
a random part; 56 bytes, however long the target's name is. The process holds a lock (flock) on the file as long as it
lives, which no other process can be mistaken for: numbers of processes are given out again, and containers have their
own. A file is removed if its lock is free and it was made on this host, because not every network file system shares
its locks between hosts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from vaecli.errors import EnvironmentProblem


def create_temporary(folder: str, target: str, mode: int = 0o666, *, hidden: bool = True) -> tuple[str, BinaryIO]:
    """Create and lock a file in `folder` for the output named `target`: its path and a stream to write it.

    Files that dead processes of this host left for the same target are removed first. Unless it is `hidden` its name
    begins without a dot. Raises OSError.
    """
    ours = f"{'.' if hidden else ''}vaecli-{_digest(target)}-{_digest(os.uname().nodename)}-"
    _remove_dead(folder, ours)
    while True:
        path = os.path.join(folder, f"{ours}{os.getpid()}-{os.urandom(8).hex()}.part")
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        _try_to_lock(descriptor)
        if os.path.exists(path):  # another run may have found it before it was locked
            return path, os.fdopen(descriptor, "wb")
        os.close(descriptor)


@contextmanager
def copying(what: str) -> Iterator[None]:
    """Write `what` to the folder for temporary files. Raises EnvironmentProblem when that cannot be written."""
    try:
        yield
    except OSError as problem:
        folder = tempfile.tempdir or "the temporary folder"
        raise EnvironmentProblem(
            f"{folder}: cannot hold {what}: {problem.strerror or problem}",
            "free some space, or name a folder with more: export TMPDIR=FOLDER",
        ) from problem


def _remove_dead(folder: str, prefix: str) -> None:
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return
    for name in names:
        if not name.startswith(prefix) or not name.endswith(".part"):
            continue
        path = os.path.join(folder, name)
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _try_to_lock(descriptor):
                    os.unlink(path)
            finally:
                os.close(descriptor)


def _try_to_lock(descriptor: int) -> bool:
    """Whether this process has the lock now; it has not when another has it, or the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
