"""Collects evidence about every column in one pass over a source, in blocks of a fixed number of rows.

The blocks do not depend on how the source cuts its batches, so the evidence does not either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa

from vaecli.errors import InputError, quoted
from vaecli.results import Event, OnEvent
from vaecli.tables.convert.arrow_types import ArrowFamily, family, one_array
from vaecli.tables.convert.declared_missing import without
from vaecli.tables.infer.evidence import Capacity, Evidence, evidence_for
from vaecli.tables.row_bytes import row_bytes
from vaecli.tables.source import Batch, ReadRequest, Source

_BLOCK_CELLS = 2**22
_PLAIN_BYTES = 64  # of a cell: what is longer than that on average over a row counts as long
_LONG_BYTES = 16 * 2**20  # of long rows in one block, beyond what plain ones have


@dataclass(frozen=True, slots=True)
class BatchSlice:
    """Rows `start` to `start + n_rows` of a batch."""

    batch: Batch
    start: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Consecutive rows of a table, put together from parts of one batch or of several."""

    table: pa.Table
    first_row: int
    slices: tuple[BatchSlice, ...]

    @classmethod
    def of(cls, slices: Sequence[BatchSlice]) -> RowBlock:
        """All rows of `slices`, in order, as one block."""
        tables = [part.batch.table.slice(part.start, part.n_rows) for part in slices]
        return cls(pa.concat_tables(tables), slices[0].batch.first_row + slices[0].start, tuple(slices))

    def where(self, row: int) -> str:
        """The place of row `row` of this block in messages; see `Batch.where`."""
        ends = accumulate(part.n_rows for part in self.slices)
        part, end = next((part, end) for part, end in zip(self.slices, ends, strict=True) if row < end)
        return part.batch.where(part.start + row - (end - part.n_rows))


def read_evidence(
    source: Source, columns: Sequence[str], on_event: OnEvent, missing: Mapping[str, tuple[str, ...]], spelling: str
) -> tuple[dict[str, Evidence], int]:
    """The evidence about each of `columns`, by name, and the number of rows.

    `missing` holds the words of each column that mean "missing", `spelling` how numbers are spelled as text (empty: as
    the cells suggest). Sends an event per block. Raises InputError for a table that cannot be read, and for a column
    whose type changes from one file to the next.
    """
    capacity = Capacity.for_columns(len(columns))
    evidence: dict[str, Evidence] = {}
    n_rows = 0
    for block in blocks(source, columns):
        for name in columns:
            array = one_array(block.table.column(name))
            evidence[name] = _suitable(evidence.get(name), array.type, capacity, block, name, spelling)
            evidence[name].add(without(array, missing[name]), block.first_row, block.where)
        n_rows += block.table.num_rows
        on_event(Event("reading", n_rows, source.n_rows))
    return evidence, n_rows


def blocks(source: Source, columns: Sequence[str]) -> Iterator[RowBlock]:
    """Cut a table into blocks of as many rows as its number of columns and the length of its cells allow.

    The last may be shorter. Rows of files whose types differ are never in one block.
    """
    n_block = min(max(_BLOCK_CELLS // len(columns), 1024), 32_768)
    slices: list[BatchSlice] = []
    n_collected, long_bytes = 0, 0.0
    for batch in source.batches(ReadRequest(columns, missing_words=True, batch_rows=n_block)):
        if slices and not batch.table.schema.equals(slices[-1].batch.table.schema):
            yield RowBlock.of(slices)  # another file, with other types
            slices, n_collected, long_bytes = [], 0, 0.0
        beyond = _long_bytes(batch.table)
        start = 0
        while start < batch.table.num_rows:
            after = long_bytes + np.cumsum(beyond[start:])
            n_rows_of_slice = min(after.size, n_block - n_collected, 1 + int(np.searchsorted(after, _LONG_BYTES)))
            slices.append(BatchSlice(batch, start, n_rows_of_slice))
            start, n_collected = start + n_rows_of_slice, n_collected + n_rows_of_slice
            long_bytes = float(after[n_rows_of_slice - 1])
            if n_collected == n_block or long_bytes >= _LONG_BYTES:
                yield RowBlock.of(slices)
                slices, n_collected, long_bytes = [], 0, 0.0
    if slices:
        yield RowBlock.of(slices)


def _long_bytes(table: pa.Table) -> np.ndarray:
    """By how many bytes each row (n,) is longer than a plain one, as text."""
    return np.maximum(row_bytes(table, as_text=True) - _PLAIN_BYTES * table.num_columns, 0.0)


_LIKE_TEXT = {ArrowFamily.TEXT, ArrowFamily.DICTIONARY}


def _suitable(
    before: Evidence | None, kind: pa.DataType, capacity: Capacity, block: RowBlock, name: str, spelling: str
) -> Evidence:
    """The evidence that the next rows, of this type, are added to."""
    if before is None:
        return evidence_for(kind, capacity, spelling)
    group = family(kind)
    if group is before.family or group is ArrowFamily.EMPTY or {group, before.family} <= _LIKE_TEXT:
        return before
    if before.family is ArrowFamily.EMPTY:
        fresh = evidence_for(kind, capacity, spelling)
        fresh.n_missing = before.n_missing
        return fresh
    raise InputError(
        f"{block.where(0)}: column {quoted(name)} changes from {before.family} to {kind}",
        "write every file with the same column types, or leave the column out with --exclude",
    )
