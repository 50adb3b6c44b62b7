"""What a run before has read of files that grow: which rows are new, also where files were rotated or replaced.

A file is known by the digest of the bytes that were read of it, not by its name: at its path, under another name with
its inode (rotated by renaming), or as the copy of one that was truncated (rotated by copying). What is not known is
new, so that a row may be read twice but is never left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from vaecli.errors import BundleError, UsageError
from vaecli.runtime import file_types
from vaecli.runtime.atomic_file import replacing
from vaecli.runtime.urls import without_file_scheme
from vaecli.tables.read.growing import Prefix
from vaecli.tables.read.header import Header
from vaecli.tables.read.locations import LocalFile, Location, changed, unreadable

_FORMAT = 1
_PIECE_BYTES = 2**20
_LINE_END_BYTES = 64 * 2**10
_WHOLE = (file_types.PARQUET, file_types.GZIP, file_types.ZSTD, file_types.BZIP2)
_HINT = "remove it, and the next run reads all rows; or name another file with --since-last-run"
# a file that was written to so shortly before may have been written to once more within one tick of its clock
_TICK_NS = 2 * 10**9


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What was read of a file: whole lines up to `offset`, and `taken` bytes of a last line without an end.

    `line` is the number of the line, from 1, that begins at `offset`; 0 for a file that is read as a whole, as Parquet
    and compressed text are. `digest` is that of all bytes read; `device`, `inode`, `size` and `changed_ns` are of the
    file as it was found at `found_ns`.
    """

    path: str
    device: int
    inode: int
    size: int
    changed_ns: int
    found_ns: int
    offset: int
    taken: int
    line: int
    digest: str

    @property
    def n_bytes(self) -> int:
        """How many bytes were read, from the start of the file."""
        return self.offset + self.taken


@dataclass(frozen=True, slots=True)
class NewRows:
    """The rows of a text file from byte `start` up to `end`; `line` is the number of the line at `start`.

    Both are 0 for a file that is new: its rows begin after its header.
    """

    found: LocalFile
    start: int
    end: int
    line: int
    marks: Prefix

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def file(self) -> str:
        return self.found.file

    def first_row(self, header: Header) -> tuple[int, int]:
        """Where the rows begin: byte, and number of the line."""
        return (self.start, self.line) if self.start > header.size else (header.size, header.first_line)

    def open(self) -> pa.NativeFile:
        stream = pa.PythonFile(_UpTo(self.name, self.end), mode="r")
        self.require_unchanged()
        return stream

    def peek(self) -> pa.NativeFile:
        return self.open()

    def require_unchanged(self) -> None:
        """Raise UnreadableFile when what was found is no longer there; the file may have grown."""
        try:
            now = os.stat(self.name)
            is_same = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) == self.found.state
            if is_same or (now.st_ino == self.found.state[1] and self.marks.is_in(self.name)):
                return
        except OSError:
            pass
        raise changed(self.name)


@dataclass(frozen=True, slots=True)
class NothingNew:
    """A file of which only the names of its columns are read, as no file has new rows."""

    found: LocalFile

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def file(self) -> str:
        return self.found.file

    def open(self) -> pa.NativeFile:
        return self.found.open()

    def peek(self) -> pa.NativeFile:
        return self.found.peek()

    def require_unchanged(self) -> None:
        """No row of it is read."""


@dataclass(slots=True)
class _Reading:
    """A file of this run, what is known of it, and how its digest goes on."""

    location: LocalFile
    path: str
    found_ns: int
    seen: SeenFile | None = None
    digest: Any = None  # of the first `seen.n_bytes`, where they had to be read
    rows: NewRows | None = None
    is_unchanged: bool = False


