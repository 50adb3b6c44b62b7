"""Writes the user's rows with added columns after theirs, as Parquet."""

from __future__ import annotations

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
_GROUP_BYTES = 32 * 2**20
_SECTION_ROWS = 2**13
_SECTION_BYTES = 64 * 2**20
_STEP_ROWS = 128
_CHUNKS = 2**16  # of all columns together: each takes a kilobyte, whatever it holds
# Measured on 5 million rows of 30 floats: with pyarrow's 1 MB, columns without repetition get a dictionary that
# saves nothing, and writing takes five times as long.
_DICTIONARY_BYTES = 128 * 2**10


@dataclass(slots=True)
class ParquetRows:
    """Writes Parquet in row groups that depend on the rows alone, not on how they came in batches.

    A group consists of sections, as many as make a million rows or 32 MB, whichever is reached first. A section has
    8,192 rows; where these take more than 64 MB, it ends with the 128 rows that reach them.
    """

    rows: TypedRows
    writer: pq.ParquetWriter
    pending: list[pa.Table] = field(default_factory=list)  # fewer rows than a section
    pending_bytes: int = 0
    sections: list[pa.Table] = field(default_factory=list)

    def render(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> Rendered:
        return self.rows.table(batch, added, keep)

    def append(self, rendered: Rendered) -> None:
        self.pending.append(rendered)
        self.pending_bytes += rendered.nbytes  # measuring many columns is slow, and most rows do not fill a section
        if len(self.pending) * rendered.num_columns > _CHUNKS:
            self.pending = [pa.concat_tables(self.pending).combine_chunks()]
        if sum(len(part) for part in self.pending) < _SECTION_ROWS and self.pending_bytes <= _SECTION_BYTES:
            return
        table = pa.concat_tables(self.pending)
        self.pending.clear()
        while n_rows := _rows_of_section(table):
            self._add_section(table.slice(0, n_rows))
            table = table.slice(n_rows)
        self.pending, self.pending_bytes = ([table], table.nbytes) if table.num_rows else ([], 0)

    def close(self) -> None:
        if self.pending:
            self._add_section(pa.concat_tables(self.pending))
        if self.sections:
            self._write_group()
        self.writer.close()

    def abandon(self) -> None:
        self.pending.clear()
        self.sections.clear()
        self.writer.is_open = False  # otherwise its garbage collection writes a footer

    def _add_section(self, section: pa.Table) -> None:
        # in one chunk: pages end where chunks do, and the bytes of a table depend on its chunks
        self.sections.append(section.combine_chunks())
        n_bytes = sum(section.nbytes for section in self.sections)
        n_rows = sum(section.num_rows for section in self.sections)
        if n_rows >= _GROUP_ROWS or n_bytes >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        group = as_schema(pa.concat_tables(self.sections), self.rows.schema)
        self.writer.write_table(group, row_group_size=_GROUP_ROWS)
        self.sections.clear()


def _rows_of_section(table: pa.Table) -> int:
    """How many rows the first section of `table` has; 0 where it is not complete."""
    head = table.slice(0, _SECTION_ROWS)
    if head.nbytes > _SECTION_BYTES:
        after = np.cumsum(row_bytes(head))[_STEP_ROWS - 1 :: _STEP_ROWS]
        steps = np.flatnonzero(after >= _SECTION_BYTES)
        if steps.size:
            return int(steps[0] + 1) * _STEP_ROWS
    return _SECTION_ROWS if head.num_rows == _SECTION_ROWS else 0


def parquet_rows(stream: BinaryIO, rows: TypedRows, compression: str) -> ParquetRows:
    """Begin a Parquet file on `stream`, its column chunks compressed with the codec `compression`.

    Raises InputError listing the columns whose type cannot be written.
    """
    unsuitable = [f"{column.name} ({column.type})" for column in rows.schema if not _can_be_stored(column.type)]
    if unsuitable:
        raise InputError(
            f"these columns cannot be written as Parquet:\n{listed(unsuitable)}",
            "write CSV: -o NAME.csv, or cast them, an interval to seconds",
        )
    writer = pq.ParquetWriter(stream, rows.schema, compression=compression, dictionary_pagesize_limit=_DICTIONARY_BYTES)
    return ParquetRows(rows, writer)


def _can_be_stored(kind: pa.DataType) -> bool:
    return not (pa.types.is_interval(kind) or pa.types.is_run_end_encoded(kind) or pa.types.is_union(kind))


def compression_like(like: Source) -> str:
    """Snappy, which most writers use, for a Parquet input, zstd for any other.

    The reader library does not check the codec in a footer before it is asked for: a damaged one ends the process.
    """
    return "snappy" if isinstance(like, ParquetSource) else "zstd"
