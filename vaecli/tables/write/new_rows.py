"""Rows that the model made, as a table: every column in the type or spelling that it had in training.

Delimited text has spellings: yes and no, dates in the column's format, codes with their leading zeros. Typed tables
have types: those of the training table, where it was a typed one. Where it was delimited text: int64 for whole numbers,
booleans where they were spelled true and false, dates and timestamps (UTC).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from vaecli.data.cells import Cells
from vaecli.schema import Column, Kind
from vaecli.tables.convert.arrow_types import arrow_type_from_text
from vaecli.tables.convert.parse import parse_one_number
from vaecli.tables.write.replace_cells import as_type, is_of_days, texts

__all__ = ["new_schema", "new_table"]

_WHOLE_FLOATS = 2.0**53
_MOST_TICKS = 2.0**63


def new_schema(columns: Sequence[Column], *, as_text: bool) -> pa.Schema:
    """Names and types of a table with these columns; `as_text` where it becomes delimited text."""
    return pa.schema([(column.name, _text_kind(column) if as_text else _kind(column)) for column in columns])


def new_table(cells: Cells, columns: Sequence[Column], schema: pa.Schema) -> pa.Table:
    """The cells of `columns` with the types of `schema`, which `new_schema` gave."""
    arrays = [_array(cells.values[:, j], column, schema.field(j).type) for j, column in enumerate(columns)]
    return pa.table(arrays, schema=schema)


def _text_kind(column: Column) -> pa.DataType:
    """Text where a number would lose its spelling; Arrow writes text in quotes."""
    match column.kind:
        case Kind.NUMERIC:
            return pa.string() if column.width else _number_kind(column)
        case Kind.DATETIME:
            return pa.string()
        case _:
            return pa.int64() if all(map(_is_whole, column.categories)) else pa.string()


def _kind(column: Column) -> pa.DataType:
    """The type that the column had, or without one, what its spellings are those of."""
    if (kind := arrow_type_from_text(column.arrow_type)) is not None and _can_hold(kind, column):
        return kind
    match column.kind:
        case Kind.NUMERIC:
            return pa.string() if column.width else _number_kind(column)
        case Kind.DATETIME:
            if is_of_days(column):
                return pa.date32()
            furthest = max(abs(column.minimum or 0.0), abs(column.maximum or 0.0))
            zone = "UTC" if column.zone == "Z" else column.zone or None
            return pa.timestamp("us" if furthest * 1e6 < _MOST_TICKS else "s", tz=zone)
        case Kind.BOOLEAN if [one.lower() for one in column.categories] == ["false", "true"]:
            return pa.bool_()
        case Kind.BOOLEAN if not np.isnan([parse_one_number(one) for one in column.categories]).any():
            return pa.int64() if all(map(_is_whole, column.categories)) else pa.float64()
        case _:
            # with rarer values that are not known, one of which may be a word
            is_whole = all(map(_is_whole, column.categories)) and not column.has_other
            return pa.int64() if is_whole else pa.string()


def _can_hold(kind: pa.DataType, column: Column) -> bool:
    """Whether cells of the column can be of this type; what stands in a bundle may be anything."""
    try:
        _array(np.zeros(1), column, kind)
    except MemoryError:
        raise
    except (pa.ArrowException, IndexError):
        return False
    return True


def _number_kind(column: Column) -> pa.DataType:
    """int64 where floats tell all whole numbers of the column apart."""
    furthest = max(abs(column.minimum or 0.0), abs(column.maximum or 0.0))
    return pa.int64() if column.whole and furthest < _WHOLE_FLOATS else pa.float64()


def _is_whole(spelling: str) -> bool:
    """Whether a whole number is written just so."""
    digits = spelling.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and len(digits) < 19 and str(int(spelling)) == spelling


def _array(values: np.ndarray, column: Column, kind: pa.DataType) -> pa.Array:
    """Values (n,), as in `Cells`, as an array of this type; NaN as null."""
    missing = np.isnan(values)
    if column.kind is Kind.CATEGORICAL:
        return _categories(np.where(missing, 0, values).astype(np.int32), missing, column, kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        different, place = np.unique(values[~missing], return_inverse=True)  # values repeat, and writing them is slow
        index = np.zeros(values.size, np.int64)
        index[~missing] = place
        return pa.array(texts(column, different), kind).take(pa.array(index, mask=missing))
    index = np.cumsum(~missing) - 1
    found = as_type(column, kind, values[~missing])
    return found.take(pa.array(index, mask=missing)) if missing.any() else found


def _categories(code: np.ndarray, missing: np.ndarray, column: Column, kind: pa.DataType) -> pa.Array:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    spellings = pa.array(column.categories, pa.string()).cast(values)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.array(code, mask=missing).cast(kind.index_type), spellings)
    return spellings.take(pa.array(code, mask=missing))
