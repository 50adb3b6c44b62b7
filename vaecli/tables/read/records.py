"""Cuts delimited text into blocks of whole records, keeping every byte.

A record ends at a line feed outside quotes (RFC 4180). Quotes are found the way pyarrow's parser finds
them, so that its rows and these records are the same: a quote opens a field only as its first byte,
and anywhere else in an unquoted field it is an ordinary character (`5" pipe`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import MalformedText

BLOCK_BYTES = 2 * 2**20  # measured: 1 MB costs a tenth more time, 4 MB are no quicker and take 50 MB more
MAX_ALIGNED_BYTES = 16 * 2**20  # of a block that grows until it holds a whole number of tiles
MAX_RECORD_BYTES = 256 * 2**20

_LF, _CR, _QUOTE = 10, 13, 34
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """n whole records of one file.

    `data[:size]` are their bytes, line ends included; record i is `data[starts[i]:stops[i]]`, without its line
    end. Blank lines lie between records. `first_line` is the file's line number of `data[0]`, from 1.
    """

    data: bytes
    size: int
    starts: np.ndarray
    stops: np.ndarray
    quoted: bool
    first_line: int

    def __len__(self) -> int:
        return self.starts.size

    def before(self, n: int) -> Block:
        """The first `n` records, fewer than there are."""
        size = int(self.starts[n])
        return Block(self.data, size, self.starts[:n], self.stops[:n], self.quoted, self.first_line)

    def line(self, i: int) -> int:
        """The file's line, from 1, on which record i begins; newlines inside quotes count."""
        return self.line_at(int(self.starts[i]))

    def line_at(self, position: int) -> int:
        """The file's line, from 1, of the byte at `position`."""
        return self.first_line + self.data.count(b"\n", 0, position)

    def buffer(self) -> pa.Buffer:
        """A copy of the bytes of all records, as pyarrow's parser should get them."""
        # it takes a byte order mark off whatever it is given, and this one belongs to a cell
        mark = _BYTE_ORDER_MARK if self.data.startswith(_BYTE_ORDER_MARK) else b""
        # in pyarrow's own memory: its threads may let go of it when the interpreter is already ending, and for memory
        # of Python's that aborts the process (three runs in a hundred on a busy machine)
        copy = pa.allocate_buffer(len(mark) + self.size)
        with memoryview(copy).cast("B") as content:
            content[: len(mark)] = mark
            content[len(mark) :] = memoryview(self.data)[: self.size]
        return copy

    def longest(self) -> int:
        """Bytes of the longest record."""
        return int((self.stops - self.starts).max(initial=0))

    def lines(self) -> pa.LargeBinaryArray:
        """The records' exact bytes, (n,)."""
        # every other slot is a line end (and blank lines); `take` leaves those out
        bounds = np.column_stack([self.starts, self.stops]).ravel()
        slots = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), bounds.size - 1, [None, pa.py_buffer(bounds), pa.py_buffer(self.data)]
        )
        return slots.take(pa.array(np.arange(0, bounds.size - 1, 2)))


def block_of_lines(lines: pa.LargeBinaryArray) -> Block:
    """A block made of lines that were taken out of one; `Block.lines` is the inverse."""
    ended = pc.binary_join_element_wise(lines, pa.scalar(b"", pa.large_binary()), pa.scalar(b"\n", pa.large_binary()))
    bounds = _bounds(ended)
    content = bytes(joined_bytes(ended))
    starts = bounds[:-1] - bounds[0]
    return Block(content, len(content), starts, bounds[1:] - bounds[0] - 1, b'"' in content, 1)


def joined_bytes(array: pa.LargeBinaryArray) -> memoryview:
    """All values, one behind the other, without a copy."""
    bounds, data = _bounds(array), array.buffers()[2]
    return memoryview(data or b"")[bounds[0] : bounds[-1]]


def cut_into_blocks(
    stream: pa.NativeFile,
    delimiter: str,
    *,
    name: str,
    first_line: int,
    first_byte: int,
    keep_blank: bool,
    block_bytes: int = BLOCK_BYTES,
    multiple_of: int = 1,
    first_row: int = 0,
) -> Iterator[Block]:
    """Blocks of about `block_bytes`, from where `stream` stands; a longer record gets a longer block.

    Blocks end where the number of rows, counted from `first_row`, is a multiple of `multiple_of`, unless that many rows
    are too large for a block, or the last.

    With `keep_blank` a blank line is a record of no bytes, otherwise it is passed over. `first_line` and
    `first_byte` say where the stream stands in the file. Raises MalformedText naming file and line for NUL
    bytes, bytes that are not UTF-8, a stray carriage return, an unclosed quote; OSError from the stream.
    """
    pending = b""
    while True:
        # a record that did not fit is tried again with twice the bytes, so growing costs no more than reading twice
        fresh = stream.read(max(block_bytes, len(pending)))
        at_end = not fresh
        data = pending + fresh
        if not data:
            return
        ends = find_record_ends(data, delimiter, at_end)
        if ends.unclosed is not None and (at_end or len(data) > MAX_RECORD_BYTES):
            raise _unclosed(name, first_line + data.count(b"\n", 0, ends.unclosed))
        size = int(ends.starts_after[-1]) if ends.starts_after.size else 0
        _refuse_nul(data, name, first_line, first_byte)
        if ends.stray_return is not None:
            raise _stray_return(name, first_line + data.count(b"\n", 0, ends.stray_return))
        if not size:
            if len(data) > MAX_RECORD_BYTES:
                raise MalformedText(
                    f"{name}, line {first_line}: a line of more than {MAX_RECORD_BYTES // 2**20} MB",
                    "check that the file is delimited text",
                    path=name,
                    line=first_line,
                )
            pending = data
            continue
        _refuse_other_encodings(data, size, name, first_line, first_byte)
        block = _block(data, size, ends, first_line, keep_blank)
        beyond = (first_row + len(block)) % multiple_of
        if beyond and not at_end and len(data) <= MAX_ALIGNED_BYTES:
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
    """(n + 1,) positions in the data buffer."""
    offsets = array.buffers()[1]
    if offsets is None or not len(array):
        return np.zeros(1, np.int64)
    return np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]


