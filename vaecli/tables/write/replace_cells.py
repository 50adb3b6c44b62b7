"""Rows with some of their cells replaced: in the spelling of the column for text, in its own type elsewhere.

What is not replaced stays as it is: every byte of delimited text, quotes included, and every value of a typed table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import InputError, quoted
from vaecli.runtime.moments import SECONDS_PER_DAY, TICKS_PER_SECOND
from vaecli.schema import Column
from vaecli.tables.convert.arrow_casts import cast
from vaecli.tables.convert.arrow_types import ArrowFamily, family, one_array
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tables.read.delimited import DelimitedSource
from vaecli.tables.read.header import Header
from vaecli.tables.source import Batch, Source

__all__ = ["Spelling", "as_type", "replace_cells"]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How the cells of one table are written."""

    name: str  # of the table, for messages
    header: Header | None  # of delimited text; None where columns have types

    @classmethod
    def of(cls, source: Source) -> Spelling:
        """That of a table."""
        return cls(source.name, source.headers[0] if isinstance(source, DelimitedSource) else None)


def replace_cells(
    batch: Batch, spelling: Spelling, columns: Sequence[Column], values: np.ndarray, which: np.ndarray
) -> Batch:
    """`batch` with the cells `which` (n, c) of `columns` set to `values` (n, c), which are as in `Cells`.

    It was read with `keep=True`; what passes through to the output is changed, its `table` is not. Raises InputError
    for a column whose type cannot hold the values.
    """
    if spelling.header is not None:
        return replace(batch, lines=_lines(batch, spelling.header, columns, values, which))
    return replace(batch, whole=_table(batch, spelling.name, columns, values, which))


# ---------------------------------------------------------------- delimited text


def _lines(
    batch: Batch, header: Header, columns: Sequence[Column], values: np.ndarray, which: np.ndarray
) -> pa.LargeBinaryArray:
    if batch.lines is None:
        raise ValueError("this batch was read without keep=True")
    changed = np.flatnonzero(which.any(1)).tolist()
    if not changed:
        return batch.lines
    lines, delimiter = batch.lines.to_pylist(), header.delimiter.encode()
    fields = {row: fields_of(lines[row], delimiter) for row in changed}
    for j, column in enumerate(columns):
        rows, place = np.flatnonzero(which[:, j]), header.names.index(column.name)
        for row, text in zip(rows.tolist(), TABLE_KINDS[column.kind].texts(column, values[rows, j]), strict=True):
            fields[row][place] = _field(text, header.delimiter)
    for row in changed:
        lines[row] = delimiter.join(fields[row])
    return pa.array(lines, pa.large_binary())


def fields_of(line: bytes, delimiter: bytes) -> list[bytes]:
    """The bytes of each field, quotes included; joined by the delimiter they are the line again.

    A quote opens a field only as its first byte, and a doubled one does not close it (see `records`).
    """
    if b'"' not in line:
        return line.split(delimiter)
    found: list[bytes] = []
    start = 0
    while True:
        end = line.find(delimiter, _behind_quotes(line, start))
        if end < 0:
            return [*found, line[start:]]
        found.append(line[start:end])
        start = end + 1


def _behind_quotes(line: bytes, start: int) -> int:
    """Where the quoted part of the field that begins at `start` ends; `start` where none does."""
    if line[start : start + 1] != b'"':
        return start
    at = start + 1
    while (at := line.find(b'"', at)) >= 0:
        if line[at + 1 : at + 2] != b'"':
            return at + 1
        at += 2
    return len(line)


def _field(text: str, delimiter: str) -> bytes:
    if any(special in text for special in (delimiter, '"', "\n", "\r")):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()


# ---------------------------------------------------------------- typed columns


