"""Where the bytes of a table are: in a local file, at a URL, or in a stream that can be read only once."""

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
PEEK_BYTES = 4 * 2**20  # of a stream that is read once: its header must end within them


class Location(Protocol):
    """Bytes that can be read from their start."""

    @property
    def name(self) -> str:
        """The name of the file or stream in messages."""

    def open(self) -> pa.NativeFile:
        """A stream of all bytes, from the start. Raises OSError."""

    def peek(self) -> pa.NativeFile:
        """A stream of the first bytes, from the start; `open` still yields all of them. Raises OSError."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file, whose `name` is the path as the user wrote it."""

    name: str

    def open(self) -> pa.NativeFile:
        return pa.OSFile(self.name)

    def peek(self) -> pa.NativeFile:
        return self.open()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a URL that fsspec knows."""

    url: str

    @property
    def name(self) -> str:
        return remote.without_credentials(self.url)

    def open(self) -> pa.NativeFile:
        return pa.PythonFile(remote.open_reader(self.url), mode="r")

    def peek(self) -> pa.NativeFile:
        return self.open()


@dataclass(frozen=True, slots=True)
class SpooledStream:
    """A stream that was copied to a temporary file, which exists as long as this object."""

    name: str
    copy: Any  # tempfile's wrapper removes the file when it is collected

    def open(self) -> pa.NativeFile:
        return pa.OSFile(self.copy.name)

    def peek(self) -> pa.NativeFile:
        return self.open()


@dataclass(slots=True)
class SinglePassStream:
    """A stream that is read once, without a copy; `head` holds the bytes that were already read of it."""

    name: str
    head: bytes
    rest: BinaryIO
    is_opened: bool = False

    def open(self) -> pa.NativeFile:
        if self.is_opened:
            raise RuntimeError(f"{self.name} was opened with once=True and is read a second time")
        self.is_opened = True
        return pa.PythonFile(_PrefixedStream(self.head, self.rest), mode="r")

    def peek(self) -> pa.NativeFile:
        return pa.BufferReader(self.head)


def find_locations(inputs: Sequence[str], *, once: bool = False) -> tuple[Location, ...]:
    """The location of every file that `inputs` name, in the order in which they are read.

    A directory names the Parquet files below it and a pattern its matches, both sorted by name; `-` names standard
    input. With `once` a stream that is not Parquet is not copied. Raises UnreadableFile naming what does not exist or
    cannot be read, and UsageError when there is no input or `-` is one of several.
    """
    if not inputs:
        raise UsageError("no input was given", "name a CSV or Parquet file, or `-` for standard input")
    if "" in inputs:
        raise UsageError("an input has an empty name", "name a CSV or Parquet file; is a variable not set?")
    if "-" in inputs and len(inputs) > 1:
        raise UsageError("`-` cannot be combined with other inputs", "give either files or standard input")
    return tuple(location for text in inputs for location in _locations_of(text, once))


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
    """The location of a stream: a copy of it for Parquet, which is not read in order, and for more than one pass."""
    try:
        head = _read(stream, PEEK_BYTES)
        if once and not head.startswith(file_types.PARQUET):
            return SinglePassStream(name, head, stream)
        # the wrapper, and with it the file, exists as long as the location
        copy = tempfile.NamedTemporaryFile(prefix="vaecli-", suffix=".spool")  # noqa: SIM115
        copy.write(head)
        shutil.copyfileobj(stream, copy, 2**20)
        copy.flush()
    except OSError as problem:
        raise unreadable(name, problem) from None
    _close(stream)
    return SpooledStream(name, copy)


def _pipe(path: str, once: bool) -> Location:
    """A named pipe, a process substitution or /dev/stdin."""
    try:
        stream = open(path, "rb")  # noqa: SIM115 - read as long as the location exists
    except OSError as problem:
        raise unreadable(path, problem) from None
    return _streamed(path, stream, once)


def _close(stream: BinaryIO) -> None:
    """Close a pipe that was opened here; standard input belongs to the process."""
    if sys.stdin is None or stream is not sys.stdin.buffer:
        stream.close()


def _remote_locations(url: str) -> tuple[Location, ...]:
    try:
        urls = remote.expand(url)
    except OSError as problem:
        raise unreadable(remote.without_credentials(url), problem) from None
    if not urls:
        raise UnreadableFile(
            f"{remote.without_credentials(url)}: nothing there to read",
            "check the pattern, or the directory's files",
            path=remote.without_credentials(url),
        )
    return tuple(RemoteFile(file_url) for file_url in urls)


def _matches(pattern: str) -> tuple[Location, ...]:
    wants_underscore = os.path.basename(pattern).startswith("_")
    paths = sorted(
        path
        for path in glob.glob(pattern, recursive=True)
        if wants_underscore or not os.path.basename(path).startswith("_")
    )
    if not paths:
        raise UnreadableFile(
            f"{pattern}: the pattern matches no file", "check the path and the current directory", path=pattern
        )
    return tuple(location for path in paths for location in _matched(path))


def _matched(path: str) -> tuple[Location, ...]:
    return _parquet_below(path) if os.path.isdir(path) else (LocalFile(path),)


def _parquet_below(directory: str) -> tuple[Location, ...]:
    """The Parquet files below `directory`, without hidden and `_`-prefixed ones (Spark's markers, temporary files)."""
    paths: list[str] = []
    try:
        os.listdir(directory)  # os.walk would skip a directory that may not be listed
    except OSError as problem:
        raise unreadable(directory, problem) from None
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        paths += [
            os.path.join(folder, name)
            for name in names
            if name.lower().endswith(file_types.PARQUET_EXTENSIONS) and not name.startswith((".", "_"))
        ]
    if not paths:
        raise UnreadableFile(
            f"{directory}: a directory without Parquet files",
            f"for CSV files, quote a pattern: '{os.path.join(directory, '*.csv')}'",
            path=directory,
        )
    return tuple(LocalFile(path) for path in sorted(paths))


def _read(stream: BinaryIO, n_bytes: int) -> bytes:
    """As `stream.read(n_bytes)`, in several short reads.

    A signal that arrives during one long read of a pipe is not handled before the read ends, which may be never.
    """
    read_piece = getattr(stream, "read1", stream.read)
    pieces: list[bytes] = []
    while n_bytes > 0 and (piece := read_piece(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


class _PrefixedStream(io.RawIOBase):
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
