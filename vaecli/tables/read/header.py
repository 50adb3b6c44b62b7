"""Reads the header of a delimited file: the delimiter and the names of the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from vaecli.errors import MalformedText, UnreadableFile, listed, quoted
from vaecli.runtime.urls import in_shell
from vaecli.tables.read.first_lines import (
    choose_delimiter,
    hint_for_names,
    reject_known_preamble,
    reject_other_shapes,
)
from vaecli.tables.read.quotes import QUOTE
from vaecli.tables.read.records import BYTE_ORDER_MARK, find_record_ends, nul_byte, stray_quote
from vaecli.tables.row_bytes import MAX_ROW_BYTES, require_few_columns

_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_PEEK_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Header:
    """The exact bytes above the first row of a delimited file, and what they mean.

    `preamble` is a byte order mark, Excel's `sep=;` line and blank lines, where there are any; `line` is the header
    itself without its `line_end`. `first_line` is the number of the line, from 1, on which the rows begin.
    """

    names: tuple[str, ...]
    delimiter: str
    preamble: bytes
    line: bytes
    line_end: bytes
    first_line: int

    @property
    def size(self) -> int:
        """Number of bytes before the first row."""
        return len(self.preamble) + len(self.line) + len(self.line_end)


def read_header(stream: pa.NativeFile, name: str, delimiter: str | None = None) -> Header:
    """Read the header from the start of `stream`; messages call the file `name`.

    With `delimiter` None it is detected among comma, semicolon, tab and bar. Raises UnreadableFile for an empty
    file, MalformedText for another encoding than UTF-8 and for column names that are empty or given twice (all are
    listed); OSError from the stream.
    """
    data, at_end = stream.read(_PEEK_BYTES), False
    _reject_non_text(data, name)
    reject_known_preamble(data, name)
    while True:
        preamble, chosen = _preamble(data)
        chosen = delimiter or chosen or choose_delimiter(data[len(preamble) :], name)
        bounds = _end_of_first_record(data, len(preamble), chosen, at_end, name)
        if bounds is not None:
            break
        if len(data) > MAX_ROW_BYTES:
            raise MalformedText(f"{name}, line 1: the header does not end", "check that the file is delimited text")
        more = stream.read(len(data))
        data, at_end = data + more, not more
    stop, after = bounds
    line = data[len(preamble) : stop]
    n_above = data.count(b"\n", 0, len(preamble))
    letters = np.frombuffer(line, np.uint8)
    is_quoted = np.bitwise_xor.accumulate((letters == QUOTE).view(np.uint8)).astype(bool)
    # before the parser takes 10 kB for each
    require_few_columns(int(((letters == ord(chosen)) & ~is_quoted).sum()) + 1, name)
    names = _names(line, chosen, name, n_above + 1)
    require_few_columns(len(names), name)
    rows = data[len(preamble) :]
    reject_other_shapes(rows, chosen, n_above, name)
    _reject_names(names, name, n_above + 1, hint_for_names(names, rows, chosen, name))
    return Header(names, chosen, preamble, line, data[stop:after], data.count(b"\n", 0, after) + 1)


def _reject_non_text(data: bytes, name: str) -> None:
    if data.startswith(_UTF16_OR_32):
        raise UnreadableFile(
            f"{name}: UTF-16 text, not UTF-8",
            f"`iconv -f UTF-16 -t UTF-8 {in_shell(name)} > utf8.csv`",
        )
    if not data.removeprefix(BYTE_ORDER_MARK).strip():
        raise UnreadableFile(f"{name}: the file is empty", "the first line has to name the columns")
    nul = data.find(b"\0")
    if nul >= 0:
        raise nul_byte(data, nul, name, data.count(b"\n", 0, nul) + 1, nul + 1)


def _preamble(data: bytes) -> tuple[bytes, str | None]:
    """The bytes before the header line, and the delimiter that Excel's `sep=` line names, None without such a line."""
    mark = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    separator = re.match(rb'"?sep=([,;\t|])"?\r?\n', data[mark:], re.IGNORECASE)
    after = mark + (separator.end() if separator else 0)
    blank = re.match(rb"(?:\r?\n)*", data[after:])
    end = after + (blank.end() if blank else 0)
    return data[:end], separator[1].decode() if separator else None


def _end_of_first_record(data: bytes, start: int, delimiter: str, at_end: bool, name: str) -> tuple[int, int] | None:
    """The positions after the header line and after its line end, or None when `data` does not hold all of it."""
    ends = find_record_ends(data[start:], delimiter, at_end)
    is_complete = ends.starts_after.size > 0
    if ends.unclosed is not None and at_end and (not is_complete or ends.unclosed < ends.starts_after[0]):
        line = data.count(b"\n", 0, start + ends.unclosed) + 1
        raise MalformedText(
            f"{name}, line {line}: a quote opens here and does not close",
            'close it, or write "" for a quote inside a quoted field',
        )
    if ends.stray_quote is not None and is_complete and ends.stray_quote[0] < ends.starts_after[0]:
        opening, closing = (data.count(b"\n", 0, start + position) + 1 for position in ends.stray_quote)
        raise stray_quote(name, opening, closing)
    if ends.stray_return is not None and (not is_complete or ends.stray_return < ends.starts_after[0]):
        raise MalformedText(
            f"{name}, line 1: a carriage return without a line feed",
            "for old Macintosh line ends, `tr '\\r' '\\n' < old.csv > new.csv`",
        )
    return (start + int(ends.stops[0]), start + int(ends.starts_after[0])) if is_complete else None


def _names(line: bytes, delimiter: str, name: str, line_number: int) -> tuple[str, ...]:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise MalformedText(
            f"{name}, line {line_number}: byte 0x{line[problem.start]:02x} in the header is not UTF-8",
            f"convert it: `iconv -f WINDOWS-1252 -t UTF-8 {in_shell(name)} > utf8.csv`",
        ) from None
    return _fields(line, delimiter)


@lru_cache(1)  # the files of a table have one header
def _fields(line: bytes, delimiter: str) -> tuple[str, ...]:
    # the same parser as for the rows, so that header and rows agree on what a field is
    fields = pa_csv.read_csv(
        pa.BufferReader(line + b"\n"),
        read_options=pa_csv.ReadOptions(autogenerate_column_names=True, block_size=len(line) + 2, use_threads=False),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types={f"f{i}": pa.string() for i in range(line.count(delimiter.encode()) + 1)},
            null_values=(),  # no name is null, and each column would keep an index of them: 5 kB
        ),
    )
    return tuple(str(column[0].as_py()) for column in fields.columns)


def _reject_names(names: Sequence[str], name: str, line: int, mend: str) -> None:
    problems = [f"column {i + 1} has no name" for i, column in enumerate(names) if not column.strip()]
    problems += [
        f"{quoted(column)} is given {n} times" for column, n in Counter(names).items() if n > 1 and column.strip()
    ]
    if not problems:
        return
    hint = mend or "give every column its own name"
    if not names[0] and not mend:
        hint += "; pandas writes its index as a column without a name; write with `to_csv(index=False)`"
    if len(problems) == 1:
        raise MalformedText(f"{name}, line {line}: {problems[0]}", hint)
    raise MalformedText(f"{name}, line {line}: column names are not usable:\n{listed(problems)}", hint)
