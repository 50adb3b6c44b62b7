"""Atomic writes: a file is written next to its target, flushed to disk and renamed, so it is complete or absent.

A wrong path (a folder that does not exist) is a UsageError; a failure of the machine (permission, a full disk) is an
EnvironmentProblem. A pipe whose reader has closed it stays a BrokenPipeError. What a killed process left beside a
target is removed by the next one that writes there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.runtime import outputs
from vaecli.runtime.temporary import create_temporary
from vaecli.runtime.urls import shown

STANDARD_OUTPUT = "standard output"


@dataclass(frozen=True, slots=True)
class AtomicFile:
    """A temporary file that replaces `path` on `commit`. `name` is its name in messages.

    `is_output` is false for a file that is kept for a later run and was not asked for, such as a checkpoint.
    """

    name: str
    path: str
    temporary: str
    stream: BinaryIO
    is_output: bool = True

    def commit(self) -> None:
        """Flush the file to disk and rename it to `path` in one step. Raises OSError."""
        self.stream.flush()
        _take_permissions(self.stream.fileno(), self.path)
        os.fsync(self.stream.fileno())
        if self.is_output:
            outputs.begin_rename(self.name, self.temporary)
        os.replace(self.temporary, self.path)
        self.stream.close()  # after the rename, because closing gives up the lock
        _sync_directory(os.path.dirname(self.path))

    def abort(self) -> None:
        """Delete the temporary file; a file at `path` stays unchanged.

        What cannot be deleted, as in a folder that may no longer be written, is left to the next run.
        """
        with suppress(OSError):
            os.unlink(self.temporary)
            outputs.forget(self.name)
        with suppress(OSError):
            self.stream.close()


def open_atomic(path: str | os.PathLike[str], *, is_output: bool = True, hidden: bool = True) -> AtomicFile:
    """Create the temporary file for `path`. Of a symbolic link, the target is replaced. Raises OSError."""
    real = os.path.realpath(path)
    with suppress(FileNotFoundError):
        os.stat(real)  # fails now, not on commit, for a name that the file system does not allow
    # in the same directory, because a rename across file systems is a copy
    temporary, stream = create_temporary(os.path.dirname(real), os.path.basename(real), mode=0o600, hidden=hidden)
    return AtomicFile(os.fspath(path), real, temporary, stream, is_output)


@contextmanager
def replacing(path: str | os.PathLike[str], *, is_output: bool = True, hidden: bool = True) -> Iterator[BinaryIO]:
    """Yield a stream that becomes the file at `path` when the block ends without an exception, and else is deleted.

    Unless it is `hidden` the name of the file that is written begins without a dot.
    Raises UsageError when the path cannot name a regular file, EnvironmentProblem when it cannot be written.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise UsageError(f"{name}: is a directory", "add a file name to the target")
    if os.path.exists(name) and not os.path.isfile(name):
        raise UsageError(f"{name}: is not a regular file", "name a file, not a device or a pipe")
    with translated(name):
        file = open_atomic(path, is_output=is_output, hidden=hidden)
        try:
            yield file.stream
            file.commit()
        except BaseException:
            file.abort()
            raise


def write_bytes(path: str | os.PathLike[str], data: bytes, *, is_output: bool = True) -> None:
    """Replace the file at `path` by one that holds `data`, in one step; raises as `replacing` does."""
    with replacing(path, is_output=is_output) as stream:
        stream.write(data)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise before a long computation what `replacing(path)` would raise after it."""
    with suppress(_Writable), replacing(path):
        raise _Writable


class _Writable(Exception):
    """Leaves `replacing` before it replaces the file."""


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise an OSError met while writing `name` as UsageError or EnvironmentProblem; BrokenPipeError is unchanged."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise _unwritable(name, problem) from problem


def _take_permissions(descriptor: int, path: str) -> None:
    """Give a file the owner, group and mode of the one at `path` where that is allowed, else the mode of the umask.

    The bits that run a program as its owner are left out, and a group that cannot be kept passes no rights to another.
    """
    with suppress(OSError):  # some file systems know neither owners nor modes
        try:
            replaced = os.stat(path)
        except FileNotFoundError:
            umask = os.umask(0o077)
            os.umask(umask)
            os.fchmod(descriptor, 0o666 & ~umask)
            return
        mode = replaced.st_mode & 0o777
        for owner, group in ((-1, replaced.st_gid), (replaced.st_uid, -1)):
            with suppress(PermissionError):
                os.fchown(descriptor, owner, group)
        if os.fstat(descriptor).st_gid != replaced.st_gid:
            mode = mode & 0o707 | (mode & 0o007) << 3
        os.fchmod(descriptor, mode)


def _unwritable(name: str, problem: OSError) -> EnvironmentProblem | UsageError:
    path, name = name, shown(name)
    match problem:
        case FileNotFoundError() | NotADirectoryError() if "://" not in name:
            folder = os.path.dirname(name) or "."
            if os.path.islink(path):  # to a folder that is not there
                folder = shown(os.path.dirname(os.path.realpath(path)))
            elif os.path.isdir(os.path.dirname(path) or "."):
                return EnvironmentProblem(
                    f"{name}: the temporary file beside it was removed while it was written",
                    "nothing was written and an earlier output is untouched; find what removes files there, and retry",
                )
            return UsageError(f"{name}: no such directory: {folder}", f"make it first: `mkdir -p {folder}`")
        case PermissionError():
            return EnvironmentProblem(f"{name}: permission denied", "write to a directory that you own")
        case OSError(errno=errno.ENAMETOOLONG):
            n_bytes = len(os.fsencode(os.path.basename(name)))
            return UsageError(
                f"{name}: the file system does not allow a name this long: {n_bytes} bytes",
                "choose a shorter name, most file systems allow 255 bytes: -o FILE",
            )
        case _:
            hint = "make room, or write elsewhere"
            if name != STANDARD_OUTPUT:
                hint = f"nothing was written and an earlier output is untouched; {hint}"
            return EnvironmentProblem(f"{name}: cannot be written: {problem.strerror or problem}", hint)


def _sync_directory(path: str) -> None:
    """Flush the directory, so that the rename survives a power failure; not every system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
