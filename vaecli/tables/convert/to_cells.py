"""Arrow batches as numbers for the science: the same cell gives the same number in every batch and format."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.errors import MAX_LISTED, UnreadableCell, quoted
from vaecli.schema import Column, Kind, Schema
from vaecli.tables.convert import arrow_types
from vaecli.tables.convert import parse as values
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.convert.number_spellings import DECIMAL_COMMA
from vaecli.tables.source import Batch


def numbers_of(schema: Schema) -> frozenset[str]:
    """The feature columns that a source of delimited text should parse to float64."""
    return frozenset(
        column.name for column in schema.features if column.kind is Kind.NUMERIC and not column.number_spelling
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """One column of a batch. `values` (n,) float64 is NaN where there is none; `novel` and `failed` are
    the rows whose value has no place in the column, and those whose value is not of its kind."""

    values: np.ndarray
    novel: np.ndarray
    failed: np.ndarray


_NO_ROWS = np.empty(0, np.int64)


def to_cells(batch: Batch, schema: Schema) -> Cells:
    """The feature columns of a batch as numbers, in the order of the schema.

    A category never seen becomes the "other" one where the column has it and is NOVEL where it has
    not, as are infinities and numbers other than 0 and 1 in a column of zeros and ones. Raises
    UnreadableCell listing the cells that are not of their column's kind.
    """
    features = schema.features
    n = batch.table.num_rows
    cells = np.empty((n, len(features)))
    novel: list[tuple[int, np.ndarray]] = []
    failed: list[tuple[int, Column]] = []
    for j, column in enumerate(features):
        reading = _read(_array(batch, column), column)
        cells[:, j] = reading.values
        novel.append((j, reading.novel))
        failed += [(int(row), column) for row in reading.failed]
    if failed:
        _refuse(batch, failed)

    state = np.isnan(cells).astype(np.uint8) * np.uint8(MISSING)
    infinite = np.isinf(cells)
    if infinite.any():
        cells[infinite], state[infinite] = np.nan, NOVEL
    for j, rows in novel:
        cells[rows, j], state[rows, j] = np.nan, NOVEL
    return Cells(cells, state, np.arange(batch.first_row, batch.first_row + n))


def time_values(batch: Batch, column: Column) -> np.ndarray:
    """The numbers or moments (seconds since the epoch, UTC) that order the rows, (n,); NaN where missing.

    Raises UnreadableCell listing the cells that are neither.
    """
    reading = _read(_array(batch, column), column)
    if reading.failed.size:
        _refuse(batch, [(int(row), column) for row in reading.failed])
    return reading.values


def readable_times(batch: Batch, column: Column) -> np.ndarray:
    """The same, NaN also where a cell is neither."""
    return _read(_array(batch, column), column).values


# -- one column ---------------------------------------------------------------------------------


def _array(batch: Batch, column: Column) -> pa.Array:
    return arrow_types.one_array(batch.table.column(column.name))


def _read(array: pa.Array, column: Column) -> _Reading:
    if column.kind is Kind.CATEGORICAL:
        return _categories(array, column)
    if column.kind is Kind.BOOLEAN:
        return _booleans(array, column)
    return _quantities(array, column)


def _quantities(array: pa.Array, column: Column) -> _Reading:
    """Numbers, or moments in seconds."""
    group = arrow_types.family(array.type)
    if group is ArrowFamily.EMPTY:
        return _Reading(np.full(len(array), np.nan), _NO_ROWS, _NO_ROWS)
    if group in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY):
        found, failed = _parsed(arrow_types.as_text(array), column)
        return _Reading(found, _NO_ROWS, np.flatnonzero(failed))
    if group in (
        (ArrowFamily.DATETIME,) if column.kind is Kind.DATETIME else (ArrowFamily.NUMBER, ArrowFamily.BOOLEAN)
    ):
        return _Reading(values.numbers(array), _NO_ROWS, _NO_ROWS)
    return _all_failed(array)


def _parsed(text: pa.Array, column: Column) -> tuple[np.ndarray, np.ndarray]:
    if column.kind is Kind.DATETIME:
        return _parsed_dates(text, column.datetime_format)
    return values.parse_numbers(text, decimal_comma=column.number_spelling == DECIMAL_COMMA)


def _parsed_dates(text: pa.Array, pattern: str | None) -> tuple[np.ndarray, np.ndarray]:
    if pattern is None:
        return values.parse_dates(text, pattern)
    # Arrow has no fast reading of these, and days repeat
    encoded = text.dictionary_encode()
    found, failed = values.parse_dates(encoded.dictionary, pattern)
    code = arrow_types.as_numpy(encoded.indices.fill_null(-1))
    return np.append(found, np.nan)[code], np.append(failed, False)[code]


def _all_failed(array: pa.Array) -> _Reading:
    present = np.flatnonzero(arrow_types.as_numpy(array.is_valid()))
    return _Reading(np.full(len(array), np.nan), _NO_ROWS, present)


def _booleans(array: pa.Array, column: Column) -> _Reading:
    group = arrow_types.family(array.type)
    if group is ArrowFamily.EMPTY:
        return _Reading(np.full(len(array), np.nan), _NO_ROWS, _NO_ROWS)
    if group in (ArrowFamily.UNSUPPORTED, ArrowFamily.DATETIME):
        return _all_failed(array)
    if group in (ArrowFamily.BOOLEAN, ArrowFamily.NUMBER):
        found = values.numbers(array)
        failed = ~((found == 0) | (found == 1) | np.isnan(found))
    else:
        found, failed = values.parse_booleans(arrow_types.as_text(array))
    if not failed.any():
        return _Reading(found, _NO_ROWS, _NO_ROWS)
    # a count that was never above 1 while the model learned may well be 2 one day
    surprising = failed & ~np.isnan(found) if _was_numbers(column) else np.zeros_like(failed)
    return _Reading(found, np.flatnonzero(surprising), np.flatnonzero(failed & ~surprising))


def _was_numbers(column: Column) -> bool:
    return not np.isnan([values.parse_one_number(spelling) for spelling in column.categories]).any()


def _categories(array: pa.Array, column: Column) -> _Reading:
    group = arrow_types.family(array.type)
    if group in (ArrowFamily.UNSUPPORTED, ArrowFamily.DATETIME):
        return _all_failed(array)
    text = arrow_types.as_text(array)
    known = pa.array(column.categories, text.type)
    codes = pc.index_in(text, value_set=known)
    found = arrow_types.as_numpy(pc.fill_null(codes, -1)).astype(np.float64)
    unknown = np.flatnonzero(found < 0)
    if not unknown.size:
        return _Reading(found, _NO_ROWS, _NO_ROWS)
    filled = values.filled(text.take(pa.array(unknown)))
    found[unknown] = np.where(filled & column.has_other, len(column.categories), np.nan)
    return _Reading(found, _NO_ROWS if column.has_other else unknown[filled], _NO_ROWS)


# -- cells that cannot be read ------------------------------------------------------------------

_WANTED = {
    Kind.NUMERIC: "a number",
    Kind.DATETIME: "a date",
    Kind.BOOLEAN: "true or false",
    Kind.CATEGORICAL: "text",
}


def _refuse(batch: Batch, failed: list[tuple[int, Column]]) -> None:
    failed = sorted(failed, key=lambda cell: cell[0])
    lines = [f"  {_described(batch, row, column)}" for row, column in failed[:MAX_LISTED]]
    if len(failed) > MAX_LISTED:
        lines.append(f"  … and {len(failed) - MAX_LISTED:,} more")
    count = "a cell does" if len(failed) == 1 else f"{len(failed):,} cells do"
    row, column = failed[0]
    raise UnreadableCell(
        f"{count} not hold what the model was trained on:\n" + "\n".join(lines),
        "repair the cell, or leave it empty if the value is missing",
        path=batch.where(row).rpartition(", ")[0],
        row=batch.first_row + row + 1,
        column=column.name,
    )


def _described(batch: Batch, row: int, column: Column) -> str:
    shown = quoted(batch.table.column(column.name)[row].as_py(), 42)
    wanted = _WANTED[column.kind]
    if column.kind is Kind.DATETIME:
        wanted += f" like {column.datetime_format or 'YYYY-MM-DD'}"
    if column.kind is Kind.BOOLEAN:
        wanted = " or ".join(column.categories)
    return f"{batch.where(row)}: column {quoted(column.name)} wants {wanted}, not {shown}"


# -- labels -------------------------------------------------------------------------------------
