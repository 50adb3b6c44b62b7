"""One pass over a source: what every column holds, learned in blocks of a fixed number of rows.

The blocks do not depend on how the source cuts its batches, so neither does what is learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa

from vaecli.errors import InputError
from vaecli.results import Event, OnEvent
from vaecli.tables.convert.arrow_types import ArrowFamily, family, one_array
from vaecli.tables.infer.evidence import Capacity, Evidence, evidence_for
from vaecli.tables.source import Batch, ReadRequest, Source

_BLOCK_CELLS = 2**22


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows `start` to `start + n_rows` of a batch."""

    batch: Batch
    start: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, cut from one batch or several."""

    table: pa.Table
    first_row: int
    pieces: tuple[Stretch, ...]

    @classmethod
    def of(cls, pieces: Sequence[Stretch]) -> Block:
        """One block of all pieces, in order."""
        tables = [piece.batch.table.slice(piece.start, piece.n_rows) for piece in pieces]
        return cls(pa.concat_tables(tables), pieces[0].batch.first_row + pieces[0].start, tuple(pieces))

    def where(self, row: int) -> str:
        """Where row `row` of this block stands."""
        ends = accumulate(piece.n_rows for piece in self.pieces)
        piece, end = next((piece, end) for piece, end in zip(self.pieces, ends, strict=True) if row < end)
        return piece.batch.where(piece.start + row - (end - piece.n_rows))


def read_evidence(source: Source, columns: Sequence[str], on_event: OnEvent) -> tuple[dict[str, Evidence], int]:
    """What each of `columns` holds, and the number of rows. Raises InputError."""
    capacity = Capacity.for_columns(len(columns))
    evidence: dict[str, Evidence] = {}
    n_rows = 0
    for block in blocks(source, columns):
        for name in columns:
            array = one_array(block.table.column(name))
            evidence[name] = _matching(evidence.get(name), array.type, capacity, block, name)
            evidence[name].add(array, block.first_row, block.where)
        n_rows += block.table.num_rows
        on_event(Event("reading", n_rows, source.n_rows))
    return evidence, n_rows


def blocks(source: Source, columns: Sequence[str]) -> Iterator[Block]:
    """Blocks of a number of rows that depends on the number of columns alone; the last may be shorter.

    Files whose types differ are not joined.
    """
    n_block = min(max(_BLOCK_CELLS // len(columns), 1024), 32_768)
    pieces: list[Stretch] = []
    n_held = 0
    for batch in source.batches(ReadRequest(columns, batch_rows=n_block)):
        if pieces and not batch.table.schema.equals(pieces[-1].batch.table.schema):
            yield Block.of(pieces)  # another file, with other types
            pieces, n_held = [], 0
        start = 0
        while start < batch.table.num_rows:
            n_taken = min(batch.table.num_rows - start, n_block - n_held)
            pieces.append(Stretch(batch, start, n_taken))
            start, n_held = start + n_taken, n_held + n_taken
            if n_held == n_block:
                yield Block.of(pieces)
                pieces, n_held = [], 0
    if pieces:
        yield Block.of(pieces)


_LIKE_TEXT = {ArrowFamily.TEXT, ArrowFamily.DICTIONARY}


def _matching(known: Evidence | None, kind: pa.DataType, capacity: Capacity, block: Block, name: str) -> Evidence:
    """The evidence to go on with, now that the next rows have this type."""
    if known is None:
        return evidence_for(kind, capacity)
    now = family(kind)
    if now is known.family or now is ArrowFamily.EMPTY or {now, known.family} <= _LIKE_TEXT:
        return known
    if known.family is ArrowFamily.EMPTY:
        fresh = evidence_for(kind, capacity)
        fresh.n_missing = known.n_missing
        return fresh
    raise InputError(
        f"{block.where(0)}: column {name!r} changes from {known.family} to {kind}",
        "write every file with the same column types, or leave the column out with --exclude",
    )
