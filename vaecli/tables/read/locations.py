"""Where the bytes of a table are: in a local file, at a URL, or in a stream that can be read only once.

A file that can be opened more than once must stay the same: what identifies its content (for a local file the device,
inode, size and time of change) is remembered when it is found, and compared at every opening and after the last read.
"""

from __future__ import annotations

import errno
import glob
import io
import os
import stat
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import pyarrow as pa

from vaecli.errors import UnreadableFile, UsageError, VaecliError, shortage
from vaecli.runtime import file_types
from vaecli.runtime.temporary import copying
from vaecli.runtime.urls import is_http, is_url, shown, without_file_scheme
from vaecli.tables import remote
from vaecli.tables.read.growing import Prefix, PrefixReader

STANDARD_INPUT = "standard input"
STANDARD_INPUT_FILE = "/dev/stdin"
PEEK_BYTES = 4 * 2**20  # of a stream that is read once: its header must end within them


class Location(Protocol):
    """Bytes that can be read from their start."""

    @property
    def name(self) -> str:
        """The name of the file or stream in messages."""

    @property
    def file(self) -> str:
        """The path or URL that is read, so that no output overwrites it."""

    def open(self) -> pa.NativeFile:
        """A stream of all bytes, from the start. Raises OSError, and UnreadableFile when it has changed."""

    def peek(self) -> pa.NativeFile:
        """A stream of the first bytes, from the start; `open` still yields all of them. Raises as `open` does."""

    def require_unchanged(self) -> None:
        """Raise UnreadableFile when the bytes are no longer those that were found."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file. `name` is the path as the user wrote it, `state` what identifies its content.

    To a text file rows may be appended while it is read: its `prefix` is what is read then.
    """

    name: str
    state: tuple[int, ...]
    prefix: Prefix | None = None

    @classmethod
    def found(cls, path: str) -> LocalFile:
        """Remember the state and the prefix of the file at `path`. Raises UnreadableFile."""
        try:
            state = _state_of(path)
            return cls(path, state, Prefix.found(path, state[_SIZE]))
        except OSError as problem:
            raise unreadable(path, problem) from None

    @property
    def file(self) -> str:
        return self.name

    @property
    def n_bytes(self) -> int:
        """The size of the file when it was found."""
        return self.state[_SIZE]

    def open(self) -> pa.NativeFile:
        if self.prefix is None:
            return self.peek()
        stream = pa.PythonFile(PrefixReader(self.name, self.prefix), mode="r")
        self.require_unchanged()
        return stream

    def peek(self) -> pa.NativeFile:
        stream = pa.OSFile(self.name)
        self.require_unchanged()  # once it is open, so that no replacement can fall between the two
        return stream

    def require_unchanged(self) -> None:
        try:
            state = _state_of(self.name)
            if state == self.state:
                return
            if state[:_SIZE] == self.state[:_SIZE] and state[_SIZE] > self.n_bytes and self._has_grown():
                return
        except OSError:
            pass
        raise changed(self.name)

    def _has_grown(self) -> bool:
        """Whether the longer file is this one with more at its end. Raises UnreadableFile, and OSError."""
        if self.prefix is None or not self.prefix.is_in(self.name):
            return False
        if self.prefix.has_half_a_row:
            raise UnreadableFile(
                f"{self.name}: grew while it was read, and its last line had been half-written",
                "try again, or score a copy: its writer should write whole lines",
                path=self.name,
            )
        self.prefix.has_grown = True
        return True


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a URL that fsspec knows; `state` is what its store reports of its content."""

    url: str
    state: tuple[str, ...]

    @classmethod
    def found(cls, url: str) -> RemoteFile:
        """Remember the state of the file at `url`. Raises UnreadableFile."""
        try:
            return cls(url, remote.state_of(url))
        except OSError as problem:
            raise unreadable(shown(url), problem) from None

    @property
    def name(self) -> str:
        return shown(self.url)

    @property
    def file(self) -> str:
        return self.url

    def open(self) -> pa.NativeFile:
        stream = pa.PythonFile(remote.open_reader(self.url), mode="r")
        self.require_unchanged()
        return stream

    def peek(self) -> pa.NativeFile:
        return self.open()

    def require_unchanged(self) -> None:
        try:
            state = remote.state_of(self.url)
        except OSError as problem:
            raise unreadable(self.name, problem) from None
        if state != self.state:
            raise changed(self.name)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SpooledStream:
    """A stream that was copied to a temporary file without a name, which vanishes with this object or the process."""

    name: str
    copy: BinaryIO

    def __post_init__(self) -> None:
        weakref.finalize(self, self.copy.close)

    @property
    def file(self) -> str:
        return _file_of_stream(self.name)

    def open(self) -> pa.NativeFile:
        return pa.PythonFile(_CopyReader(self), mode="r")

    def peek(self) -> pa.NativeFile:
        return self.open()

    def require_unchanged(self) -> None:
        """The copy belongs to this process."""


@dataclass(slots=True)
class SinglePassStream:
    """A stream that is read once, without a copy; `head` holds the bytes that were already read of it."""

    name: str
    head: bytes
    rest: BinaryIO
    is_opened: bool = False

    @property
    def file(self) -> str:
        return _file_of_stream(self.name)

    def open(self) -> pa.NativeFile:
        if self.is_opened:
            raise RuntimeError(f"{self.name} was opened with once=True and is read a second time")
        self.is_opened = True
        return pa.PythonFile(_PrefixedStream(self.head, self.rest), mode="r")

    def peek(self) -> pa.NativeFile:
        return pa.BufferReader(self.head)

    def require_unchanged(self) -> None:
        """A stream is read once."""


def find_locations(inputs: Sequence[str], *, once: bool = False) -> tuple[Location, ...]:
    """The location of every file that `inputs` name, in the order in which they are read.

    A directory names the Parquet files below it and a pattern its matches, both sorted by name; `-` names standard
    input. With `once` a stream that is not Parquet is not copied. Raises UnreadableFile naming what does not exist or
    cannot be read, and UsageError when there is no input or `-` is one of several.
    """
    require_inputs(inputs)
    return tuple(location for text in inputs for location in _locations_of(text, once))


def require_inputs(inputs: Sequence[str]) -> None:
    """Raise UsageError when there is no input, one without a name, or `-` as one of several."""
    if not inputs:
        raise UsageError("no input was given", "name a CSV or Parquet file, or `-` for standard input")
    if "" in inputs:
        raise UsageError("an input has an empty name", "name a CSV or Parquet file; is a variable not set?")
    if "-" in inputs and len(inputs) > 1:
        raise UsageError("`-` cannot be combined with other inputs", "give either files or standard input")


def unreadable(name: str, problem: OSError) -> VaecliError:
    """The error that reports an OSError met while reading `name`."""
    if (short := shortage(problem)) is not None:
        return short
    match problem:
        case OSError(errno=errno.ENAMETOOLONG):
            return UnreadableFile(f"{name}: no such file: the name is too long", "check the path", path=name)
        case FileNotFoundError() if is_url(name):
            answer = f": {problem.strerror}" if is_http(name) else ""
            return UnreadableFile(
                f"{name}: no such file{answer}", "check the address; a signed link may have expired", path=name
            )
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


def changed(name: str) -> UnreadableFile:
    """The error that reports a file that was replaced or written to between two openings, or while it was read."""
    return UnreadableFile(f"{name}: changed while it was read", "try again when it is complete", path=name)


_SIZE = 2  # the place of the size in the state of a local file


def _state_of(path: str) -> tuple[int, ...]:
    return state_in(os.stat(path))


def state_in(found: os.stat_result) -> tuple[int, ...]:
    """What identifies the content of a file: device, inode, size and time of change."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _file_of_stream(name: str) -> str:
    return STANDARD_INPUT_FILE if name == STANDARD_INPUT else name


