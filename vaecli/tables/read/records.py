"""Cuts delimited text into blocks of whole records, keeping every byte.

A record ends at a line feed outside quotes (RFC 4180). Quotes are recognised as pyarrow's parser recognises
them, so that its rows and these records are the same: a quote opens a field only as its first byte,
and anywhere else in an unquoted field it is an ordinary character (`5" pipe`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import MalformedText
from vaecli.runtime.urls import in_shell
from vaecli.tables.convert.arrow_types import from_numpy
from vaecli.tables.read.quotes import CR, LF, find_quotes, swallowed_row
from vaecli.tables.row_bytes import FEWEST_ROWS, MAX_ROW_BYTES

BLOCK_BYTES = 2 * 2**20  # measured: 1 MB costs a tenth more time, 4 MB are no quicker and take 50 MB more
MAX_ALIGNED_BYTES = 8 * 2**20  # of a block that grows until it holds a whole number of tiles, or FEWEST_ROWS
_NULS_OF_A_POWER_CUT = 4  # UTF-16 and UTF-32 have up to three in a row

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """n whole records of one file.

    `data[:size]` are their bytes, line ends included. Record i, without its line end, is `data[starts[i]:stops[i]]`,
    with int64 (n,) bounds; blank lines are between records. `quoted` is true if there are quotes. `first_line` is the
    file's line number of `data[0]`, from 1.
    """

    data: bytes
    size: int
    starts: np.ndarray
    stops: np.ndarray
    quoted: bool
    first_line: int

    def __len__(self) -> int:
        return self.starts.size

    def before(self, n: int) -> RecordBlock:
        """The first `n` records, of more than `n`."""
        size = int(self.starts[n])
        return RecordBlock(self.data, size, self.starts[:n], self.stops[:n], self.quoted, self.first_line)

    def after(self, n: int) -> RecordBlock:
        """The records from the `n`-th on, of more than `n`, with a copy of their bytes."""
        start = int(self.starts[n])
        data = self.data[start : self.size]
        starts, stops = self.starts[n:] - start, self.stops[n:] - start
        return RecordBlock(data, len(data), starts, stops, self.quoted, self.line(n))

    def only(self, i: int) -> RecordBlock:
        """Record i alone, with its line end."""
        start, after = int(self.starts[i]), int(self.starts[i + 1]) if i + 1 < len(self) else self.size
        data, stop = self.data[start:after], int(self.stops[i]) - start
        return RecordBlock(data, len(data), np.zeros(1, np.int64), np.array([stop]), self.quoted, self.line(i))

    def line(self, i: int) -> int:
        """The file's line, from 1, on which record i begins; newlines inside quotes count."""
        return self.line_at(int(self.starts[i]))

    def line_at(self, position: int) -> int:
        """The file's line, from 1, of the byte at `position`."""
        return self.first_line + self.data.count(b"\n", 0, position)

    def buffer(self) -> pa.Buffer:
        """A copy of the bytes of all records, for pyarrow's parser."""
        # the parser removes a byte order mark at the start of its input, and this one belongs to a cell
        mark = BYTE_ORDER_MARK if self.data.startswith(BYTE_ORDER_MARK) else b""
        # in pyarrow's own memory: its threads may release it while the interpreter shuts down, which aborts the process
        # if the memory is Python's (three runs in a hundred on a busy machine)
        copy = pa.allocate_buffer(len(mark) + self.size)
        with memoryview(copy).cast("B") as content:
            content[: len(mark)] = mark
            content[len(mark) :] = memoryview(self.data)[: self.size]
        return copy

    def longest(self) -> int:
        """Number of bytes of the longest record, 0 without records."""
        return int((self.stops - self.starts).max(initial=0))

    def lines(self) -> pa.LargeBinaryArray:
        """The exact bytes of each record, without its line end, (n,)."""
        # every other slot is a line end (and blank lines), which `take` leaves out
        bounds = np.column_stack([self.starts, self.stops]).ravel()
        slots = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), bounds.size - 1, [None, pa.py_buffer(bounds), pa.py_buffer(self.data)]
        )
        return slots.take(from_numpy(np.arange(0, bounds.size - 1, 2)))


