"""Arrow batches as numbers for the science: the same cell gives the same number in every batch and format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.errors import MAX_LISTED, InputError, UnreadableCell, quoted
from vaecli.schema import Column, Kind, Schema
from vaecli.tables.convert import arrow_types
from vaecli.tables.convert.dates import zones
from vaecli.tables.convert.declared_missing import words_among
from vaecli.tables.convert.kinds import TABLE_KINDS, ColumnTypes, NumberType, are_plain_numbers, delimited_type, read
from vaecli.tables.source import Batch


def numbers_of(schema: Schema) -> frozenset[str]:
    """The feature columns that a source of delimited text should parse to float64."""
    return frozenset(
        column.name
        for column in schema.features
        if TABLE_KINDS[column.kind].is_float and not column.number_spelling and not words_among(column.missing)
    )


def exact_types(schema: Schema) -> ColumnTypes:
    """The types in which columns of numbers of delimited text become typed ones: by name, others stay text.

    float64, but int64 where training had whole numbers beyond 2^53; text where zeros stand before a number. Their
    words that mean "missing" become null, as empty cells do, and numbers in another spelling than 1234.5 those that the
    model reads.
    """
    return {
        column.name: NumberType(delimited_type(column), words_among(column.missing), column.number_spelling)
        for column in schema.features
        if TABLE_KINDS[column.kind].is_float and not column.width
    }


def to_cells(batch: Batch, schema: Schema, by: str | None = None) -> Cells:
    """The feature columns of a batch as numbers and strings, in the order of the schema; `by` is a column of groups.

    A category never seen becomes the "other" one where the column has it and is NOVEL where it has
    not, as are infinities and numbers other than 0 and 1 in a column of zeros and ones. Raises
    UnreadableCell listing the cells that are not of their column's kind.
    """
    features = schema.features
    n = batch.table.num_rows
    plain = _plain_cells(batch, features)
    cells = np.empty((n, len(features))) if plain is None else plain
    novel: list[tuple[int, np.ndarray]] = []
    failed: list[tuple[int, Column]] = []
    texts: list[np.ndarray] = []
    for j, column in enumerate(features if plain is None else ()):
        array = _array(batch, column)
        if are_plain_numbers(array.type, column):  # many columns: one row should not cost a Reading for each
            cells[:, j] = arrow_types.as_numpy(array)
            continue
        reading = read(array, column)
        cells[:, j] = reading.values
        novel.append((j, reading.novel))
        failed += [(int(row), column) for row in reading.failed]
        if column.kind is Kind.TEXT:
            texts.append(np.full(n, None) if reading.texts is None else reading.texts)
    if failed:
        _refuse(batch, failed)

    state = np.isnan(cells).astype(np.uint8) * np.uint8(MISSING)
    infinite = np.isinf(cells)
    if infinite.any():
        cells[infinite], state[infinite] = np.nan, NOVEL
    for j, rows in novel:
        cells[rows, j], state[rows, j] = np.nan, NOVEL
    rows = np.arange(batch.first_row, batch.first_row + n)
    group = None if by is None else group_texts(batch, by)
    return Cells(cells, state, rows, group, np.stack(texts, axis=1) if texts else None)


def _plain_cells(batch: Batch, features: Sequence[Column]) -> np.ndarray | None:
    """The cells (n, c) of a table whose features are plain numbers, as most are: copied at once; None for others."""
    names = [column.name for column in features]
    table = batch.table if batch.table.schema.names == names else batch.table.select(names)
    if not names or not all(map(are_plain_numbers, table.schema.types, features)):
        return None
    pieces = table.to_batches()
    if len(pieces) != 1:
        return None
    cells: np.ndarray = pieces[0].to_tensor(null_to_nan=True).to_numpy()
    return cells


def group_texts(batch: Batch, name: str) -> np.ndarray:
    """The cells (n,) of a column as text, which name the groups of rows; None where they are empty.

    Raises InputError for a column of lists or the like.
    """
    array = arrow_types.one_array(batch.table.column(name))
    if arrow_types.family(array.type) is arrow_types.ArrowFamily.UNSUPPORTED:
        raise InputError(
            f"column {quoted(name)} holds {array.type}, which cannot name groups of rows",
            "name a column of texts or numbers",
            column=name,
        )
    text = arrow_types.as_text(array).cast(pa.large_string())
    return np.array(arrow_types.as_code(text).to_pylist(), object)


def time_values(batch: Batch, column: Column) -> np.ndarray:
    """The numbers or moments (seconds since the epoch, UTC) that order the rows, (n,); NaN where missing.

    Raises UnreadableCell listing the cells that are neither.
    """
    reading = read(_array(batch, column), column)
    if reading.failed.size:
        _refuse(batch, [(int(row), column) for row in reading.failed])
    return reading.values


def readable_times(batch: Batch, column: Column) -> np.ndarray:
    """The numbers or moments of `time_values`, (n,), but NaN where a cell is neither."""
    return read(_array(batch, column), column).values


def clock_zones(batch: Batch, column: Column) -> set[str]:
    """The zones in which the moments of the batch are written, "" for moments without one; none of other clocks."""
    array = _array(batch, column)
    kind = arrow_types.family(array.type)
    if not column.is_date or array.null_count == len(array):
        return set()
    if pa.types.is_timestamp(array.type):
        return {str(array.type.tz or "")}
    if kind not in (arrow_types.ArrowFamily.TEXT, arrow_types.ArrowFamily.DICTIONARY):
        return set()
    text = arrow_types.as_text(array).drop_null()
    return zones(text.filter(pc.not_equal(pc.utf8_trim_whitespace(text), "")))


def _array(batch: Batch, column: Column) -> pa.Array:
    return arrow_types.one_array(batch.table.column(column.name))


# -- cells that cannot be read ------------------------------------------------------------------


def _refuse(batch: Batch, failed: list[tuple[int, Column]]) -> None:
    failed = sorted(failed, key=lambda cell: cell[0])
    lines = [f"  {_described(batch, row, column)}" for row, column in failed[:MAX_LISTED]]
    if len(failed) > MAX_LISTED:
        lines.append(f"  … and {len(failed) - MAX_LISTED:,} more")
    count = "a cell does" if len(failed) == 1 else f"{len(failed):,} cells do"
    row, column = failed[0]
    raise UnreadableCell(
        f"{count} not hold what the model was trained on:\n" + "\n".join(lines),
        "repair the cell, or leave it empty if the value is missing; `fit --missing` takes words that mean so",
        path=batch.where(row).rpartition(", ")[0],
        row=batch.first_row + row + 1,
        column=column.name,
    )


def _described(batch: Batch, row: int, column: Column) -> str:
    shown = quoted(batch.table.column(column.name)[row].as_py(), 42)
    return (
        f"{batch.where(row)}: column {quoted(column.name)} wants {TABLE_KINDS[column.kind].wants(column)}, not {shown}"
    )
