"""Writes the user's rows with added columns after theirs, as Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vaecli.errors import InputError, listed
from vaecli.tables.convert.arrow_casts import as_schema
from vaecli.tables.read.parquet import ParquetSource
from vaecli.tables.row_bytes import row_bytes
from vaecli.tables.source import Batch, Source
from vaecli.tables.write.row_writers import Rendered, TypedRows

_GROUP_ROWS = 2**20
_GROUP_BYTES = 20 * 2**20
_SECTION_ROWS = 2**13
_SECTION_BYTES = 64 * 2**20
_STEP_ROWS = 128
_CHUNKS = 2**16  # of all columns together: each takes a kilobyte, whatever it holds
# Measured on 5 million rows of 30 floats: with pyarrow's 1 MB, columns without repetition get a dictionary that
# saves nothing, and writing takes five times as long.
_DICTIONARY_BYTES = 128 * 2**10
_NUMBER_BYTES = 8
# Two of as many rows are equal in nearly all columns of so few values that a dictionary holds them.
_SAMPLE_ROWS, _SAMPLE_ROWS_OF_MANY = 256, 1024
_TRIED_ROWS, _LEAST_SAVED = 4096, 0.05  # of a column that is stored without compression


@dataclass(slots=True)
class ParquetRows:
    """Writes Parquet in row groups that depend on the rows alone, not on how they came in batches.

    A group consists of sections, as many as make a million rows or 20 MB, whichever is reached first. A section has
    8,192 rows; where these take more than 64 MB, it ends with the 128 rows that reach them. How columns are encoded
    is decided by the first group, with which the file begins.
    """

    rows: TypedRows
    stream: BinaryIO
    compression: str
    writer: pq.ParquetWriter | None = None
    pending: list[pa.Table] = field(default_factory=list)  # fewer rows than a section
    pending_bytes: int = 0
    sections: list[pa.Table] = field(default_factory=list)
    section_bytes: int = 0  # of all sections; measuring many columns is slow

    def render(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> Rendered:
        return self.rows.table(batch, added, keep)

    def append(self, rendered: Rendered) -> None:
        self.pending.append(rendered)
        self.pending_bytes += rendered.nbytes  # measuring many columns is slow, and most rows do not fill a section
        if len(self.pending) * rendered.num_columns > _CHUNKS:
            self.pending = [pa.concat_tables(self.pending).combine_chunks()]
        if sum(len(part) for part in self.pending) < _SECTION_ROWS and self.pending_bytes <= _SECTION_BYTES:
            return
        table, is_large = pa.concat_tables(self.pending), self.pending_bytes > _SECTION_BYTES
        self.pending.clear()
        while n_rows := _rows_of_section(table, is_large=is_large):
            self._add_section(table.slice(0, n_rows))
            table = table.slice(n_rows)
        self.pending, self.pending_bytes = ([table], table.nbytes) if table.num_rows else ([], 0)

    def close(self) -> None:
        if self.pending:
            self._add_section(pa.concat_tables(self.pending))
        if self.sections:
            self._write_group()
        self._begun(pa.Table.from_batches([], self.rows.schema)).close()

    def abandon(self) -> None:
        self.pending.clear()
        self.sections.clear()
        if self.writer is not None:
            _discard(self.writer)

    def _add_section(self, section: pa.Table) -> None:
        # in one chunk: pages end where chunks do, and the bytes of a table depend on its chunks
        self.sections.append(section.combine_chunks())
        self.section_bytes += self.sections[-1].nbytes
        n_rows = sum(section.num_rows for section in self.sections)
        if n_rows >= _GROUP_ROWS or self.section_bytes >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        group = as_schema(pa.concat_tables(self.sections), self.rows.schema)
        self._begun(group).write_table(group, row_group_size=_GROUP_ROWS)
        self.sections.clear()
        self.section_bytes = 0

    def _begun(self, first: pa.Table) -> pq.ParquetWriter:
        """The writer of the file, whose first group is `first` where it has not begun."""
        if self.writer is None:
            encoded = _columns_to_encode(first)
            compression = _codecs(first, encoded, self.compression)
            self.writer = _parquet_writer(self.stream, self.rows.schema, compression, encoded)
        return self.writer


def _rows_of_section(table: pa.Table, *, is_large: bool) -> int:
    """How many rows the first section of `table` has; 0 where it is not complete.

    One that is not large has fewer bytes in all than a section may have.
    """
    head = table.slice(0, _SECTION_ROWS)
    if is_large and head.nbytes > _SECTION_BYTES:
        after = np.cumsum(row_bytes(head))[_STEP_ROWS - 1 :: _STEP_ROWS]
        steps = np.flatnonzero(after >= _SECTION_BYTES)
        if steps.size:
            return int(steps[0] + 1) * _STEP_ROWS
    return _SECTION_ROWS if head.num_rows == _SECTION_ROWS else 0


def parquet_rows(stream: BinaryIO, rows: TypedRows, compression: str) -> ParquetRows:
    """Begin a Parquet file on `stream`, compressed with the codec `compression` where that makes columns smaller.

    Raises InputError listing the columns whose type cannot be written.
    """
    unsuitable = [f"{column.name} ({column.type})" for column in rows.schema if not _can_be_stored(column.type)]
    if unsuitable:
        raise InputError(
            f"these columns cannot be written as Parquet:\n{listed(unsuitable)}",
            "write CSV: -o NAME.csv, or cast them, an interval to seconds",
        )
    _discard(_parquet_writer(io.BytesIO(), rows.schema, compression, True))  # which raises what the first group would
    return ParquetRows(rows, stream, compression)


def _parquet_writer(
    stream: BinaryIO, schema: pa.Schema, compression: str | dict[str, str], dictionaries: bool | list[str]
) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        stream,
        schema,
        compression=compression,
        use_dictionary=dictionaries,
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
    )


def _discard(writer: pq.ParquetWriter) -> None:
    writer.is_open = False  # otherwise its garbage collection writes a footer


def _columns_to_encode(group: pa.Table) -> bool | list[str]:
    """Which columns get a dictionary, by the first group: all but numbers and moments that do not repeat.

    A dictionary ends at _DICTIONARY_BYTES. A small group of such a column would be all dictionary, which takes three
    times as long to write and a fifth more bytes; a group of 20 MB takes half as long again.
    """
    if not group.num_rows:
        return True
    if any(pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) for kind in group.schema.types):
        return True  # whose columns of numbers have names of their own
    return [name for name in group.column_names if not _is_all_different(group[name])]


def _codecs(group: pa.Table, encoded: bool | list[str], codec: str) -> str | dict[str, str]:
    """The codec of all columns, or of each: none for numbers without a dictionary that it hardly makes smaller.

    Readings with all their digits are such numbers: to compress them takes a third of writing them, for writer and
    reader, and saves nothing.
    """
    if isinstance(encoded, bool):
        return codec
    plain = [name for name in group.column_names if name not in encoded and not _shrinks(group[name], codec)]
    return dict.fromkeys(group.column_names, codec) | dict.fromkeys(plain, "none") if plain else codec


def _shrinks(column: pa.ChunkedArray, codec: str) -> bool:
    """Whether the codec makes the column's first values smaller, by _LEAST_SAVED at least."""
    values = column.chunk(0).slice(0, _TRIED_ROWS)
    content = pa.py_buffer(np.ascontiguousarray(values.drop_null().to_numpy()))
    return bool(pa.compress(content, codec, asbytes=False).size < (1 - _LEAST_SAVED) * content.size)


def _is_all_different(column: pa.ChunkedArray) -> bool:
    """Whether no two numbers of a sample are the same: neighbours, as values come in runs, and from everywhere."""
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_timestamp(kind)):
        return False
    values = column.drop_null() if column.null_count else column
    n_rows = _SAMPLE_ROWS if len(values) * _NUMBER_BYTES <= _DICTIONARY_BYTES else _SAMPLE_ROWS_OF_MANY
    if len(values) < n_rows:
        return False
    half = n_rows // 2
    rows = np.r_[:half, np.linspace(half, len(values) - 1, half).astype(np.int64)]
    return bool(np.unique(values.to_numpy()[rows]).size == n_rows)


def _can_be_stored(kind: pa.DataType) -> bool:
    return not (pa.types.is_interval(kind) or pa.types.is_run_end_encoded(kind) or pa.types.is_union(kind))


def compression_like(like: Source) -> str:
    """Snappy, which most writers use, for a Parquet input, zstd for any other.

    The reader library does not check the codec in a footer before it is asked for: a damaged one ends the process.
    """
    return "snappy" if isinstance(like, ParquetSource) else "zstd"
