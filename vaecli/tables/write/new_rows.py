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
from vaecli.tables.convert.arrow_casts import cast
from vaecli.tables.convert.arrow_types import arrow_type_from_text
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tables.write.replace_cells import as_type

__all__ = ["new_schema", "new_table"]


def new_schema(columns: Sequence[Column], *, as_text: bool) -> pa.Schema:
    """Names and types of a table with these columns; `as_text` where it becomes delimited text."""
    return pa.schema([(column.name, _kind(column, as_text=as_text)) for column in columns])


def new_table(cells: Cells, columns: Sequence[Column], schema: pa.Schema) -> pa.Table:
    """The cells of `columns` with the types of `schema`, which `new_schema` gave."""
    arrays, n_texts = [], 0
    for j, column in enumerate(columns):
        kind = schema.field(j).type
        if column.kind is Kind.TEXT and cells.texts is not None:
            arrays.append(_strings(cells.texts[:, n_texts], kind))
            n_texts += 1
        else:
            arrays.append(_array(cells.values[:, j], column, kind))
    return pa.table(arrays, schema=schema)


def _strings(texts: np.ndarray, kind: pa.DataType) -> pa.Array:
    words = pa.array([None if text is None else text.decode("utf-8", "replace") for text in texts], pa.large_string())
    return words.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else cast(words, kind)


def _kind(column: Column, *, as_text: bool) -> pa.DataType:
    """The type that the column had, or without one, what its spellings are those of."""
    kind = None if as_text else arrow_type_from_text(column.arrow_type)
    return kind if kind is not None and _can_hold(kind, column) else TABLE_KINDS[column.kind].new_type(column, as_text)


def _can_hold(kind: pa.DataType, column: Column) -> bool:
    """Whether cells of the column can be of this type; what stands in a bundle may be anything."""
    try:
        _array(np.zeros(1), column, kind)
    except MemoryError:
        raise
    except (pa.ArrowException, IndexError, ValueError):
        return False
    return True


def _array(values: np.ndarray, column: Column, kind: pa.DataType) -> pa.Array:
    """Values (n,), as in `Cells`, as an array of this type; NaN as null."""
    missing = np.isnan(values)
    if TABLE_KINDS[column.kind].is_text or pa.types.is_dictionary(kind):
        return _categories(np.where(missing, 0, values).astype(np.int32), missing, column, kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        different, place = np.unique(values[~missing], return_inverse=True)  # values repeat, and writing them is slow
        index = np.zeros(values.size, np.int64)
        index[~missing] = place
        return pa.array(TABLE_KINDS[column.kind].texts(column, different), kind).take(pa.array(index, mask=missing))
    index = np.cumsum(~missing) - 1
    found = as_type(column, kind, values[~missing])
    return found.take(pa.array(index, mask=missing)) if missing.any() else found


def _categories(code: np.ndarray, missing: np.ndarray, column: Column, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return cast(pa.array(column.categories, pa.string()), kind).take(pa.array(code, mask=missing))
    words = column.order if kind.ordered else column.categories
    place = np.array([words.index(word) for word in column.categories])  # raises ValueError for an unknown order
    codes = pa.array(place[code], mask=missing).cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(
        codes, cast(pa.array(words, pa.string()), kind.value_type), ordered=kind.ordered
    )
