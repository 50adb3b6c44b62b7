"""Files that appear whole or not at all: written beside the target, flushed to disk, renamed.

Wrong use (a folder that is not there) is a UsageError; what the machine refuses (permission, a full disk)
is an EnvironmentProblem. A reader that went away stays a BrokenPipeError.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from vaecli.errors import EnvironmentProblem, UsageError


@dataclass(frozen=True, slots=True)
class AtomicFile:
    """A file being written, which takes the place of `path` on `commit`. `name` is what messages call it."""

    name: str
    path: str
    temporary: str
    stream: BinaryIO

    def commit(self) -> None:
        """Replace what was at `path` in one step. Raises OSError."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        with suppress(OSError):  # a new output keeps the permissions of the one it replaces, where that is allowed
            os.chmod(self.temporary, stat.S_IMODE(os.stat(self.path).st_mode))
        os.replace(self.temporary, self.path)
        _sync_directory(os.path.dirname(self.path))

    def abort(self) -> None:
        """Leave no trace; what was at `path` stays as it was."""
        with suppress(OSError):
            self.stream.close()
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)


def open_atomic(path: str | os.PathLike[str]) -> AtomicFile:
    """Begin to write what will be at `path`. A link stays a link: what it points to is replaced. Raises OSError."""
    real = os.path.realpath(path)
    # in the same directory, because a rename across file systems is a copy
    temporary = os.path.join(os.path.dirname(real), f".vaecli-{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    return AtomicFile(os.fspath(path), real, temporary, os.fdopen(descriptor, "wb"))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A stream that becomes the file at `path` when the block ends well, and leaves no trace when it does not.

    Raises UsageError when the path names no regular file, EnvironmentProblem when it cannot be written.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise UsageError(f"{name}: is a directory", "add a file name to the target")
    if os.path.exists(name) and not os.path.isfile(name):
        raise UsageError(f"{name}: is not a regular file", "name a file, not a device or a pipe")
    with translated(name):
        with suppress(FileNotFoundError):
            os.stat(name)  # a name that the file system refuses is refused now, not on commit
        file = open_atomic(path)
        try:
            yield file.stream
            file.commit()
        except BaseException:
            file.abort()
            raise


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Make `data` the content of the file at `path`, whole or not at all; raises as `replacing` does."""
    with replacing(path) as stream:
        stream.write(data)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise now what `replacing(path)` would raise later: before a long computation, not after it."""
    with suppress(_Writable), replacing(path):
        raise _Writable


class _Writable(Exception):
    """Ends the rehearsal before anything is replaced."""


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn an OSError while writing `name` into what to tell the user; a broken pipe passes as it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise _unwritable(name, problem) from problem


def _unwritable(name: str, problem: OSError) -> EnvironmentProblem | UsageError:
    match problem:
        case FileNotFoundError() | NotADirectoryError() if "://" not in name:
            folder = os.path.dirname(name) or "."
            return UsageError(f"{name}: no such directory: {folder}", f"make it first: `mkdir -p {folder}`")
        case PermissionError():
            return EnvironmentProblem(f"{name}: permission denied", "write to a directory that you own")
        case _:
            hint = "nothing was written and an earlier output is untouched; make room, or write elsewhere"
            return EnvironmentProblem(f"{name}: cannot be written: {problem.strerror or problem}", hint)


def _sync_directory(path: str) -> None:
    """The rename itself survives a power cut only when the directory is flushed; not every system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