def one_block(blocks: Sequence[RecordBlock]) -> RecordBlock:
    """The records of all blocks in one, which counts its lines from 1: lines of a file are those of its own block."""
    parts: list[bytes] = []
    starts, stops, size = [], [], 0
    for block in blocks:
        data = block.data[: block.size]
        parts += (data,) if data.endswith(b"\n") else (data, b"\n")
        starts.append(block.starts + size)
        stops.append(block.stops + size)
        size += len(data) + (not data.endswith(b"\n"))
    quoted = any(block.quoted for block in blocks)
    return RecordBlock(b"".join(parts), size, np.concatenate(starts), np.concatenate(stops), quoted, 1)


def block_of_lines(lines: pa.LargeBinaryArray) -> RecordBlock:
    """A block whose records are `lines` (n,), the bytes of each; `RecordBlock.lines` is the inverse."""
    ended = pc.binary_join_element_wise(lines, pa.scalar(b"", pa.large_binary()), pa.scalar(b"\n", pa.large_binary()))
    bounds = _bounds(ended)
    content = bytes(joined_bytes(ended))
    starts = bounds[:-1] - bounds[0]
    return RecordBlock(content, len(content), starts, bounds[1:] - bounds[0] - 1, b'"' in content, 1)


def joined_bytes(array: pa.LargeBinaryArray) -> memoryview:
    """The bytes of all values (n,), one after another, without a copy."""
    bounds, data = _bounds(array), array.buffers()[2]
    return memoryview(data or b"")[bounds[0] : bounds[-1]]


def cut_into_blocks(
    stream: pa.NativeFile,
    delimiter: str,
    *,
    name: str,
    first_line: int,
    first_byte: int,
    n_fields: int,
    keep_blank: bool,
    block_bytes: int = BLOCK_BYTES,
    multiple_of: int = 1,
    first_row: int = 0,
) -> Iterator[RecordBlock]:
    """Cut the rest of `stream` into blocks of about `block_bytes`; a longer record gets a longer block.

    The number of rows up to the end of a block, counted from `first_row` before the first, is a multiple of
    `multiple_of`, except at the end of the stream and where that many rows are too large for a block. With
    `keep_blank` a blank line is a record of no bytes, otherwise it is skipped. `first_line` (from 1) and `first_byte`
    (from 0) are the position of the stream in the file, `n_fields` the number of columns. Raises MalformedText naming
    file and line for NUL bytes, bytes that are not UTF-8, a stray carriage return, a quote that is not closed, that is
    followed by text where it closes, or that holds rows of the table; OSError from the stream.
    """
    pending = b""
    while True:
        # a record that did not fit is tried again with twice the bytes, so growing costs no more than reading twice
        fresh = stream.read(max(block_bytes, len(pending)))
        at_end = not fresh
        data = pending + fresh
        if not data:
            return
        ends = find_record_ends(data, delimiter, at_end, n_fields)
        if ends.stray_quote is not None:
            opening, closing = (first_line + data.count(b"\n", 0, position) for position in ends.stray_quote)
            raise stray_quote(name, opening, closing)
        if ends.swallowed is not None and ends.swallowed[0] != ends.unclosed:
            opening, row = (first_line + data.count(b"\n", 0, position) for position in ends.swallowed)
            raise _swallowed(name, opening, row)
        if ends.unclosed is not None and (at_end or len(data) > MAX_ROW_BYTES):
            raise _unclosed(name, first_line + data.count(b"\n", 0, ends.unclosed))
        size = int(ends.starts_after[-1]) if ends.starts_after.size else 0
        _reject_nul(data, name, first_line, first_byte)
        if ends.stray_return is not None:
            raise _stray_return(name, first_line + data.count(b"\n", 0, ends.stray_return))
        if not size:
            if len(data) > MAX_ROW_BYTES:
                raise MalformedText(
                    f"{name}, line {first_line}: a line of more than {MAX_ROW_BYTES // 2**20} MB",
                    "check that the file is delimited text",
                    path=name,
                    line=first_line,
                )
            pending = data
            continue
        _reject_other_encodings(data, size, name, first_line, first_byte)
        block = _block(data, size, ends, first_line, keep_blank)
        beyond = (first_row + len(block)) % multiple_of
        fits = size * multiple_of <= MAX_ALIGNED_BYTES * max(len(block), 1)
        if beyond and not at_end and len(data) <= MAX_ALIGNED_BYTES and (fits or len(block) < FEWEST_ROWS):
            if beyond >= len(block):
                pending = data
                continue
            block = block.before(len(block) - beyond)
        size = block.size
        if len(block):
            yield block
        first_row += len(block)
        first_line += data.count(b"\n", 0, size)
        first_byte += size
        pending = data[size:]


