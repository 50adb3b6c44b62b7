"""Reads CSV and TSV: streamed, typed as told, with every row's own bytes beside its values.

Each block of whole records is parsed by pyarrow and cut by `records`; the two must find the same
number of rows. A blank line is no row, except in a table of one column, where it is a missing cell.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.csv as pa_csv

from vaecli.errors import InputError, listed, located
from vaecli.runtime import file_types
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS
from vaecli.tables.read.header import Header, read_header
from vaecli.tables.read.locations import LocalFile, Location, RemoteFile, unreadable
from vaecli.tables.read.malformed import parsed_with_care
from vaecli.tables.read.named_columns import asked_columns
from vaecli.tables.read.records import BLOCK_BYTES, Block, block_of_lines, cut_into_blocks
from vaecli.tables.source import Batch, Piece, parsed

PIECES_OF_A_FILE = 8
SMALLEST_BLOCK_BYTES = 256 * 2**10
_PARSE_BYTES = 2**20  # measured: half of it, or four times, parses a little slower
_CODECS = {file_types.GZIP: "gzip", file_types.ZSTD: "zstd", b"BZh": "bz2"}


@dataclass(frozen=True, slots=True)
class DelimitedSource:
    """One or more delimited files with the same header, read one after the other."""

    name: str
    format: str  # `csv` or `tsv`
    places: tuple[Location, ...]
    headers: tuple[Header, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""
        return self.headers[0].names

    @property
    def n_rows(self) -> int | None:
        """Unknown before the end."""
        return None

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that nobody overwrites them."""
        return tuple(place.url if isinstance(place, RemoteFile) else place.name for place in self.places)

    def pieces(
        self,
        columns: Sequence[str] | None = None,
        *,
        numbers: Collection[str] = (),
        keep: bool = False,
        batch_rows: int = 16_384,  # noqa: ARG002 - the Protocol's; a block has the rows that it has
        multiple_of: int = 1,
    ) -> Iterator[Piece]:
        """Blocks of whole records; see `Source.pieces`."""
        asked = asked_columns(self.names, columns, self.name)
        first_row = 0
        for place, header in zip(self.places, self.headers, strict=True):
            for block in _blocks_of(place, header, multiple_of, first_row):
                yield partial(_batch, block, header, asked, numbers, place.name, first_row, keep)
                first_row += len(block)

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        numbers: Collection[str] = (),
        keep: bool = False,
        batch_rows: int = 16_384,
    ) -> Iterator[Batch]:
        """Stream the rows: strings, and float64 for `numbers`; see `Source.batches`.

        Batches are slices of a parsed block, so they are often smaller than `batch_rows`.
        """
        return parsed(self.pieces(columns, numbers=numbers, keep=keep), batch_rows)


def open_delimited(places: Sequence[Location], name: str, format: str | None) -> DelimitedSource:
    """Read the headers of all files.

    `format` `tsv` asks for tabs; `csv` and None let the delimiter be found. Raises InputError when a
    file cannot be read, its header is not usable, or it differs from that of the first file.
    """
    headers = tuple(_header_of(place, "\t" if format == "tsv" else None) for place in places)
    _refuse_different_headers(places, headers)
    if format is None:
        format = "tsv" if headers[0].delimiter == "\t" else "csv"
    return DelimitedSource(name, format, tuple(places), headers)


def parse(
    block: Block,
    header: Header,
    columns: Sequence[str],
    numbers: Collection[str] = (),
    name: str = "the table",
    missing: Sequence[str] = MISSING_TOKENS,
) -> pa.Table:
    """The asked columns of a block, in this order: strings, and float64 for `numbers`; null for `missing`.

    Raises InputError listing the rows with too few or too many fields, or the cells that are no numbers.
    """
    types = {column: pa.float64() if column in numbers else pa.string() for column in columns}
    if not len(block):
        return pa.schema(list(types.items())).empty_table()
    content = block.buffer()
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(content),
            read_options=pa_csv.ReadOptions(
                use_threads=False,  # blocks are parsed side by side
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
                check_utf8=False,  # `records` has looked
            ),
        )
    except pa.ArrowInvalid as problem:
        table = parsed_with_care(block, header, columns, numbers, name, problem)
    if table.num_rows != len(block):
        raise InputError(
            f"{name}, lines {block.line(0)} to {block.line(len(block) - 1)}: "
            f"{len(block)} lines but {table.num_rows} rows; where rows end is not clear",
            "look for quotes that open or close in the middle of a field",
        )
    return table.select(list(columns))


