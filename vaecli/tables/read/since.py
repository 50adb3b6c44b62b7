"""What a run before has read of files that grow: which rows are new, also where files were rotated or replaced.

A file is known by the digest of the bytes that were read of it, not by its name: at its path, under another name with
its inode (rotated by renaming), or as the copy of one that was truncated (rotated by copying). What is not known is
new, so that a row may be read twice but is never left out.
"""

from __future__ import annotations

import hashlib
import operator
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaecli.errors import VaecliError
from vaecli.results.bad_files import BadFile
from vaecli.runtime import file_types
from vaecli.runtime.urls import without_file_scheme
from vaecli.tables.read.found_files import FoundFile
from vaecli.tables.read.growing import Prefix
from vaecli.tables.read.left_out import LeftOut
from vaecli.tables.read.locations import LocalFile, Location, unreadable
from vaecli.tables.read.new_rows import NewRows, NothingNew
from vaecli.tables.read.repeated import digest_of
from vaecli.tables.read.seen_files import RefusedFile, SeenFile, SeenFiles, Status, is_settled, real_path

_PIECE_BYTES = 2**20
_LINE_END_BYTES = 64 * 2**10
NEW = sys.maxsize  # the place of a file that no earlier run has seen: after all others
_WHOLE = (file_types.PARQUET, file_types.GZIP, file_types.ZSTD, file_types.BZIP2)


@dataclass(slots=True)
class _Reading:
    """A file of this run to be looked at, what is known of it, and how its digest goes on."""

    location: LocalFile
    path: str
    found_ns: int
    number: int = NEW  # its place among the files seen before
    seen: SeenFile | None = None
    digest: Any = None  # of the first `seen.n_bytes`, where they had to be read
    rows: NewRows | None = None
    is_unchanged: bool = False
    noted: str = ""  # the digest of all bytes read, once it is known
    has_waited: bool = False  # since an earlier run, which found no whole line in it, it has not changed


