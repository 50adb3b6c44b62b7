"""Reads CSV and TSV as a stream: the requested columns of every row and, where requested, its exact bytes.

Module `records` cuts the bytes into blocks of whole records, and pyarrow parses each block; both must find the same
number of rows. A blank line is not a row, except in a table of one column, where it is a missing cell.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from vaecli.errors import InputError, MalformedText, listed, located, quoted
from vaecli.runtime import file_types
from vaecli.runtime.urls import in_shell
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS
from vaecli.tables.read.header import Header, read_header
from vaecli.tables.read.joined import in_groups
from vaecli.tables.read.live import LiveStream, live_pieces
from vaecli.tables.read.locations import LocalFile, Location, unreadable
from vaecli.tables.read.malformed import parse_or_explain
from vaecli.tables.read.named_columns import requested_columns
from vaecli.tables.read.new_rows import NewRows, NothingNew
from vaecli.tables.read.records import BLOCK_BYTES, RecordBlock, block_of_lines, cut_into_blocks, one_block
from vaecli.tables.row_bytes import FEWEST_ROWS
from vaecli.tables.source import ALL_COLUMNS, Batch, Piece, ReadRequest, Source, parse_in_parallel

PIECES_OF_A_FILE = 8
SMALLEST_BLOCK_BYTES = 256 * 2**10
_PARSE_BYTES = 2**20  # measured: half of it, or four times, parses a little slower
_CODECS = {file_types.GZIP: "gzip", file_types.ZSTD: "zstd", file_types.BZIP2: "bz2"}


@dataclass(frozen=True, slots=True)
class DelimitedSource:
    """One or more delimited files with the same header, read one after the other."""

    name: str
    format: str  # `csv` or `tsv`
    locations: tuple[Location, ...]
    headers: tuple[Header, ...]
    rows_of_files: dict[str, int] = field(default_factory=dict, compare=False)  # as far as they have been read

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""
        return self.headers[0].names

    @property
    def n_rows(self) -> int | None:
        """None: it is not known before all rows are read."""
        return None

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that no output overwrites them."""
        return tuple(location.file for location in self.locations)

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Blocks of whole records; see `Source.pieces`."""
        columns = requested_columns(self.names, request.columns, self.name)
        location, header = self.locations[0], self.headers[0]
        if isinstance(location, NothingNew):
            return
        if isinstance(location, LiveStream):

            def live_batch(block: RecordBlock, first: int) -> Batch:
                return _batch(block, header, columns, request, location, first)

            yield from live_pieces(location, header, live_batch)
            return
        first_row = 0
        for group in self._blocks(request.multiple_of):
            yield partial(_batch_of, group, columns, request, first_row)
            first_row += sum(one.n_rows for one in group)

    def _blocks(self, multiple_of: int) -> Iterator[list[_Block]]:
        """The blocks of all files in order; those of small files in groups that are parsed at once (`in_groups`)."""
        blocks = self._blocks_of_files(multiple_of)
        if len(self.locations) == 1 or multiple_of == 1:
            return ([block] for block in blocks)
        return in_groups(blocks, multiple_of, enough_bytes=_block_bytes(*self.locations), most_bytes=2 * BLOCK_BYTES)

    def _blocks_of_files(self, multiple_of: int) -> Iterator[_Block]:
        first_row = 0
        for location, header in zip(self.locations, self.headers, strict=True):
            before = first_row
            for block in _blocks_of(location, header, multiple_of, first_row):
                yield _Block(block, location, header)
                first_row += len(block)
            self.rows_of_files[location.name] = first_row - before

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Stream the rows: strings, and float64 for `request.numbers`; see `Source.batches`.

        Batches are slices of a parsed block, so they are often smaller than `request.batch_rows`.
        """
        return parse_in_parallel(self.pieces(request), request.aligned_rows)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the records of one file."""

    block: RecordBlock
    location: Location
    header: Header

    @property
    def n_rows(self) -> int:
        return len(self.block)

    @property
    def n_bytes(self) -> int:
        return self.block.size

    def cut(self, n: int) -> tuple[_Block, _Block]:
        return replace(self, block=self.block.before(n)), replace(self, block=self.block.after(n))

    def batch(self, columns: Sequence[str], request: ReadRequest, first_row: int) -> Batch:
        return _batch(self.block, self.header, columns, request, self.location, first_row)


def open_delimited(locations: Sequence[Location], name: str, format: str | None) -> DelimitedSource:
    """Read the headers of all files and open them as one table.

    With `format` "tsv" fields are separated by tabs; with "csv" or None the delimiter is detected. Raises InputError
    when a file cannot be read, its header is not usable, or it differs from that of the first file.
    """
    headers = tuple(_header_of(location, "\t" if format == "tsv" else None) for location in locations)
    _reject_different_headers(locations, headers)
    if format is None:
        format = "tsv" if headers[0].delimiter == "\t" else "csv"
    return DelimitedSource(name, format, tuple(locations), headers)


def growth_notes(source: Source) -> tuple[str, ...]:
    """A note for each file to which rows were appended while it was read."""
    files = source.locations if isinstance(source, DelimitedSource) else ()
    grown = [file.name for file in files if isinstance(file, LocalFile) and file.prefix and file.prefix.has_grown]
    return tuple(f"{name} grew while it was read: what was appended is not part of this run" for name in grown)


def parse(
    block: RecordBlock,
    header: Header,
    columns: Sequence[str],
    numbers: Collection[str] = (),
    name: str = "the table",
    missing: Sequence[str] = MISSING_TOKENS,
) -> pa.Table:
    """Parse `columns` of a block, in this order: strings, and float64 for `numbers`; null for the texts `missing`.

    Raises InputError listing the rows with too few or too many fields, or the cells that are not numbers.
    """
    types = {column: pa.float64() if column in numbers else pa.string() for column in columns}
    if not len(block):
        return pa.schema(list(types.items())).empty_table()
    content = block.buffer()
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(content),
            read_options=pa_csv.ReadOptions(
                use_threads=False,  # several blocks are parsed at a time
                column_names=header.names,
                block_size=_parse_bytes(block, content.size),
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=header.delimiter,
                quote_char='"' if block.quoted else False,
                newlines_in_values=block.quoted,
                ignore_empty_lines=len(header.names) > 1,
            ),
            convert_options=pa_csv.ConvertOptions(
                # an empty selection means "all" to pyarrow
                include_columns=list(columns) or [header.names[0]],
                column_types=types or {header.names[0]: pa.string()},
                null_values=missing,
                strings_can_be_null=True,
                check_utf8=False,  # `records` has checked it
            ),
        )
    except pa.ArrowInvalid as problem:
        table = parse_or_explain(block, header, columns, numbers, name, problem)
    if table.num_rows != len(block):
        raise InputError(
            f"{name}, lines {block.line(0)} to {block.line(len(block) - 1)}: "
            f"{len(block)} lines but {table.num_rows} rows; where rows end is not clear",
            "look for quotes that open or close in the middle of a field",
        )
    return table.select(list(columns))


def parse_lines(lines: pa.LargeBinaryArray, header: Header, numbers: Sequence[str]) -> pa.Table:
    """Parse all columns of rows given by their bytes (n,): float64 for `numbers`, the exact text for the others.

    Empty cells are null, and so are missing-value tokens in `numbers`.
    """
    block = block_of_lines(lines)
    typed = parse(block, header, numbers, numbers)
    texts = [name for name in header.names if name not in numbers]
    exact = parse(block, header, texts, missing=("",))
    return pa.table({name: (typed if name in numbers else exact)[name] for name in header.names})


def decompressed(stream: pa.NativeFile, head: bytes) -> pa.NativeFile:
    """The stream decompressed if its first bytes, `head`, are those of gzip, zstd or bzip2; else the stream itself."""
    for magic, codec in _CODECS.items():
        if head.startswith(magic):
            return pa.CompressedInputStream(stream, codec)
    return stream


def _batch(
    block: RecordBlock,
    header: Header,
    columns: Sequence[str],
    request: ReadRequest,
    location: Location,
    first_row: int,
) -> Batch:
    try:
        _reject_repeated_header(block, header, location.name)
        table = parse(block, header, columns, request.numbers, location.name, _null_texts(request))
    except InputError:
        location.require_unchanged()  # of a file that is replaced, the rows themselves are not at fault
        raise
    return Batch(table, first_row, partial(_where, location.name, block), block.lines() if request.keep else None)


def _null_texts(request: ReadRequest) -> Sequence[str]:
    return ("",) if request.missing_words else MISSING_TOKENS


def _batch_of(blocks: Sequence[_Block], columns: Sequence[str], request: ReadRequest, first_row: int) -> Batch:
    """The rows of blocks that follow each other, parsed at once, as they are small."""
    if len(blocks) > 1:
        joined = one_block([one.block for one in blocks])
        try:
            for one in blocks:
                _reject_repeated_header(one.block, one.header, one.location.name)
            table = parse(joined, blocks[0].header, columns, request.numbers, missing=_null_texts(request))
        except InputError:  # which names a line of all blocks: parsed one by one, it is that of a file
            pass
        else:
            return Batch(table, first_row, _places(blocks), joined.lines() if request.keep else None)
    parts = []
    for one in blocks:
        parts.append(one.batch(columns, request, first_row))
        first_row += one.n_rows
    return parts[0] if len(parts) == 1 else Batch.concatenate(parts)


def _places(blocks: Sequence[_Block]) -> Callable[[int], str]:
    """Where each row of blocks that follow each other stands, for messages."""
    ends = list(accumulate(one.n_rows for one in blocks))

    def where(i: int) -> str:
        nth = bisect_right(ends, i)
        return _where(blocks[nth].location.name, blocks[nth].block, i - (ends[nth - 1] if nth else 0))

    return where


def _reject_repeated_header(block: RecordBlock, header: Header, name: str) -> None:
    """Raise MalformedText where a row is the header once more; one column of words may hold its own name."""
    if len(header.names) == 1:
        return
    for position in _line_starts(block, header.line):
        row = int(np.searchsorted(block.starts, position))
        if row < len(block) and block.starts[row] == position and block.stops[row] == position + len(header.line):
            line = block.line(row)
            raise MalformedText(
                f"{name}, line {line}: the header once more; files may have been joined one below the other",
                f"keep the first: `awk 'NR == 1 {{h = $0}} NR == 1 || $0 != h' {in_shell(name)} > table.csv`",
                path=name,
                line=line,
            )


def _line_starts(block: RecordBlock, text: bytes) -> Iterator[int]:
    """The positions of lines that begin with `text`."""
    if block.data.startswith(text):
        yield 0
    feed = block.data.find(b"\n" + text, 0, block.size)
    while feed >= 0:
        yield feed + 1
        feed = block.data.find(b"\n" + text, feed + 1, block.size)


def _blocks_of(location: Location, header: Header, multiple_of: int, first_row: int) -> Iterator[RecordBlock]:
    try:
        with location.peek() as stream:
            head = stream.read(8)
        first_byte, first_line = header.size, header.first_line
        if isinstance(location, NewRows):
            first_byte, first_line = location.first_row(header)
        with decompressed(location.open(), head) as stream:
            if isinstance(location, NewRows):
                stream.seek(first_byte)
            else:
                _skip(stream, first_byte)
            yield from cut_into_blocks(
                stream,
                header.delimiter,
                name=location.name,
                first_line=first_line,
                first_byte=first_byte,
                n_fields=len(header.names),
                keep_blank=len(header.names) == 1,
                block_bytes=_block_bytes(location),
                multiple_of=multiple_of,
                first_row=first_row,
            )
        location.require_unchanged()
    except InputError:
        location.require_unchanged()
        raise
    except OSError as problem:
        location.require_unchanged()
        raise unreadable(location.name, problem) from problem


def _block_bytes(*locations: Location) -> int:
    """Bytes per block: fewer where there are few bytes in all, so that there is a block for every worker."""
    sizes = [_n_bytes(location) for location in locations]
    total = sum(size for size in sizes if size is not None) if None not in sizes else BLOCK_BYTES * PIECES_OF_A_FILE
    return min(BLOCK_BYTES, max(total // PIECES_OF_A_FILE, SMALLEST_BLOCK_BYTES))


def _n_bytes(location: Location) -> int | None:
    if isinstance(location, NewRows):
        return location.end - location.start
    return location.n_bytes if isinstance(location, LocalFile) else None


def _skip(stream: pa.NativeFile, n_bytes: int) -> None:
    while n_bytes > 0:
        skipped = len(stream.read(n_bytes))
        if not skipped:
            return
        n_bytes -= skipped


def _header_of(location: Location, delimiter: str | None) -> Header:
    try:
        with location.peek() as stream:
            head = stream.read(8)
        with decompressed(location.peek(), head) as stream, located(location.name):
            return read_header(stream, location.name, delimiter)
    except OSError as problem:
        raise unreadable(location.name, problem) from problem


def _parse_bytes(block: RecordBlock, n_bytes: int) -> int:
    """Bytes of pyarrow's own blocks, into each of which many records must fit: each makes a chunk of every column."""
    return _PARSE_BYTES if block.longest() * FEWEST_ROWS < _PARSE_BYTES else n_bytes + 1


def _where(name: str, block: RecordBlock, i: int) -> str:
    return f"{name}, line {block.line(i)}"


def _reject_different_headers(locations: Sequence[Location], headers: Sequence[Header]) -> None:
    first = headers[0]
    problems = [
        f"{location.name}: {_difference(first, header)}"
        for location, header in zip(locations, headers, strict=True)
        if (header.names, header.delimiter) != (first.names, first.delimiter)
    ]
    if problems:
        raise InputError(
            f"the files do not have the columns of {locations[0].name}:\n{listed(problems)}",
            "give files with the same columns in the same order",
        )


def _difference(first: Header, other: Header) -> str:
    missing = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    parts = [f"missing {', '.join(map(quoted, missing))}"] if missing else []
    parts += [f"has also {', '.join(map(quoted, extra))}"] if extra else []
    if parts:
        return "; ".join(parts)
    if first.names != other.names:
        moved = next(name for name, expected in zip(other.names, first.names, strict=True) if name != expected)
        return f"the same columns in another order, from {quoted(moved)} on"
    return f"fields are separated by {quoted(other.delimiter)}, not {quoted(first.delimiter)}"