def _locations_of(text: str, once: bool) -> tuple[Location, ...]:
    if text == "-":
        return (_streamed(STANDARD_INPUT, sys.stdin.buffer, once),)
    if is_url(text):
        return _remote_locations(text)
    path = without_file_scheme(text)
    try:
        mode = os.stat(path).st_mode
    except OSError as problem:
        if glob.has_magic(path) and isinstance(problem, FileNotFoundError):
            return tuple(location for name in matches(path) for location in _matched(name))
        raise unreadable(text, problem) from None
    if stat.S_ISDIR(mode):
        return tuple(map(LocalFile.found, parquet_below(path)))
    if stat.S_ISREG(mode):
        return (LocalFile.found(path),)
    return (_pipe(path, once),)


def _streamed(name: str, stream: BinaryIO, once: bool) -> Location:
    """The location of a stream: a copy of it for Parquet, which is not read in order, and for more than one pass."""
    try:
        head = _read(stream, PEEK_BYTES)
        if once and not head.startswith(file_types.PARQUET):
            return SinglePassStream(name, head, stream)
        with ExitStack() as until_whole:
            with copying(f"a copy of {name}"):
                copy: BinaryIO = until_whole.enter_context(tempfile.TemporaryFile(prefix="vaecli-"))
            piece = head
            while piece:
                with copying(f"a copy of {name}"):
                    copy.write(piece)
                    copy.flush()
                piece = _read(stream, 2**20)
            until_whole.pop_all()  # the copy stays open as long as the location exists
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
        raise unreadable(shown(url), problem) from None
    if not urls:
        raise UnreadableFile(
            f"{shown(url)}: nothing there to read",
            "check the pattern, or the directory's files",
            path=shown(url),
        )
    return tuple(RemoteFile.found(file_url) for file_url in urls)