@dataclass(slots=True)
class Progress:
    """What earlier runs have read, in the file at `path`, and what this run reads.

    `settled` are the places among the `earlier` files of those of which a look at their status shows that nothing is
    new; the other files of this run are `readings`, but for those that are `left_out`.
    """

    path: Path
    earlier: SeenFiles
    found: dict[str, FoundFile] = field(default_factory=dict)  # the files of this run by their paths without links
    settled: list[int] = field(default_factory=list)
    readings: list[_Reading] = field(default_factory=list)
    left_out: LeftOut | None = None

    @classmethod
    def load(cls, path: Path) -> Progress:
        """What the file at `path` holds; nothing where there is no file. Raises BundleError for any other content."""
        return cls(path, SeenFiles.load(path))

    def select(self, found: Sequence[FoundFile], left_out: LeftOut | None = None) -> tuple[Location, ...]:
        """The new rows of the files found, without those files that have none; known files come first, in their order.

        A file that is found twice, as by two patterns, is one file. If nothing is new it is the first file, without
        any row; nothing if there is none, or all are left out. With `left_out` a file that cannot be read goes there.
        Raises UnreadableFile.
        """
        self.left_out = left_out
        places = {path: i for i, path in enumerate(self.earlier.columns["path"])}
        statuses, folders, found_ns = self.earlier.statuses(), dict[str, str](), time.time_ns()
        refused = {} if left_out is None else {one.path: one for one in self.earlier.refused}
        for one in found:
            path = real_path(one.path, folders, is_link=one.is_link)
            if path in self.found:
                continue
            self.found[path] = one
            i = places.get(path)
            now = _status(one)
            if i is not None and statuses[i] == now and (left_out is None or one.path not in left_out.bad):
                self.settled.append(i)
            elif left_out is None or not _is_out(one, refused.get(path), left_out):
                known = refused.get(path)
                has_waited = known is not None and not known.error and known.status == now
                self.readings.append(_Reading(one.location, path, found_ns, has_waited=has_waited))
        self._recognise(places)
        self._without_bad()
        self.readings.sort(key=lambda one: one.number)
        chosen = [part for one in self.readings if (part := self._new_part(one)) is not None]
        if left_out is not None:
            chosen = left_out.good(chosen, {self.found[path].path for path in refused if path in self.found})
            self._without_bad()
            self._know_again(refused)
        return tuple(chosen) or ((NothingNew(self._first()),) if self.settled or self.readings else ())

    def _know_again(self, refused: Mapping[str, RefusedFile]) -> None:
        """Mark the files that an earlier run has named for the same reason, and that have not changed."""
        assert self.left_out is not None
        for path, one in refused.items():
            found = self.found.get(path)
            bad = None if found is None else self.left_out.bad.get(found.path)
            if found is not None and bad is not None and (bad.error, _status(found)) == (one.error, one.status):
                self.left_out.bad[found.path] = replace(bad, is_known=True)

    def _without_bad(self) -> None:
        if self.left_out is not None and self.left_out.bad:
            self.readings = [one for one in self.readings if one.location.name not in self.left_out.bad]

    def _fail(self, reading: _Reading, problem: VaecliError) -> None:
        """Leave out a file that cannot be read now, or raise its error where that is not wanted."""
        if self.left_out is None:
            raise problem
        self.left_out.add(reading.location.name, problem, is_passing=True)

    def _new_part(self, reading: _Reading) -> Location | None:
        """The new rows of a file, None where there are none, or where it is left out. Raises UnreadableFile."""
        try:
            return _new_part(reading)
        except OSError as problem:
            self._fail(reading, unreadable(reading.location.name, problem))
        return None

    def _first(self) -> LocalFile:
        """The file of this run that is known for the longest time, or else the first."""
        number = min(self.settled, default=NEW)
        if self.readings and self.readings[0].number <= number:
            return self.readings[0].location
        return self.found[self.earlier[number].path].location

    def files_at(self, target: str) -> tuple[str, ...]:
        """The files of this run that are what lies at `target`; one stat, however many files there are."""
        try:
            at = os.stat("/dev/stdout" if target == "-" else without_file_scheme(target))
        except OSError:
            return ()
        same = (one for one in self.found.values() if one.status.st_ino == at.st_ino)
        return tuple(one.path for one in same if one.status.st_dev == at.st_dev)

    @property
    def new_files(self) -> list[str]:
        """The names of the files that no earlier run has read and this one reads."""
        return [one.location.name for one in self.readings if one.seen is None and not one.is_unchanged]

    def repeated(self) -> list[tuple[str, str]]:
        """The name of each new file whose bytes another one of this or an earlier run has, and the name of that.

        Only files of a size that occurs twice are read, if their digest is not known yet.
        """
        new = [one for one in self.readings if one.seen is None and not one.is_unchanged]
        sizes = Counter(_n_read(one) for one in new)
        of, first = self.earlier.columns, dict[str, str]()
        for i, n_bytes in enumerate(map(operator.add, of["offset"], of["taken"]) if new else ()):
            if n_bytes in sizes:
                sizes[n_bytes] += 1
                first.setdefault(of["digest"][i], of["path"][i])
        found: list[tuple[str, str]] = []
        for reading in new:
            name, n_bytes = reading.location.name, _n_read(reading)
            digest = reading.noted or (digest_of(name, n_bytes) if sizes[n_bytes] > 1 else None)
            if digest is not None and (other := first.setdefault(digest, name)) != name:
                found.append((name, other))
        return found

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many files are new, have grown, and have nothing new."""
        n_same = len(self.settled) + sum(one.is_unchanged for one in self.readings)
        n_new = sum(one.seen is None and not one.is_unchanged for one in self.readings)
        return n_new, len(self.settled) + len(self.readings) - n_same - n_new, n_same

    def save(self, rows: Mapping[str, int] | None = None) -> None:
        """Note what this run has read, once its output is complete; a note that would be the same is not written.

        `rows` are those that were read of each file, by its name. A file that is no longer what was read is left out
        where that is wanted, so that its rows are read again. Raises UnreadableFile for it elsewhere, UsageError or
        EnvironmentProblem.
        """
        noted = [(one.number, seen) for one in self.readings if (seen := self._seen_now(one, rows or {}))]
        at = {number: seen for number, seen in noted if number != NEW}
        new = [seen for number, seen in noted if number == NEW]
        bad = {} if self.left_out is None else self.left_out.bad
        known = {*self.settled, *at}
        gone = [
            i
            for i, path in enumerate(self.earlier.columns["path"])
            if i not in known and (self.found[path].path not in bad if path in self.found else _is_gone(path))
        ]
        waiting = {one.location.name for one in self.readings if one.seen is None and one.is_unchanged}
        refused = tuple(
            self._refused(path, one)
            for path, one in (self.found.items() if self.left_out is not None and (bad or waiting) else ())
            if one.path in bad or one.path in waiting
        )
        if noted or gone or refused != self.earlier.refused or not self.path.exists():
            self.earlier.changed(at, gone, new, refused).save(self.path)

    def _seen_now(self, reading: _Reading, rows: Mapping[str, int]) -> SeenFile | None:
        """What has been read of a file after this run, None where nothing is noted. Raises UnreadableFile."""
        try:
            return _seen_now(reading, rows.get(reading.location.name, -1))
        except OSError as problem:
            self._fail(reading, unreadable(reading.location.name, problem))
        except VaecliError as problem:
            self._fail(reading, problem)
        return None

    def _refused(self, path: str, found: FoundFile) -> RefusedFile:
        """The note of a file that is left out, without an error if it only waits for its first line."""
        assert self.left_out is not None
        one, status = self.left_out.bad.get(found.path, BadFile(found.path, "", "")), found.status
        is_passing = (
            found.path in self.left_out.passing or not one.error or not is_settled(status.st_mtime_ns, time.time_ns())
        )
        return RefusedFile(
            *(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns),
            *(self.left_out.model, int(is_passing), one.error, one.hint),
            *(one.line or 0, one.row or 0, one.column or ""),
        )

    def _recognise(self, places: Mapping[str, int]) -> None:
        """Find what was read before of each file that is looked at: at its path, by its inode, or as a copy."""
        if not self.readings:
            return
        left = set(range(len(self.earlier))).difference(self.settled)
        for reading in self.readings:
            self._take(reading, places.get(reading.path), left)
        of = self.earlier.columns
        by_inode = {(of["device"][i], of["inode"][i]): i for i in sorted(left)}
        for reading in self.readings:
            device, inode, size, changed_ns = reading.location.state
            i = by_inode.get((device, inode))
            # numbers of inodes are given out again; renaming keeps the time of change
            if i is not None and (size > of["size"][i] or changed_ns == of["changed_ns"][i]):
                self._take(reading, i, left)
        moved = sorted(i for i in left if of["path"][i] in self.found)  # whose content is no longer at its path
        for reading in self.readings if moved else ():
            for i in moved:
                self._take(reading, i, left)

    def _take(self, reading: _Reading, i: int | None, left: set[int]) -> None:
        if reading.seen is not None or i is None or i not in left:
            return
        try:
            is_of = _is_of(reading, seen := self.earlier[i])
        except OSError as problem:
            self._fail(reading, unreadable(reading.location.name, problem))
            return
        if is_of:
            reading.number, reading.seen = i, seen
            left.remove(i)


def _is_of(reading: _Reading, seen: SeenFile) -> bool:
    """Whether the file still begins with what was read before. Raises OSError."""
    device, inode, size, changed_ns = reading.location.state
    is_same = (device, inode, size, changed_ns) == (seen.device, seen.inode, seen.size, seen.changed_ns)
    if is_same and seen.is_settled:
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


def _is_gone(path: str) -> bool:
    """Whether there is no file at `path`; one in a folder that may not be entered now may still be there."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _status(found: FoundFile) -> Status:
    status = found.status
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _is_out(found: FoundFile, refused: RefusedFile | None, left_out: LeftOut) -> bool:
    """Whether a file is left out: this run has read it by itself, or an earlier one and nothing has changed since."""
    is_known = refused is not None and refused.status == _status(found) and refused.model == left_out.model
    if is_known and refused is not None and not refused.is_passing:
        place = (refused.line or None, refused.row or None, refused.column or None)
        left_out.bad[found.path] = BadFile(found.path, refused.error, refused.hint, *place, is_known=True)
    return found.path in left_out.bad