def _table(batch: Batch, name: str, columns: Sequence[Column], values: np.ndarray, which: np.ndarray) -> pa.Table:
    if batch.whole is None:
        raise ValueError("this batch was read without keep=True")
    table = batch.whole
    for j, column in enumerate(columns):
        place = table.schema.get_field_index(column.name)
        field = table.schema.field(place)
        if family(field.type) is ArrowFamily.EMPTY and which[:, j].any():
            raise InputError(
                f"{name}: column {quoted(column.name)} has the type null, which can hold no value",
                "give the column a type, such as float64 or string",
            )
        # a dictionary is extended in every batch, or where batches end would show in the output
        if which[:, j].any() or pa.types.is_dictionary(field.type):
            array = one_array(table.column(place))
            try:
                replaced = cast(_replaced(array, column, values[:, j], which[:, j]), field.type)
                table = table.set_column(place, field, replaced)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                raise InputError(
                    f"{name}: column {quoted(column.name)} holds {field.type}, which cannot hold what the model knows",
                    "give the column the type that it had at fit",
                ) from None
    return table


def _replaced(array: pa.Array, column: Column, values: np.ndarray, which: np.ndarray) -> pa.Array:
    """The array (n,) with the `values` (n,) at `which` (n,), in its own type."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _encoded(array, _replaced(array.dictionary.take(array.indices), column, values, which), column)
    if not which.any():
        return array
    mask, replacements = pa.array(which), as_type(column, kind, values[which])
    # Arrow replaces integers, but no durations; before version 26 a part of a boolean array gets values of other rows
    if pa.types.is_duration(kind) or pa.types.is_boolean(kind):
        integers = pc.replace_with_mask(array.cast(pa.int64()), mask, replacements.cast(pa.int64()))
        return integers.cast(kind)
    return pc.replace_with_mask(array, mask, replacements)


def _encoded(before: pa.DictionaryArray, values: pa.Array, column: Column) -> pa.DictionaryArray:
    """The values in the dictionary that they had, followed by the categories that only the model knows.

    Never in the order in which values appear: the cut into batches would show in the output.
    """
    known = before.dictionary
    if TABLE_KINDS[column.kind].is_text:
        categories = as_type(column, known.type, np.arange(len(column.categories), dtype=float))
        known = pa.concat_arrays([known, categories.filter(pc.invert(pc.is_in(categories, value_set=known)))])
    new = pc.unique(values.drop_null())
    known = pa.concat_arrays([known, new.filter(pc.invert(pc.is_in(new, value_set=known)))])
    indices = pc.index_in(values, value_set=known, skip_nulls=True).cast(before.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, known, ordered=before.type.ordered)


def as_type(column: Column, kind: pa.DataType, values: np.ndarray) -> pa.Array:
    """Cells (n,) of a column as the Arrow type in which this table holds it."""
    group = family(kind)
    if group is ArrowFamily.TEXT or TABLE_KINDS[column.kind].is_text:
        return cast(pa.array(TABLE_KINDS[column.kind].texts(column, values), pa.string()), kind)
    return _times(kind, values) if group is ArrowFamily.DATETIME else _numbers(kind, values)


def _numbers(kind: pa.DataType, values: np.ndarray) -> pa.Array:
    if pa.types.is_boolean(kind):
        return pa.array(values >= 0.5)
    if pa.types.is_integer(kind):
        return pa.array(_whole(values, str(kind)), kind)
    if pa.types.is_decimal(kind):
        most = 0.999 * 10.0 ** (kind.precision - kind.scale)
        return pa.array(np.clip(values, -most, most)).cast(kind)
    if pa.types.is_time(kind):
        values = np.clip(values, 0.0, SECONDS_PER_DAY - 1.0)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        width = np.int32 if pa.types.is_time32(kind) else np.int64
        return pa.array(_whole(values * TICKS_PER_SECOND[kind.unit], width)).cast(kind)
    return pa.array(values).cast(kind, safe=False)


def _times(kind: pa.DataType, seconds: np.ndarray) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(_whole(seconds * TICKS_PER_SECOND[kind.unit], np.int64)).cast(kind)
    days = np.round(seconds / SECONDS_PER_DAY)
    if pa.types.is_date32(kind):
        return pa.array(_whole(days, np.int32)).cast(kind)
    return pa.array(_whole(days, np.int32).astype(np.int64) * (SECONDS_PER_DAY * 1000)).cast(kind)


def _whole(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Rounded, and within what the type can hold."""
    low, high = (float(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    high = high if int(high) == np.iinfo(dtype).max else float(np.nextafter(high, 0.0))
    return np.clip(np.round(values), low, high).astype(dtype)