def matches(pattern: str) -> list[str]:
    """The paths that a pattern matches, sorted. Raises UnreadableFile if there are none."""
    if not (paths := matching(pattern)):
        raise no_match(pattern)
    return paths


def matching(pattern: str) -> list[str]:
    """The paths that a pattern matches, sorted, of which there may be none."""
    wants_underscore = os.path.basename(pattern).startswith("_")
    return sorted(
        path
        for path in glob.glob(pattern, recursive=True)
        if wants_underscore or not os.path.basename(path).startswith("_")
    )


def no_match(pattern: str) -> UnreadableFile:
    """The error that reports a pattern without files."""
    return UnreadableFile(
        f"{pattern}: the pattern matches no file", "check the path and the current directory", path=pattern
    )


def _matched(path: str) -> tuple[Location, ...]:
    names = parquet_below(path) if os.path.isdir(path) else [path]
    return tuple(map(LocalFile.found, names))


def parquet_below(directory: str, *, may_be_none: bool = False) -> list[str]:
    """The paths of the Parquet files below `directory`, sorted.

    Hidden and `_`-prefixed ones are left out (Spark's markers, temporary files). Raises UnreadableFile; for a directory
    without such files only if it has other ones, where there `may_be_none`.
    """
    paths: list[str] = []
    n_others = 0
    try:
        os.listdir(directory)  # os.walk would skip a directory that may not be listed
    except OSError as problem:
        raise unreadable(directory, problem) from None
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        shown_names = [name for name in names if not name.startswith((".", "_"))]
        tables = [name for name in shown_names if name.lower().endswith(file_types.PARQUET_EXTENSIONS)]
        paths += [os.path.join(folder, name) for name in tables]
        n_others += len(shown_names) - len(tables)
    if not paths and (n_others or not may_be_none):
        raise UnreadableFile(
            f"{directory}: a directory without Parquet files",
            f"for CSV files, quote a pattern: '{os.path.join(directory, '*.csv')}'",
            path=directory,
        )
    return sorted(paths)


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


class _CopyReader(io.RawIOBase):
    """Reads a file that has no name, at a position of its own: other readers have theirs."""

    def __init__(self, stream: SpooledStream) -> None:
        super().__init__()
        self._stream = stream  # the file exists as long as this does
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size()}
        self._position = starts[whence] + offset
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        if n_bytes < 0:
            n_bytes = self._size() - self._position
        pieces: list[bytes] = []
        descriptor = self._stream.copy.fileno()
        while n_bytes > 0 and (piece := os.pread(descriptor, n_bytes, self._position)):
            pieces.append(piece)
            self._position += len(piece)
            n_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _size(self) -> int:
        return os.fstat(self._stream.copy.fileno()).st_size


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
