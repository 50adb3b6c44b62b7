"""Arrow columns in another type: the type that two columns have in common, and casts that Arrow lacks."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.tables.convert.arrow_types import UUID, ArrowFamily, decimals_as_floats, family

_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
_EXACT_BELOW = {2: 2.0**11, 4: 2.0**24, 8: 2.0**53}  # whole numbers, by the bytes of a float


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both, as text in one file and a category in the other; None without one.

    It need not hold every value exactly: see `changed`.
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_dictionary(one) or pa.types.is_dictionary(other):
        return _common_dictionary(one, other)
    families = {family(one), family(other)}
    if ArrowFamily.TEXT in families:
        if len(families) > 1 or UUID in (one, other):
            return None  # bytes beside text are not text
        return pa.string() if {one, other} == {pa.string(), pa.json_()} else pa.large_string()
    if families == {ArrowFamily.DATETIME}:
        return _common_time(one, other)
    try:
        fields = [pa.schema([("x", _VIEWS.get(each, each))]) for each in (one, other)]
        found: pa.DataType = pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None
    return pa.float64() if pa.types.is_floating(found) and _has_decimal(one, other) else found


def _has_decimal(*kinds: pa.DataType) -> bool:
    return any(map(pa.types.is_decimal, kinds))


def _common_dictionary(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    dictionaries = [each for each in (one, other) if pa.types.is_dictionary(each)]
    values = common_type(*(each.value_type if each in dictionaries else each for each in (one, other)))
    if values is None or (len(dictionaries) < 2 and family(values) is ArrowFamily.TEXT):  # words are words
        return values
    # each file may have values of its own, so that there are more of them, and in no common order
    return pa.dictionary(pa.int32(), values)


def _common_time(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    moments = [each for each in (one, other) if pa.types.is_timestamp(each)]
    if not moments:
        return pa.date64()
    if len(moments) == 1 and moments[0].tz is None:
        return moments[0]
    if len(moments) == 1 or (one.tz is None) != (other.tz is None):
        return None  # a day, or a time on the wall, is not a moment
    return pa.timestamp(max(one.unit, other.unit, key=("s", "ms", "us", "ns").index), one.tz)


def cast(array: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """The values in another type. Floats are rounded to the nearest number; all else is exact.

    Raises pa.ArrowInvalid, or pa.ArrowNotImplementedError, for values that the type cannot hold.
    """
    before = array.type
    if before == kind:
        return array
    if pa.types.is_interval(kind):
        return _intervals(array)
    if pa.types.is_dictionary(kind):
        is_alike = pa.types.is_dictionary(before) and before.ordered == kind.ordered
        return array.cast(kind) if is_alike else _encoded(array, kind)
    if pa.types.is_dictionary(before):
        array = array.cast(before.value_type)
    if kind == UUID and family(before) is ArrowFamily.TEXT:
        texts = pc.replace_substring(array, "-", "").to_pylist()
        return pa.array([None if text is None else bytes.fromhex(text) for text in texts], pa.binary(16)).cast(kind)
    if pa.types.is_decimal(before) and pa.types.is_floating(kind):
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        return pa.chunked_array(list(map(decimals_as_floats, chunks)), pa.float64()).cast(kind)
    return array.cast(kind, safe=not pa.types.is_floating(kind))


def _encoded(array: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The values in one dictionary, numbers in their order."""
    plain = cast(array, kind.value_type)
    values = pc.unique(plain).drop_null()
    if family(kind.value_type) is ArrowFamily.NUMBER:
        values = values.sort()
    codes = pc.index_in(plain, value_set=values, skip_nulls=True).cast(kind.index_type)
    chunks = codes.chunks if isinstance(codes, pa.ChunkedArray) else [codes]
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(each, values, ordered=kind.ordered) for each in chunks], kind
    )


def _intervals(array: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """Intervals as Parquet stores them (months, days, milliseconds, each 4 bytes without sign) as those of Arrow."""
    kind, parts = pa.month_day_nano_interval(), []
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        valid = chunk.is_valid().to_numpy(zero_copy_only=False)
        stored = np.frombuffer(chunk.buffers()[1] or b"", "<u4").reshape(-1, 3)[chunk.offset :][: len(chunk)]
        stored = np.where(valid[:, None], stored, 0)
        if (stored[:, :2] > np.iinfo(np.int32).max).any():
            raise pa.ArrowInvalid("an interval of more than 2,147,483,647 months or days")
        wide = np.zeros(len(stored), np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")]))
        wide["months"], wide["days"] = stored[:, 0], stored[:, 1]
        wide["nanoseconds"] = stored[:, 2].astype(np.int64) * 1_000_000
        parts.append(pa.Array.from_buffers(kind, len(chunk), [pa.array(valid).buffers()[1], pa.py_buffer(wide)]))
    return pa.chunked_array(parts, kind)


def changed(before: pa.Array, after: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Where `cast` rounded a number, (n,) bool: 9,007,199,254,740,993 is not a float."""
    is_exact = pa.types.is_integer(before.type) or pa.types.is_decimal(before.type)
    if not (pa.types.is_floating(after.type) and is_exact):
        return np.zeros(len(before), bool)
    numbers = np.asarray(after.cast(pa.float64()))
    if pa.types.is_integer(before.type) and not (np.abs(numbers) >= _EXACT_BELOW[after.type.bit_width // 8]).any():
        return np.zeros(len(before), bool)
    pairs = zip(before.to_pylist(), numbers.tolist(), strict=True)
    return np.array([one is not None and one != _exactly(one, number) for one, number in pairs], bool)


def _exactly(one: int | Decimal, number: float) -> float | Decimal:
    """The float as it compares with the exact number: that nearest to 0.10 is 0.10."""
    return number if isinstance(one, int) else Decimal(repr(number))


def without_views(table: pa.Table) -> pa.Table:
    """The table with string views as plain strings.

    pyarrow cannot filter views, and their size depends on how a table was cut into batches. What is written to
    Parquet becomes a view again.
    """
    if not any(kind in _VIEWS for kind in table.schema.types):
        return table
    schema = pa.schema([each.with_type(_VIEWS.get(each.type, each.type)) for each in table.schema])
    return as_schema(table, schema.with_metadata(table.schema.metadata))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema without views and without dictionaries of numbers.

    Parquet stores no such dictionaries: those of a batch depend on how a table was cut into batches.
    """
    return pa.schema([each.with_type(_plain(each.type)) for each in schema], schema.metadata)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind) and family(kind.value_type) is not ArrowFamily.TEXT:
        return kind.value_type
    return _VIEWS.get(kind, kind)


def as_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the types of `schema`, which has the same columns."""
    if table.schema.equals(schema):
        return table
    if not table.num_columns:
        return table
    return pa.Table.from_arrays([cast(table[field.name], field.type) for field in schema], schema=schema)