def parse_lines(lines: pa.LargeBinaryArray, header: Header, numbers: Sequence[str]) -> pa.Table:
    """All columns of kept lines: float64 for `numbers`, the exact text for the others, null where a cell is empty."""
    block = block_of_lines(lines)
    typed = parse(block, header, numbers, numbers)
    texts = [name for name in header.names if name not in numbers]
    exact = parse(block, header, texts, missing=("",))
    return pa.table({name: (typed if name in numbers else exact)[name] for name in header.names})


def decompressed(stream: pa.NativeFile, head: bytes) -> pa.NativeFile:
    """The plain bytes of a stream that begins with `head`; gzip, zstd and bzip2 are known by their first bytes."""
    for magic, codec in _CODECS.items():
        if head.startswith(magic):
            return pa.CompressedInputStream(stream, codec)
    return stream


def _batch(
    block: Block,
    header: Header,
    columns: Sequence[str],
    numbers: Collection[str],
    name: str,
    first_row: int,
    keep: bool,
) -> Batch:
    table = parse(block, header, columns, numbers, name)
    return Batch(table, first_row, partial(_where, name, block), block.lines() if keep else None)


def _blocks_of(place: Location, header: Header, multiple_of: int, first_row: int) -> Iterator[Block]:
    try:
        with place.peek() as stream:
            head = stream.read(8)
        with decompressed(place.open(), head) as stream:
            _skip(stream, header.size)
            yield from cut_into_blocks(
                stream,
                header.delimiter,
                name=place.name,
                first_line=header.first_line,
                first_byte=header.size,
                keep_blank=len(header.names) == 1,
                block_bytes=_block_bytes(place),
                multiple_of=multiple_of,
                first_row=first_row,
            )
    except OSError as problem:
        raise unreadable(place.name, problem) from problem


def _block_bytes(place: Location) -> int:
    """Small files are cut into some pieces too, so that there is one for every worker."""
    size = os.path.getsize(place.name) if isinstance(place, LocalFile) else BLOCK_BYTES * PIECES_OF_A_FILE
    return min(BLOCK_BYTES, max(size // PIECES_OF_A_FILE, SMALLEST_BLOCK_BYTES))


def _skip(stream: pa.NativeFile, n_bytes: int) -> None:
    while n_bytes > 0:
        skipped = len(stream.read(n_bytes))
        if not skipped:
            return
        n_bytes -= skipped


def _header_of(place: Location, delimiter: str | None) -> Header:
    try:
        with place.peek() as stream:
            head = stream.read(8)
        with decompressed(place.peek(), head) as stream, located(place.name):
            return read_header(stream, place.name, delimiter)
    except OSError as problem:
        raise unreadable(place.name, problem) from problem


def _parse_bytes(block: Block, n_bytes: int) -> int:
    """A record has to fit into one of pyarrow's own blocks."""
    return _PARSE_BYTES if block.longest() < _PARSE_BYTES // 2 else n_bytes + 1


def _where(name: str, block: Block, i: int) -> str:
    return f"{name}, line {block.line(i)}"


def _refuse_different_headers(places: Sequence[Location], headers: Sequence[Header]) -> None:
    first = headers[0]
    problems = [
        f"{place.name}: {_difference(first, header)}"
        for place, header in zip(places, headers, strict=True)
        if (header.names, header.delimiter) != (first.names, first.delimiter)
    ]
    if problems:
        raise InputError(
            f"the files do not have the columns of {places[0].name}:\n{listed(problems)}",
            "give files with the same columns in the same order",
        )


def _difference(first: Header, other: Header) -> str:
    missing = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    parts = [f"missing {', '.join(map(repr, missing))}"] if missing else []
    parts += [f"has also {', '.join(map(repr, extra))}"] if extra else []
    if parts:
        return "; ".join(parts)
    if first.names != other.names:
        moved = next(name for name, there in zip(other.names, first.names, strict=True) if name != there)
        return f"the same columns in another order, from {moved!r} on"
    return f"fields are separated by {other.delimiter!r}, not {first.delimiter!r}"
