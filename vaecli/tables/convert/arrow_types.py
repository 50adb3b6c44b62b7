"""Families of Arrow types, and an Arrow type as one line of text, which the schema keeps, and back."""

from __future__ import annotations

import re
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ArrowFamily(StrEnum):
    """What can be done with an Arrow type."""

    NUMBER = "number"  # integers, floats, decimals; durations and times of day, in seconds
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    DICTIONARY = "dictionary"  # categories by declaration, whatever their values
    EMPTY = "empty"  # the null type
    UNSUPPORTED = "unsupported"  # nested, binary


UUID = pa.uuid()


def family(kind: pa.DataType) -> ArrowFamily:
    """The family of an Arrow type; an extension type, such as JSON, has that of its storage, and a UUID is text."""
    if isinstance(kind, pa.BaseExtensionType):
        return ArrowFamily.TEXT if kind == UUID else family(kind.storage_type)
    if pa.types.is_boolean(kind):
        return ArrowFamily.BOOLEAN
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return ArrowFamily.NUMBER
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        return ArrowFamily.NUMBER
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ArrowFamily.DATETIME
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return ArrowFamily.TEXT
    if pa.types.is_dictionary(kind):
        values = family(kind.value_type)
        return (
            ArrowFamily.UNSUPPORTED
            if values in (ArrowFamily.UNSUPPORTED, ArrowFamily.DICTIONARY)
            else ArrowFamily.DICTIONARY
        )
    return ArrowFamily.EMPTY if pa.types.is_null(kind) else ArrowFamily.UNSUPPORTED


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece, without extension types and run-length encoding.

    UUIDs are their 36 characters. Decimals of 32 and 64 bits, which Arrow neither counts nor replaces, have 128.
    """
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if array.type.id == FLOAT64 and isinstance(array, pa.Array):
        return array  # most columns, and the type of a row's cells is asked for each of them
    if isinstance(array, pa.ChunkedArray):  # several chunks may stay several, none may stay none
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        array = uuid_texts(array.storage) if array.type == UUID else array.storage
    if pa.types.is_decimal(array.type) and array.type.bit_width < _DECIMAL_BITS:
        array = array.cast(pa.decimal128(array.type.precision, array.type.scale))
    return pc.run_end_decode(array) if pa.types.is_run_end_encoded(array.type) else array


def as_numpy(array: pa.Array) -> np.ndarray:
    """An Arrow array as (n,); nulls, where there are any, as NaN."""
    found: np.ndarray = array.to_numpy(zero_copy_only=False)
    return found


def from_numpy(values: np.ndarray) -> pa.Array:
    """Numbers or booleans (n,) as Arrow, NaN as null; numbers are not copied.

    As `pa.array(values, from_pandas=True)`, which loads `numpy.ma` to look for masks.
    """
    kind, valid, n_nulls = pa.from_numpy_dtype(values.dtype), None, 0
    if values.dtype.kind == "f" and (missing := np.isnan(values)).any():
        valid, n_nulls = pa.py_buffer(np.packbits(~missing, bitorder="little")), int(missing.sum())
    content = np.packbits(values, bitorder="little") if values.dtype == bool else np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(content)], n_nulls)


def decimals_as_floats(array: pa.Array) -> pa.Array:
    """Decimals as the nearest float64, as text of the same digits is read: Arrow's own cast is off by a bit in many."""
    kind = array.type
    if not (pa.types.is_decimal128(kind) and kind.precision <= _FLOAT_DIGITS and kind.scale >= 0):
        return array.cast(pa.large_string()).cast(pa.float64())
    words = np.frombuffer(array.buffers()[1] or b"", np.int64)[::2][array.offset :][: len(array)]
    # both are exact floats, so that their quotient is the nearest one
    return pa.array(words / 10.0**kind.scale, mask=as_numpy(array.is_null()))


