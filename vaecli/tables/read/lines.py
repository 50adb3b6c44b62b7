"""Log files: lines without columns as a table of one column, `line`, after `time` where each begins with its time.

A line is what stands between line ends; blank ones are skipped, and bytes that are not UTF-8 become U+FFFD. Lines begin
with their time where the first thousand of every file do: a date and a time of day, as in `2024-03-01 08:00:00,123`, in
brackets or not. A later line that does not has no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import InputError, UnreadableFile
from vaecli.tables.read.delimited import decompressed
from vaecli.tables.read.joined import joined_batches
from vaecli.tables.read.locations import Location, unreadable
from vaecli.tables.read.named_columns import requested_columns
from vaecli.tables.source import ALL_COLUMNS, Batch, Piece, ReadRequest, parsed_piece

TIME, LINE = "time", "line"
BLOCK_BYTES = 4 * 2**20
LONGEST_LINE = 2**24
N_LOOKED_AT = 1000
_DATE = r"(?:\d{4}[-/.]\d{2}[-/.]\d{2}|\d{2}[-/.]\d{2}[-/.]\d{4})"
_STAMP = rf"{_DATE}(?:T| +)\d{{1,2}}:\d{{2}}:\d{{2}}(?:[.,]\d{{1,9}})?(?: ?(?:Z|UTC|[+-]\d{{2}}:?\d{{2}}))?"
_STAMPED = rf"(?s)^\[?(?P<time>{_STAMP})\]?[\s:,;|-]+(?P<line>.*)$"


@dataclass(frozen=True, slots=True)
class LinesSource:
    """One or more files of lines, read one after the other."""

    name: str
    locations: tuple[Location, ...]
    names: tuple[str, ...]

    @property
    def format(self) -> str:
        """The format `csv`: a table of lines is written as one."""
        return "csv"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, which are strings."""
        return pa.schema([(name, pa.string()) for name in self.names])

    @property
    def n_rows(self) -> int | None:
        """None: it is not known before all lines are read."""
        return None

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that no output overwrites them."""
        return tuple(location.file for location in self.locations)

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Blocks of lines, as `Source.pieces`."""
        return map(parsed_piece, self.batches(request))

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Stream the lines in order; see `Source.batches`. Raises InputError where a file cannot be read."""
        columns = requested_columns(self.names, request.columns, self.name)
        batches = self._batches_of_files(request, columns)
        in_tiles = request.multiple_of > 1 and len(self.locations) > 1 and bool(columns)
        return joined_batches(batches, request) if in_tiles else batches

    def _batches_of_files(self, request: ReadRequest, columns: Sequence[str]) -> Iterator[Batch]:
        first_row = 0
        for location in self.locations:
            pending: list[tuple[int, str]] = []
            for numbered in _lines(location):
                pending.append(numbered)
                if len(pending) == request.aligned_rows:
                    yield self._batch(location.name, pending, first_row, columns, request.keep)
                    first_row += len(pending)
                    pending = []
            if pending:
                yield self._batch(location.name, pending, first_row, columns, request.keep)
                first_row += len(pending)
            location.require_unchanged()

    def _batch(
        self, name: str, numbered: list[tuple[int, str]], first_row: int, columns: Sequence[str], keep: bool
    ) -> Batch:
        numbers = [number for number, _ in numbered]
        table = _table([line for _, line in numbered], self.names)

        def where(i: int) -> str:
            return f"{name}, line {numbers[i]}"

        return Batch(table.select(list(columns)), first_row, where, whole=table if keep else None)


def open_lines(locations: Sequence[Location], name: str, names: Sequence[str] = ()) -> LinesSource:
    """Open files of lines as one table with the columns `names`; without any, those that the first lines suggest.

    Raises InputError where a file cannot be read or no line has anything in it.
    """
    known = tuple(names)
    if not known:
        first = [line for location in locations for line in _first_lines(location)]
        if not first:
            raise InputError(f"{name}: there are no lines", "give a log with normal lines to learn from")
        known = (TIME, LINE) if all(re.match(_STAMPED, line) for line in first) else (LINE,)
    return LinesSource(name, tuple(locations), known)


def _table(lines: list[str], names: Sequence[str]) -> pa.Table:
    text = pa.array(lines, pa.string())
    if TIME not in names:
        return pa.table({LINE: text})
    found = pc.extract_regex(text, _STAMPED)
    has_time = found.is_valid()
    parts = {TIME: pc.struct_field(found, TIME), LINE: pc.if_else(has_time, pc.struct_field(found, LINE), text)}
    return pa.table({TIME: pc.if_else(has_time, parts[TIME], pa.scalar(None, pa.string())), LINE: parts[LINE]})


def _first_lines(location: Location) -> list[str]:
    found = []
    for _, line in _lines(location, peek=True):
        found.append(line)
        if len(found) == N_LOOKED_AT:
            break
    return found


def _lines(location: Location, *, peek: bool = False) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of every line that is not blank; with `peek` of the first bytes only."""
    try:
        with location.peek() as stream:
            head = stream.read(8)
        with decompressed(location.peek() if peek else location.open(), head) as stream:
            number, rest = 0, b""
            while True:
                block = stream.read(BLOCK_BYTES)
                *whole, rest = (rest + block).split(b"\n")
                if not block and rest:
                    whole, rest = [rest], b""
                if len(rest) > LONGEST_LINE:
                    raise UnreadableFile(f"{location.name}: line {number + len(whole) + 1} has no end", "is it a log?")
                for line in whole:
                    number += 1
                    text = line.decode("utf-8", "replace").rstrip("\r")
                    if text and not text.isspace():
                        yield number, text
                if not block or (peek and number >= N_LOOKED_AT):
                    return
    except OSError as problem:
        raise unreadable(location.name, problem) from problem