def _bounds(array: pa.LargeBinaryArray) -> np.ndarray:
    """Where each value begins in the data buffer, and where the last ends, int64 (n + 1,)."""
    offsets = array.buffers()[1]
    if offsets is None or not len(array):
        return np.zeros(1, np.int64)
    return np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]


@dataclass(frozen=True, slots=True)
class RecordEnds:
    """Where the n records of some bytes end.

    The content of record i ends before `stops[i]`, and what follows its line end begins at `starts_after[i]`, both
    int64 (n,). `unclosed` is the position of a quote that is still open at the end, `stray_return` that of a carriage
    return that does not end a line; `stray_quote` are those of a quote and of its closing one that text follows,
    `swallowed` those of a quote and of a row of the table that it holds. None where there is none.
    """

    stops: np.ndarray
    starts_after: np.ndarray
    quoted: bool
    unclosed: int | None
    stray_return: int | None
    stray_quote: tuple[int, int] | None
    swallowed: tuple[int, int] | None


def find_record_ends(data: bytes, delimiter: str, at_end: bool, n_fields: int = 0) -> RecordEnds:
    """Find every record end in `data`, which begins with a record; `at_end` is true if nothing follows it.

    With 0 fields, quotes that hold rows are not looked for.
    """
    buffer = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(buffer == LF)
    found = find_quotes(data, delimiter) if b'"' in data else None
    quotes = None if found is None else found.positions
    unclosed = swallowed = None
    if quotes is not None:
        outside = _outside(quotes, feeds)
        if not outside.all():
            swallowed = swallowed_row(data, quotes, feeds, delimiter, n_fields)
        feeds = feeds[outside]
        unclosed = int(quotes[-1]) if quotes.size % 2 else None
    starts_after = feeds + 1
    if at_end and (not feeds.size or starts_after[-1] < len(data)):
        feeds = np.append(feeds, len(data))
        starts_after = np.append(starts_after, len(data))
    before = buffer[np.maximum(feeds, 1) - 1]
    stops = feeds - ((before == CR) & (feeds > 0))

    stray = None
    if b"\r" in data:
        returns = np.flatnonzero(buffer == CR)
        # the last byte may be the first half of a line end, and at the end of the file it ends the line
        returns = returns[returns < min(feeds[-1] if feeds.size else len(data), len(data) - 1)]
        if quotes is not None:
            returns = returns[_outside(quotes, returns)]
        returns = returns[(buffer[np.minimum(returns + 1, len(data) - 1)] != LF)]
        stray = int(returns[0]) if returns.size else None
    stray_quote = None if found is None else found.stray
    return RecordEnds(stops, starts_after, quotes is not None, unclosed, stray, stray_quote, swallowed)


