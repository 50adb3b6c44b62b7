"""Where the bytes of a table lie: a local file, a URL, or a stream that can pass only once."""

from __future__ import annotations

import glob
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from vaecli.errors import UnreadableFile, UsageError
from vaecli.runtime import file_types
from vaecli.tables import remote

STANDARD_INPUT = "standard input"
PEEK_BYTES = 4 * 2**20  # of a stream that passes once: its header must end within


class Location(Protocol):
    """Bytes that can be read from their start."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def open(self) -> pa.NativeFile:
        """All bytes, from the start. Raises OSError."""

    def peek(self) -> pa.NativeFile:
        """The first bytes, from the start, leaving `open` as it was. Raises OSError."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file. `name` is the path as the user wrote it."""

    name: str

    def open(self) -> pa.NativeFile:
        return pa.OSFile(self.name)

    def peek(self) -> pa.NativeFile:
        return self.open()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file behind a URL that fsspec knows."""

    url: str

    @property
    def name(self) -> str:
        return remote.shown(self.url)

    def open(self) -> pa.NativeFile:
        return pa.PythonFile(remote.open_reader(self.url), mode="r")

    def peek(self) -> pa.NativeFile:
        return self.open()


@dataclass(frozen=True, slots=True)
class Spooled:
    """A stream copied to a temporary file, which lives as long as this object."""

    name: str
    copy: Any  # tempfile's wrapper removes the file when it is collected

    def open(self) -> pa.NativeFile:
        return pa.OSFile(self.copy.name)

    def peek(self) -> pa.NativeFile:
        return self.open()


@dataclass(slots=True)
class Passing:
    """A stream that is read once, without a copy; `head` is what was read of it to look at."""

    name: str
    head: bytes
    rest: BinaryIO
    gone: bool = False

    def open(self) -> pa.NativeFile:
        if self.gone:
            raise RuntimeError(f"{self.name} was opened with once=True and is read a second time")
        self.gone = True
        return pa.PythonFile(_Joined(self.head, self.rest), mode="r")

    def peek(self) -> pa.NativeFile:
        return pa.BufferReader(self.head)


def find_locations(inputs: Sequence[str], *, once: bool = False) -> tuple[Location, ...]:
    """Every file the user's words stand for, in the order they are to be read.

    A directory stands for the Parquet files below it and a pattern for its matches, both sorted by
    name. Raises UnreadableFile naming what does not exist, and UsageError when `-` is one of several.
    """
    if not inputs:
        raise UsageError("no input was given", "name a CSV or Parquet file, or `-` for standard input")
    if "" in inputs:
        raise UsageError("an input has an empty name", "name a CSV or Parquet file; is a variable not set?")
    if "-" in inputs and len(inputs) > 1:
        raise UsageError("`-` cannot be combined with other inputs", "give either files or standard input")
    return tuple(place for text in inputs for place in _locations_of(text, once))


def unreadable(name: str, problem: OSError) -> UnreadableFile:
    """The error that reports an OSError met while reading `name`."""
    match problem:
        case FileNotFoundError():
            return UnreadableFile(f"{name}: no such file", "check the path and the current directory", path=name)
        case PermissionError():
            return UnreadableFile(
                f"{name}: permission denied", "make it readable for the user that runs vaecli", path=name
            )
        case IsADirectoryError():
            return UnreadableFile(f"{name}: is a directory, not a table", "name the file in it", path=name)
        case _:
            return UnreadableFile(
                f"{name}: cannot be read: {problem.strerror or problem}", "check that the file is whole", path=name
            )


def _locations_of(text: str, once: bool) -> tuple[Location, ...]:
    if text == "-":
        if sys.stdin is None:
            raise UnreadableFile("standard input is closed", "name a file, or pipe a table into vaecli")
        return (_streamed(STANDARD_INPUT, sys.stdin.buffer, once),)
    if remote.is_url(text):
        return _remote_locations(text)
    path = remote.without_file_scheme(text)
    try:
        mode = os.stat(path).st_mode
    except OSError as problem:
        if glob.has_magic(path) and isinstance(problem, FileNotFoundError):
            return _matches(path)
        raise unreadable(text, problem) from None
    if stat.S_ISDIR(mode):
        return _parquet_below(path)
    if stat.S_ISREG(mode):
        return (LocalFile(path),)
    return (_pipe(path, once),)


def _streamed(name: str, stream: BinaryIO, once: bool) -> Location:
    """Parquet needs to seek and a fit reads more than once: both get a copy."""
    try:
        head = _read(stream, PEEK_BYTES)
        if once and not head.startswith(file_types.PARQUET):
            return Passing(name, head, stream)
        # the wrapper, and with it the file, lives as long as the place
        copy = tempfile.NamedTemporaryFile(prefix="vaecli-", suffix=".spool")  # noqa: SIM115
        copy.write(head)
        shutil.copyfileobj(stream, copy, 2**20)
        copy.flush()
    except OSError as problem:
        raise unreadable(name, problem) from None
    _close(stream)
    return Spooled(name, copy)


def _pipe(path: str, once: bool) -> Location:
    """A named pipe, a process substitution or /dev/stdin."""
    try:
        stream = open(path, "rb")  # noqa: SIM115 - read until the place is gone
    except OSError as problem:
        raise unreadable(path, problem) from None
    return _streamed(path, stream, once)


def _close(stream: BinaryIO) -> None:
    """Close a pipe that was opened here; standard input belongs to the process."""
    if sys.stdin is None or stream is not sys.stdin.buffer:
        stream.close()


def _remote_locations(url: str) -> tuple[Location, ...]:
    try:
        found = remote.expand(url)
    except OSError as problem:
        raise unreadable(remote.shown(url), problem) from None
    if not found:
        raise UnreadableFile(
            f"{remote.shown(url)}: nothing there to read",
            "check the pattern, or the directory's files",
            path=remote.shown(url),
        )
    return tuple(RemoteFile(one) for one in found)


def _matches(pattern: str) -> tuple[Location, ...]:
    wants_underscore = os.path.basename(pattern).startswith("_")
    found = sorted(
        path
        for path in glob.glob(pattern, recursive=True)
        if wants_underscore or not os.path.basename(path).startswith("_")
    )
    if not found:
        raise UnreadableFile(
            f"{pattern}: the pattern matches no file", "check the path and the current directory", path=pattern
        )
    return tuple(place for path in found for place in _matched(path))


def _matched(path: str) -> tuple[Location, ...]:
    return _parquet_below(path) if os.path.isdir(path) else (LocalFile(path),)


def _parquet_below(directory: str) -> tuple[Location, ...]:
    """Parquet files below `directory`, hidden and `_`-prefixed ones left out (Spark's markers, temporary files)."""
    found = []
    try:
        os.listdir(directory)  # os.walk would pass over a directory that may not be listed
    except OSError as problem:
        raise unreadable(directory, problem) from None
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        found += [
            os.path.join(folder, name)
            for name in names
            if name.lower().endswith(file_types.PARQUET_EXTENSIONS) and not name.startswith((".", "_"))
        ]
    if not found:
        raise UnreadableFile(
            f"{directory}: a directory without Parquet files",
            f"for CSV files, quote a pattern: '{os.path.join(directory, '*.csv')}'",
            path=directory,
        )
    return tuple(LocalFile(path) for path in sorted(found))


def _read(stream: BinaryIO, n_bytes: int) -> bytes:
    """What `stream.read(n_bytes)` reads, piece by piece: between the pieces of one long read of a pipe a signal
    goes unnoticed, and the wait for the next piece may have no end."""
    read_piece = getattr(stream, "read1", stream.read)
    pieces: list[bytes] = []
    while n_bytes > 0 and (piece := read_piece(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


class _Joined(io.RawIOBase):
    """Bytes already read, followed by the stream they came from."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, n_bytes: int = -1) -> bytes:
        if n_bytes < 0:
            return self._head.read() + self._rest.read()
        return self._head.read(n_bytes) or _read(self._rest, n_bytes)

    def close(self) -> None:
        super().close()
        _close(self._rest)
