"""Rows that the model made, as a table: every column in the type or spelling that it had in training.

Delimited text has spellings: yes and no, dates in the column's format. Typed tables have types: int64 for whole
numbers, booleans where they were spelled true and false, dates and timestamps (UTC, without a zone).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from vaecli.cells import Cells
from vaecli.schema import Column, Kind
from vaecli.tables.rewritten import is_of_days, moments

__all__ = ["made_schema", "made_table"]

_WHOLE_FLOATS = 2.0**53
_DAY = 86_400
_MOST_TICKS = 2.0**63


def made_schema(columns: Sequence[Column], *, as_text: bool) -> pa.Schema:
    """Names and types of a table with these columns; `as_text` where it becomes delimited text."""
    return pa.schema([(column.name, _kind(column, as_text)) for column in columns])


def made_table(cells: Cells, columns: Sequence[Column], schema: pa.Schema) -> pa.Table:
    """The cells of `columns` with the types of `schema`, which `made_schema` gave."""
    arrays = [_array(cells.values[:, j], column, schema.field(j).type) for j, column in enumerate(columns)]
    return pa.table(arrays, schema=schema)


def _kind(column: Column, as_text: bool) -> pa.DataType:
    match column.kind:
        case Kind.NUMERIC:
            return pa.int64() if column.whole and _fits(column) else pa.float64()
        case Kind.DATETIME if as_text:
            return pa.string()
        case Kind.DATETIME:
            if is_of_days(column):
                return pa.date32()
            furthest = max(abs(column.minimum or 0.0), abs(column.maximum or 0.0))
            return pa.timestamp("us" if furthest * 1e6 < _MOST_TICKS else "s")
        case Kind.BOOLEAN if not as_text and [one.lower() for one in column.categories] == ["false", "true"]:
            return pa.bool_()
        case _:
            return pa.int64() if all(map(_is_whole, column.categories)) else pa.string()


def _fits(column: Column) -> bool:
    """Whether floats tell all whole numbers of the column apart."""
    return max(abs(column.minimum or 0.0), abs(column.maximum or 0.0)) < _WHOLE_FLOATS


def _is_whole(spelling: str) -> bool:
    """Whether a whole number is written just so."""
    digits = spelling.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and len(digits) < 19 and str(int(spelling)) == spelling


def _array(values: np.ndarray, column: Column, kind: pa.DataType) -> pa.Array:
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    if column.kind is Kind.NUMERIC:
        return pa.array(np.round(known).astype(np.int64) if pa.types.is_integer(kind) else known, kind, mask=missing)
    if column.kind is Kind.DATETIME:
        return _dates(values, missing, column, kind)
    code = pa.array(known.astype(np.int32), mask=missing)
    if pa.types.is_boolean(kind):
        return pa.array(known > 0.5, kind, mask=missing)
    spellings = [int(one) for one in column.categories] if pa.types.is_integer(kind) else list(column.categories)
    return pa.array(spellings, kind).take(code)


def _dates(values: np.ndarray, missing: np.ndarray, column: Column, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        moment, place = np.unique(values[~missing], return_inverse=True)  # days repeat, and writing them is slow
        index = np.zeros(values.size, np.int64)
        index[~missing] = place
        return pa.array(moments(column, moment), kind).take(pa.array(index, mask=missing))
    known = np.where(missing, 0.0, values)
    if pa.types.is_date32(kind):
        return pa.array(np.round(known / _DAY).astype(np.int32), mask=missing).cast(kind)
    ticks = known * 1e6 if kind.unit == "us" else known
    return pa.array(np.round(ticks).astype(np.int64), mask=missing).cast(kind)