def _block(data: bytes, size: int, ends: RecordEnds, first_line: int, keep_blank: bool) -> RecordBlock:
    starts = np.concatenate([[0], ends.starts_after[:-1]])
    stops = ends.stops
    if not keep_blank:
        has_bytes = stops > starts
        starts, stops = starts[has_bytes], stops[has_bytes]
    return RecordBlock(data, size, starts, stops, ends.quoted, first_line)


def _outside(quotes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    return np.asarray(np.searchsorted(quotes, positions) % 2 == 0)


def _reject_nul(data: bytes, name: str, first_line: int, first_byte: int) -> None:
    nul = data.find(b"\0")
    if nul >= 0:
        raise nul_byte(data, nul, name, first_line + data.count(b"\n", 0, nul), first_byte + nul + 1)


def nul_byte(data: bytes, position: int, name: str, line: int, byte: int) -> MalformedText:
    """The error about the NUL byte at `position` of `data`, which is byte `byte` (from 1) of the file."""
    n = len(data) - position - len(data[position:].lstrip(b"\0"))
    if n >= _NULS_OF_A_POWER_CUT:
        return MalformedText(
            f"{name}, line {line}: {n:,} NUL bytes in a row (from byte {byte:,} of the file), "
            "as a power cut leaves them in a file that was being written",
            f"take them out: `tr -d '\\000' < {in_shell(name)} > table.csv`; the line may still be cut off",
            path=name,
            line=line,
        )
    return MalformedText(
        f"{name}, line {line}: a NUL byte (byte {byte:,} of the file)",
        f"not plain text, or UTF-16: try `iconv -f UTF-16 -t UTF-8 {in_shell(name)} > utf8.csv`",
        path=name,
        line=line,
    )


def _reject_other_encodings(data: bytes, size: int, name: str, first_line: int, first_byte: int) -> None:
    if data.isascii():
        return
    single = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, pa.py_buffer(np.array([0, size])), pa.py_buffer(data)]
    )
    try:
        single.cast(pa.large_string())  # validates without a copy
    except pa.ArrowInvalid:
        raise _not_utf8(data[:size], name, first_line, first_byte) from None


def _not_utf8(data: bytes, name: str, first_line: int, first_byte: int) -> MalformedText:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        position, value = problem.start, data[problem.start]
        line = first_line + data.count(b"\n", 0, position)
        return MalformedText(
            f"{name}, line {line}: byte 0x{value:02x} is not UTF-8 (byte {first_byte + position + 1:,} of the file)",
            f"convert it: `iconv -f WINDOWS-1252 -t UTF-8 {in_shell(name)} > utf8.csv`",
            path=name,
            line=line,
        )
    raise AssertionError("pyarrow and Python disagree about UTF-8")


def stray_quote(name: str, opening: int, closing: int) -> MalformedText:
    """The error about a quote of line `opening` that text follows where it closes, in line `closing`."""
    where = " again, and text follows" if closing == opening else f" in line {closing}, and text follows"
    return MalformedText(
        f"{name}, line {opening}: the quote that opens a field here closes{where} instead of a delimiter",
        'write the field as "5"" pipe": quotes around it, and "" for each quote inside (RFC 4180)',
        path=name,
        line=opening,
    )


def _swallowed(name: str, opening: int, row: int) -> MalformedText:
    return MalformedText(
        f"{name}, line {opening}: the field whose quote opens here holds whole rows of the table, from line {row} on",
        'if the quote is a character of the cell, write the field as "5"" pipe" (RFC 4180)',
        path=name,
        line=opening,
    )


def _unclosed(name: str, line: int) -> MalformedText:
    return MalformedText(
        f"{name}, line {line}: a quote opens here and does not close",
        'close it, or write "" for a quote inside a quoted field',
        path=name,
        line=line,
    )


def _stray_return(name: str, line: int) -> MalformedText:
    return MalformedText(
        f"{name}, line {line}: a carriage return without a line feed",
        "quote the field that holds it; for old Macintosh line ends, `tr '\\r' '\\n' < old.csv > new.csv`",
        path=name,
        line=line,
    )
