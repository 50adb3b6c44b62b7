"""Rows that hold nothing but delimiters, as spreadsheets and loggers leave them: `,,,,`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vaecli.data.cells import MISSING, Cells
from vaecli.tables.convert.arrow_types import ArrowFamily, as_numpy, as_text, family, one_array
from vaecli.tables.convert.parse import filled
from vaecli.tables.source import Batch

_MARKS = b' \t\r,;|"'  # what may stand between cells


@dataclass(frozen=True, slots=True)
class BlankRows:
    """How many rows are empty, and where the first of them is, for messages."""

    n: int = 0
    first: str = ""

    def __add__(self, later: BlankRows) -> BlankRows:
        """The empty rows of these and the `later` rows."""
        return BlankRows(self.n + later.n, self.first or later.first)

    @property
    def described(self) -> str:
        """`3 rows are empty (the first: pump.csv, line 42)`."""
        rows, first = ("1 row is", "") if self.n == 1 else (f"{self.n:,} rows are", "the first: ")
        return f"{rows} empty ({first}{self.first})"

    @property
    def noted(self) -> tuple[str, ...]:
        """The note of a scoring run, if there is anything to note."""
        return (f"{self.described}: every cell is missing",) if self.n else ()


def blank_rows(batch: Batch, cells: Cells) -> BlankRows:
    """The rows of `cells`, all or some of `batch`, that have no value in any column.

    These are all columns of the file where rows pass through (see `Batch`), else those that are read.
    """
    without_features = cells.row[(cells.state == MISSING).all(1)] - batch.first_row
    rows = without_features[_are_blank(batch, without_features)] if without_features.size else without_features
    return BlankRows(rows.size, batch.where(int(rows[0]))) if rows.size else BlankRows()


def _are_blank(batch: Batch, rows: np.ndarray) -> np.ndarray:
    if batch.lines is not None:
        return np.array([not line.strip(_MARKS) for line in batch.lines.take(pa.array(rows)).to_pylist()])
    table = (batch.table if batch.whole is None else batch.whole).take(pa.array(rows))
    blank = np.ones(rows.size, bool)
    for column in map(one_array, table.columns):
        if family(column.type) in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY):
            blank &= ~filled(as_text(column))
        else:
            blank &= as_numpy(column.is_null(nan_is_null=pa.types.is_floating(column.type)))
    return blank