@dataclass(frozen=True, slots=True)
class RecordEnds:
    """Where the records of some bytes end.

    Record i has its content before `stops[i]`, and what follows it starts at `starts_after[i]`. `unclosed` is the
    position of a quote that is still open at the end, `stray_return` of a carriage return that ends no line.
    """

    stops: np.ndarray
    starts_after: np.ndarray
    quoted: bool
    unclosed: int | None
    stray_return: int | None


def find_record_ends(data: bytes, delimiter: str, at_end: bool) -> RecordEnds:
    """Find every record end in `data`, which begins with a record; `at_end` says that nothing follows it."""
    buffer = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(buffer == _LF)
    quotes = _quotes(data, buffer, delimiter) if b'"' in data else None
    unclosed = None
    if quotes is not None:
        feeds = feeds[_outside(quotes, feeds)]
        unclosed = int(quotes[-1]) if quotes.size % 2 else None
    starts_after = feeds + 1
    if at_end and (not feeds.size or starts_after[-1] < len(data)):
        feeds = np.append(feeds, len(data))
        starts_after = np.append(starts_after, len(data))
    before = buffer[np.maximum(feeds, 1) - 1]
    stops = feeds - ((before == _CR) & (feeds > 0))

    stray = None
    if b"\r" in data:
        returns = np.flatnonzero(buffer == _CR)
        # the last byte may be the first half of a line end, and at the end of the file it ends the line
        returns = returns[returns < min(feeds[-1] if feeds.size else len(data), len(data) - 1)]
        if quotes is not None:
            returns = returns[_outside(quotes, returns)]
        returns = returns[(buffer[np.minimum(returns + 1, len(data) - 1)] != _LF)]
        stray = int(returns[0]) if returns.size else None
    return RecordEnds(stops, starts_after, quotes is not None, unclosed, stray)


def _block(data: bytes, size: int, ends: RecordEnds, first_line: int, keep_blank: bool) -> Block:
    starts = np.concatenate([[0], ends.starts_after[:-1]])
    stops = ends.stops
    if not keep_blank:
        filled = stops > starts
        starts, stops = starts[filled], stops[filled]
    return Block(data, size, starts, stops, ends.quoted, first_line)


def _quotes(data: bytes, buffer: np.ndarray, delimiter: str) -> np.ndarray:
    """Positions of quotes such that a byte is inside quotes where an odd number of them stands before it.

    When every quote fits the grammar, they alternate: opening, closing, … (a doubled quote closes and
    opens again). Only a block in which one does not fit is walked quote by quote.
    """
    quotes = np.flatnonzero(buffer == _QUOTE)
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.zeros(256, bool)
    before[[ord(delimiter), _LF, _QUOTE]] = True
    after = before.copy()
    after[_CR] = True
    opens = before[buffer[np.maximum(opening, 1) - 1]] | (opening == 0)
    closes = after[buffer[np.minimum(closing + 1, len(data) - 1)]]
    if opens.all() and closes.all():
        return quotes
    return _walk(data, quotes, ord(delimiter))


def _walk(data: bytes, quotes: np.ndarray, delimiter: int) -> np.ndarray:
    """The quotes that open or close a field, in turn."""
    found: list[int] = []
    inside, doubled = False, -1
    for position in quotes.tolist():
        if position == doubled:
            continue
        if not inside:
            inside = position == 0 or data[position - 1] in (delimiter, _LF)
            if inside:
                found.append(position)
        elif data[position + 1 : position + 2] == b'"':
            doubled = position + 1
        else:
            inside = False
            found.append(position)
    return np.array(found, np.int64)


def _outside(quotes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    return np.asarray(np.searchsorted(quotes, positions) % 2 == 0)


def _refuse_nul(data: bytes, name: str, first_line: int, first_byte: int) -> None:
    nul = data.find(b"\0")
    if nul >= 0:
        line = first_line + data.count(b"\n", 0, nul)
        raise MalformedText(
            f"{name}, line {line}: a NUL byte (byte {first_byte + nul + 1:,} of the file)",
            f"not plain text, or UTF-16: try `iconv -f UTF-16 -t UTF-8 {name} > utf8.csv`",
            path=name,
            line=line,
        )


def _refuse_other_encodings(data: bytes, size: int, name: str, first_line: int, first_byte: int) -> None:
    if data.isascii():
        return
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, pa.py_buffer(np.array([0, size])), pa.py_buffer(data)]
    )
    try:
        whole.cast(pa.large_string())  # validates without a copy
    except pa.ArrowInvalid:
        raise _not_utf8(data[:size], name, first_line, first_byte) from None


def _not_utf8(data: bytes, name: str, first_line: int, first_byte: int) -> MalformedText:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        where, value = problem.start, data[problem.start]
        line = first_line + data.count(b"\n", 0, where)
        return MalformedText(
            f"{name}, line {line}: byte 0x{value:02x} is not UTF-8 (byte {first_byte + where + 1:,} of the file)",
            f"convert it: `iconv -f WINDOWS-1252 -t UTF-8 {name} > utf8.csv`",
            path=name,
            line=line,
        )
    raise AssertionError("pyarrow and Python disagree about UTF-8")


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