def _new_part(reading: _Reading) -> Location | None:
    """The new rows of a file; None, and a note, where there are none. Raises OSError."""
    location, seen = reading.location, reading.seen
    if seen is not None and location.n_bytes == seen.n_bytes:
        reading.is_unchanged = True
        return None
    with open(location.name, "rb", buffering=0) as file:
        if file.read(8).startswith(_WHOLE) or (reading.has_waited and not location.n_bytes):
            return location
    start, line = (0, 0) if seen is None else _start_of(location, seen)
    end = _end_of_lines(location.name, start, location.n_bytes)
    if reading.has_waited or (
        seen is not None and (location.n_bytes, location.state[3]) == (seen.size, seen.changed_ns)
    ):
        end = location.n_bytes  # a line that has had no end for a whole run is complete
    if end <= (start if seen is None else seen.n_bytes):
        reading.is_unchanged = True
        return None
    marks = Prefix.found(location.name, end)
    if marks is None:
        return None
    reading.rows = NewRows(location, start, end, line, marks)
    return reading.rows


def _n_read(reading: _Reading) -> int:
    """How many bytes of a new file are read."""
    return reading.location.n_bytes if reading.rows is None else reading.rows.end


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


def _seen_now(reading: _Reading, rows_now: int) -> SeenFile | None:
    """What has been read of a file after this run, which read so many rows; None where it has no whole line yet.

    Raises OSError, and UnreadableFile where it has changed.
    """
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
    now = (device, inode, size, changed_ns, reading.found_ns)
    n_rows, reading.noted = rows_now if seen is None else seen.rows, digest
    return SeenFile(reading.path, *now, offset, taken, line, digest, n_rows)


def _pieces(path: str, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from `start` up to `end`, or as far as it goes. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        while start < end and (piece := os.pread(file.fileno(), min(_PIECE_BYTES, end - start), start)):
            yield piece
            start += len(piece)