def as_text(array: pa.Array) -> pa.Array:
    """An array of one value per cell as string or large_string; 3.0 reads 3, so that codes agree between types."""
    kind = array.type
    if pa.types.is_string(kind):
        return array
    if pa.types.is_dictionary(kind) and family(kind.value_type) is not ArrowFamily.TEXT:
        return as_text(array.dictionary.take(array.indices))
    text = array.cast(pa.large_string())
    return as_code(text) if pa.types.is_floating(kind) else text


def as_code(text: pa.Array) -> pa.Array:
    """Whole numbers as they are written as codes, 1 for 1.0 and 1.00; every other text as it is."""
    return pc.replace_substring_regex(text, r"^(-?\d+)\.0+$", r"\1")


def uuid_texts(stored: pa.FixedSizeBinaryArray) -> pa.LargeStringArray:
    """The 16 bytes of UUIDs as text: 123e4567-e89b-12d3-a456-426614174000."""
    valid = as_numpy(stored.is_valid())
    content = np.frombuffer(stored.buffers()[1] or b"", np.uint8).reshape(-1, 16)[stored.offset :][: len(stored)]
    digits = _HEXADECIMAL[np.stack([content >> 4, content & 15], axis=2)].reshape(-1, 32)
    texts = np.insert(digits, [8, 12, 16, 20], ord("-"), axis=1)
    ends = pa.py_buffer(np.arange(len(stored) + 1, dtype=np.int64) * 36)
    return pa.Array.from_buffers(
        pa.large_string(), len(stored), [pa.array(valid).buffers()[1], ends, pa.py_buffer(np.ascontiguousarray(texts))]
    )


FLOAT64 = pa.float64().id
_DECIMAL_BITS = 128
_FLOAT_DIGITS = 15  # that float64 holds
_HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(u?int(?:8|16|32|64)), ordered=([01])>")
_EXTENSIONS = {str(kind): kind for kind in (UUID, pa.json_())}
_PLAIN = (ArrowFamily.NUMBER, ArrowFamily.BOOLEAN, ArrowFamily.DATETIME, ArrowFamily.TEXT)
_AS_TEXT = (ArrowFamily.NUMBER, ArrowFamily.BOOLEAN, ArrowFamily.TEXT)  # whose values Arrow reads back from their text


def arrow_type_to_text(kind: pa.DataType) -> str:
    """The type as text; nothing for a type that is not written again."""
    if pa.types.is_string_view(kind):  # neither Parquet nor CSV can be written from views
        kind = pa.large_string()
    if pa.types.is_dictionary(kind):
        values = arrow_type_to_text(kind.value_type)
        if not values or family(kind.value_type) not in _AS_TEXT or _is_clock(kind.value_type):
            return ""
        return f"dictionary<values={values}, indices={kind.index_type}, ordered={int(kind.ordered)}>"
    text = str(kind)
    return text if arrow_type_from_text(text) == kind else ""


def arrow_type_from_text(text: str) -> pa.DataType | None:
    """The type that was spelled so; None for none, and for what `arrow_type_to_text` does not write."""
    if text in _EXTENSIONS:
        return _EXTENSIONS[text]
    if found := _TIMESTAMP.fullmatch(text):
        return pa.timestamp(found[1], tz=found[2])
    try:
        if found := _DECIMAL.fullmatch(text):
            return getattr(pa, f"decimal{found[1]}")(int(found[2]), int(found[3]))
        if found := _DICTIONARY.fullmatch(text):
            values = None if found[1].startswith("dictionary") else arrow_type_from_text(found[1])
            return None if values is None else pa.dictionary(pa.type_for_alias(found[2]), values, found[3] == "1")
        kind = pa.type_for_alias(text)
    except (ValueError, OverflowError):
        return None
    return kind if family(kind) in _PLAIN and not pa.types.is_string_view(kind) else None


def _is_clock(kind: pa.DataType) -> bool:
    return bool(pa.types.is_duration(kind) or pa.types.is_time(kind))
