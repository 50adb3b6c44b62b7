"""The seam between files and everything else: a source of Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pyarrow as pa

from vaecli.runtime.parallel import map_in_order, n_cores


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of one input.

    `table` holds the columns that were asked for. What passes through to the output unchanged is
    `lines` for delimited text (the exact bytes of each row, without its line end) and `whole` (every
    column) for typed formats; both are None unless `keep=True` was asked. `first_row` counts from 0 over the
    whole input, all files together. `where(i)` says where row `i` of this batch stands, for messages:
    "pump.csv, line 17" or "pump.parquet, row 17" (both count from 1; the line is that of the file).
    """

    table: pa.Table
    first_row: int
    where: Callable[[int], str]
    lines: pa.LargeBinaryArray | None = None
    whole: pa.Table | None = None

    @property
    def n_rows(self) -> int:
        """Rows in this batch."""
        return self.table.num_rows if self.lines is None else len(self.lines)

    def slices(self, n_rows: int) -> Iterator[Batch]:
        """The same rows in batches of at most `n_rows`."""
        if 0 < self.n_rows <= n_rows:
            yield self
            return
        for start in range(0, self.n_rows, n_rows):
            n = min(n_rows, self.n_rows - start)  # pyarrow believes any length of a table without columns
            yield Batch(
                self.table.slice(start, n),
                self.first_row + start,
                partial(_further, self.where, start),
                None if self.lines is None else self.lines.slice(start, n),
                None if self.whole is None else self.whole.slice(start, n),
            )


Piece = Callable[[], Batch]  # consecutive rows, found but not yet parsed; any thread may call it, once


class Source(Protocol):
    """One table, wherever it is kept. Can be read more than once."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def format(self) -> str:
        """`csv`, `tsv`, `parquet` or `frame`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""

    @property
    def n_rows(self) -> int | None:
        """Number of rows when it is known without reading them."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that nobody overwrites them; empty for a frame."""

    def pieces(
        self,
        columns: Sequence[str] | None = None,
        *,
        numbers: Collection[str] = (),
        keep: bool = False,
        batch_rows: int = 16_384,
        multiple_of: int = 1,
    ) -> Iterator[Piece]:
        """The rows in order, in pieces of a few megabytes that are yet to be parsed.

        What has to happen in order happens here, what may be done side by side in a piece; both raise InputError. A
        piece of typed formats has about `batch_rows` rows, one of delimited text has those of a block of bytes. Where
        it can be, their number is a multiple of `multiple_of`: what is computed in tiles leaves none half empty.
        """

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        numbers: Collection[str] = (),
        keep: bool = False,
        batch_rows: int = 16_384,
    ) -> Iterator[Batch]:
        """Stream the rows in order, in bounded memory.

        Reads `columns` (None: all). Delimited text yields strings, null where a cell is empty or a
        missing-value token, except for the columns named in `numbers`, which are parsed to float64.
        Typed formats yield their own types. Raises InputError with file, line and column.
        """


def parsed(pieces: Iterable[Piece], batch_rows: int) -> Iterator[Batch]:
    """The pieces in order, parsed side by side, in batches of at most `batch_rows`."""
    for whole in map_in_order(_call, pieces, n_cores()):
        yield from whole.slices(batch_rows)


def _call(piece: Piece) -> Batch:
    return piece()


def whole(n_rows: int, multiple_of: int) -> int:
    """The number rounded up to a multiple."""
    return -(-n_rows // multiple_of) * multiple_of


def ready(batch: Batch) -> Piece:
    """A piece that needs no more work."""
    return partial(_itself, batch)


def _itself(batch: Batch) -> Batch:
    return batch


def _further(where: Callable[[int], str], start: int, i: int) -> str:
    return where(start + i)