@dataclass(slots=True)
class Progress:
    """What earlier runs have read, in the file at `path`, and what this run reads."""

    path: Path
    earlier: tuple[SeenFile, ...]
    readings: list[_Reading] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Progress:
        """What the file at `path` holds; nothing where there is no file. Raises BundleError for any other content."""
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != _FORMAT:
                raise BundleError(f"{path}: written by a newer vaecli (format {content['format']})", _HINT)
            seen = tuple(SeenFile(**one) for one in content["files"])
            if any(type(getattr(one, name)) is not kind for one in seen for name, kind in _TYPES.items()):
                raise ValueError("a value of another type")
            return cls(path, seen)
        except FileNotFoundError:
            return cls(path, ())
        except OSError as problem:
            raise BundleError(f"{path}: cannot be read: {problem.strerror or problem}", _HINT) from None
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise BundleError(f"{path}: is not a state of --since-last-run, or is damaged ({problem})", _HINT) from None

    def select(self, locations: Sequence[Location]) -> tuple[Location, ...]:
        """The new rows of the files found, without those files that have none; known files come first, in their order.

        If nothing is new it is the first file, without any row. Raises UsageError for what is no local file.
        """
        folders: dict[str, str] = {}
        for location in locations:
            if not isinstance(location, LocalFile):
                raise UsageError(
                    f"--since-last-run reads files, not streams or URLs: {location.name}",
                    "give files of this machine, a folder or a pattern",
                )
            self.readings.append(_Reading(location, _real_path(location.name, folders), time.time_ns()))
        try:
            self._recognise()
            ranks = {seen: i for i, seen in enumerate(self.earlier)}
            self.readings.sort(key=lambda one: len(ranks) if one.seen is None else ranks[one.seen])
            chosen = [part for one in self.readings if (part := _new_part(one)) is not None]
        except OSError as problem:
            raise unreadable(str(problem.filename or "the files"), problem) from None
        return tuple(chosen) or (NothingNew(self.readings[0].location),)

    def files_at(self, target: str) -> tuple[str, ...]:
        """The files of this run that are what lies at `target`; one stat, however many files there are."""
        try:
            found = os.stat("/dev/stdout" if target == "-" else without_file_scheme(target))
        except OSError:
            return ()
        return tuple(
            one.location.name for one in self.readings if one.location.state[:2] == (found.st_dev, found.st_ino)
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many files are new, have grown, and have nothing new."""
        same = sum(one.is_unchanged for one in self.readings)
        new = sum(one.seen is None and not one.is_unchanged for one in self.readings)
        return new, len(self.readings) - same - new, same

    def save(self) -> None:
        """Note what this run has read, once its output is complete.

        Raises UnreadableFile where a file is no longer what was read, UsageError or EnvironmentProblem.
        """
        try:
            seen = [_seen_now(one) for one in self.readings]
        except OSError as problem:
            raise unreadable(str(problem.filename or "the files"), problem) from None
        paths = {one.path for one in self.readings}
        others = [one for one in self.earlier if one.path not in paths and os.path.exists(one.path)]
        files = ({name: getattr(one, name) for name in _TYPES} for one in (*others, *seen) if one)
        with replacing(self.path, is_output=False) as stream:
            lines = ",\n".join(map(json.dumps, files))  # with `indent` it takes ten times as long
            stream.write(f'{{"format": {_FORMAT}, "files": [\n{lines}\n]}}\n'.encode())

    def _recognise(self) -> None:
        """Find what was read before of each file: at its path, by its inode, or as a copy."""
        by_path = {one.path: one for one in self.earlier}
        by_inode = {(one.device, one.inode): one for one in self.earlier}
        left = set(self.earlier)
        for reading in self.readings:
            self._take(reading, by_path.get(reading.path), left)
        for reading in self.readings:
            device, inode, size, changed_ns = reading.location.state
            seen = by_inode.get((device, inode))
            # numbers of inodes are given out again; renaming keeps the time of change
            if seen is not None and (size > seen.size or changed_ns == seen.changed_ns):
                self._take(reading, seen, left)
        present = {one.path for one in self.readings}
        for reading in self.readings:
            for seen in [one for one in left if one.path in present]:  # whose content is no longer at its path
                self._take(reading, seen, left)

    def _take(self, reading: _Reading, seen: SeenFile | None, left: set[SeenFile]) -> None:
        if reading.seen is None and seen in left and seen is not None and _is_of(reading, seen):
            reading.seen = seen
            left.remove(seen)


_TYPES = {name: str if name in ("path", "digest") else int for name in SeenFile.__slots__}


def _is_of(reading: _Reading, seen: SeenFile) -> bool:
    """Whether the file still begins with what was read before. Raises OSError."""
    device, inode, size, changed_ns = reading.location.state
    is_same = (device, inode, size, changed_ns) == (seen.device, seen.inode, seen.size, seen.changed_ns)
    if is_same and seen.found_ns - seen.changed_ns > _TICK_NS:
        return True
    if size < seen.n_bytes or (not seen.line and size != seen.n_bytes):
        return False
    digest = hashlib.sha256()
    for piece in _pieces(reading.location.name, 0, seen.n_bytes):
        digest.update(piece)
    if digest.hexdigest() != seen.digest:
        return False
    reading.digest = digest
    return True


def _real_path(path: str, folders: dict[str, str]) -> str:
    """The path of a file without symbolic links; `folders` are those of folders that were found before."""
    if os.path.islink(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)


def _new_part(reading: _Reading) -> Location | None:
    """The new rows of a file; None, and a note, where there are none. Raises OSError."""
    location, seen = reading.location, reading.seen
    if seen is not None and location.n_bytes == seen.n_bytes:
        reading.is_unchanged = True
        return None
    with open(location.name, "rb", buffering=0) as file:
        if file.read(8).startswith(_WHOLE):
            return location
    start, line = (0, 0) if seen is None else _start_of(location, seen)
    end = _end_of_lines(location.name, start, location.n_bytes)
    if seen is not None and (location.n_bytes, location.state[3]) == (seen.size, seen.changed_ns):
        end = location.n_bytes  # a line that has had no end for a whole run is complete
    if end <= (start if seen is None else seen.n_bytes):
        reading.is_unchanged = True
        return None
    marks = Prefix.found(location.name, end)
    if marks is None:
        return None
    reading.rows = NewRows(location, start, end, line, marks)
    return reading.rows


def _start_of(location: LocalFile, seen: SeenFile) -> tuple[int, int]:
    """Where the new rows begin, and the number of the line there."""
    if not seen.taken or location.n_bytes == seen.n_bytes:
        return seen.n_bytes, seen.line
    with open(location.name, "rb", buffering=0) as file:
        following = os.pread(file.fileno(), 2, seen.n_bytes)
    for line_end in (b"\n", b"\r\n"):
        if following.startswith(line_end):
            return seen.n_bytes + len(line_end), seen.line + 1
    return seen.offset, seen.line  # what was taken for a row went on: it is read again as a whole


def _end_of_lines(path: str, start: int, size: int) -> int:
    """Where the last whole line ends, `start` if no line ends after it. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        until = size
        while until > start:
            begin = max(start, until - _LINE_END_BYTES)
            at = os.pread(file.fileno(), until - begin, begin).rfind(b"\n")
            if at >= 0:
                return begin + at + 1
            until = begin
    return start


def _seen_now(reading: _Reading) -> SeenFile | None:
    """What has been read of a file after this run; None where it has no whole line yet. Raises OSError."""
    location, seen, rows = reading.location, reading.seen, reading.rows
    device, inode, size, changed_ns = location.state
    if reading.is_unchanged and seen is None:
        return None
    offset, taken, line, digest = (
        (size, 0, 0, "") if seen is None else (seen.offset, seen.taken, seen.line, seen.digest)
    )
    if rows is not None:
        n_lines = sum(piece.count(b"\n") for piece in _pieces(location.name, rows.start, rows.end))
        offset = _end_of_lines(location.name, rows.start, rows.end)
        taken, line = rows.end - offset, (rows.line or 1) + n_lines
    if not reading.is_unchanged:
        known, begin = hashlib.sha256(), 0
        if reading.digest is not None and seen is not None:
            known, begin = reading.digest, seen.n_bytes
        for piece in _pieces(location.name, begin, offset + taken):
            known.update(piece)
        digest = known.hexdigest()
        (rows or location).require_unchanged()
    return SeenFile(reading.path, device, inode, size, changed_ns, reading.found_ns, offset, taken, line, digest)


def _pieces(path: str, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from `start` up to `end`, or as far as it goes. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        while start < end and (piece := os.pread(file.fileno(), min(_PIECE_BYTES, end - start), start)):
            yield piece
            start += len(piece)


class _UpTo(io.RawIOBase):
    """Reads a file up to a position."""

    def __init__(self, path: str, end: int) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this object
        self._end = end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def read(self, n_bytes: int = -1) -> bytes:
        left = max(self._end - self._file.tell(), 0)
        return self._file.read(left if n_bytes < 0 else min(n_bytes, left))

    def close(self) -> None:
        super().close()
        self._file.close()
