"""The seam between files and everything else: a source of Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


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
