"""The seam between files and everything else: a source of Arrow batches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from operator import call
from typing import Protocol

import pyarrow as pa

from vaecli.runtime.parallel import map_in_order, n_cores


@dataclass(frozen=True, slots=True)
class Batch:
    """n consecutive rows of one input.

    `table` holds the requested columns. What passes through to the output unchanged is `lines` (n,) for delimited
    text (the exact bytes of each row, without its line end) and `whole` (every column) for typed formats; both are
    None unless the request has `keep=True`. `first_row` counts from 0 over the whole input, all files together.
    `where(i)` names row `i` of this batch for messages: "pump.csv, line 17" or "pump.parquet, row 17" (both count
    from 1; the line is that of the file).
    """

    table: pa.Table
    first_row: int
    where: Callable[[int], str]
    lines: pa.LargeBinaryArray | None = None
    whole: pa.Table | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows of this batch."""
        return self.table.num_rows if self.lines is None else len(self.lines)

    @classmethod
    def concatenate(cls, parts: Sequence[Batch]) -> Batch:
        """The rows of all parts, which follow each other, in order."""
        first_rows, places = [part.first_row for part in parts], [part.where for part in parts]

        def where(i: int) -> str:
            nth = bisect_right(first_rows, first_rows[0] + i) - 1
            return places[nth](first_rows[0] + i - first_rows[nth])

        lines = [part.lines for part in parts if part.lines is not None]
        whole = [part.whole for part in parts if part.whole is not None]
        return cls(
            pa.concat_tables([part.table for part in parts]),
            first_rows[0],
            where,
            pa.concat_arrays(lines) if lines else None,
            pa.concat_tables(whole) if whole else None,
        )

    def slices(self, n_rows: int) -> Iterator[Batch]:
        """The same rows in order, in batches of at most `n_rows`, without a copy."""
        if 0 < self.n_rows <= n_rows:
            yield self
            return
        for start in range(0, self.n_rows, n_rows):
            yield self.part(start, min(n_rows, self.n_rows - start))

    def part(self, start: int, n_rows: int) -> Batch:
        """The `n_rows` rows from row `start` on, without a copy; the batch has as many."""
        return Batch(  # pyarrow accepts any length for a slice of a table without columns
            self.table.slice(start, n_rows),
            self.first_row + start,
            partial(_where_in_slice, self.where, start),
            None if self.lines is None else self.lines.slice(start, n_rows),
            None if self.whole is None else self.whole.slice(start, n_rows),
        )


Piece = Callable[[], Batch]  # consecutive rows, found but not yet parsed; any thread may call it, once


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read of a source.

    `columns` are the names of the columns of `Batch.table`, in this order; None means all. Delimited text yields
    strings, null where a cell is empty or a missing-value token, except for the columns named in `numbers`, which
    are parsed to float64; typed formats keep their own types. With `missing_words` tokens are kept in delimited text as
    in typed formats, and only empty cells are null. With `keep` a batch also holds what passes through to the output. A
    batch has at most `batch_rows` rows, rounded up to a multiple of `multiple_of`: what is computed in tiles of so many
    rows then leaves no tile half empty.
    """

    columns: Sequence[str] | None = None
    _: KW_ONLY
    numbers: Collection[str] = ()
    keep: bool = False
    missing_words: bool = False
    batch_rows: int = 16_384
    multiple_of: int = 1

    @property
    def aligned_rows(self) -> int:
        """`batch_rows` rounded up to a multiple of `multiple_of`."""
        return round_up(self.batch_rows, self.multiple_of)


ALL_COLUMNS = ReadRequest()


class Source(Protocol):
    """One table, wherever it is stored. It can be read more than once."""

    @property
    def name(self) -> str:
        """The name of the table in messages."""

    @property
    def format(self) -> str:
        """`csv`, `tsv`, `parquet` or `frame`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""

    @property
    def n_rows(self) -> int | None:
        """Number of rows, None when it is not known before they are read."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that no output overwrites them; empty for a table in memory."""

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Yield the rows in order, in pieces of a few megabytes that are not yet parsed.

        The iterator does what must happen in order; calling a piece does what several threads may do at once. Both
        raise InputError. A piece of a typed format has at most `request.aligned_rows` rows. A piece of delimited text
        has the rows of a block of bytes, whatever `request.batch_rows` is: a multiple of `request.multiple_of` where
        that many rows fit into a block.
        """

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Stream the rows in order, in bounded memory. Raises InputError naming file, line and column."""


def types_of(source: Source) -> pa.Schema | None:
    """Names and types of the columns of a typed format; None for delimited text and for rows of a long table."""
    return getattr(source, "schema", None)


def parse_in_parallel(pieces: Iterable[Piece], batch_rows: int) -> Iterator[Batch]:
    """Parse the pieces in one thread per core and yield their rows in order, in batches of at most `batch_rows`."""
    for batch in map_in_order(call, pieces, n_cores()):
        yield from batch.slices(batch_rows)


def round_up(n_rows: int, multiple_of: int) -> int:
    """The smallest multiple of `multiple_of` that is at least `n_rows`."""
    return -(-n_rows // multiple_of) * multiple_of


def parsed_piece(batch: Batch) -> Piece:
    """A piece whose rows are parsed already."""
    return lambda: batch


def _where_in_slice(where: Callable[[int], str], start: int, i: int) -> str:
    return where(start + i)
