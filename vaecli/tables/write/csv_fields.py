"""Spells the cells of typed columns as fields of delimited text, so that they can be read back as what they are.

Arrow's own spelling is kept where it can be: the shortest digits of a number, ISO 8601 for dates. Otherwise

| column    | field                                                                                           |
|-----------|-------------------------------------------------------------------------------------------------|
| NaN       | `NaN`, which polars, DuckDB, pandas and pyarrow read as a number; `nan` polars takes for text   |
| duration  | seconds, exactly: `4.723448`                                                                    |
| time      | a time of day as `hh:mm:ss`; one of a day or more, or below 0, likewise: `54:01:09`, `-00:00:05` |
| UUID      | its 36 characters                                                                               |
| interval  | ISO 8601: `P1M2DT3.5S`                                                                          |
| bytes     | the text that they are in UTF-8                                                                 |
| text      | always in quotes, so that an empty text is not a missing one                                    |
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from vaecli.errors import InputError
from vaecli.runtime.moments import TICKS_PER_SECOND
from vaecli.tables.convert.arrow_types import uuid_texts

_LARGE_TEXT = pa.large_string()
_WRITE_PARQUET = "write Parquet: -o NAME.parquet"
_OUT_OF_RANGE = "<value out of range"  # what Arrow writes in the place of a date that its text cannot hold


def can_be_spelled(kind: pa.DataType) -> bool:
    """Whether the values of an Arrow type, or at least some of them, can be written as one field of text."""
    try:
        csv_field(pa.nulls(1, kind), "")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


def csv_field(array: pa.Array, name: str) -> pa.LargeBinaryArray:
    """The values (n,) of the column `name` as the bytes of fields, empty where they are null.

    Raises InputError naming the column for a value that text cannot hold: bytes that are not UTF-8, dates beyond the
    calendar.
    """
    text = _text(array, name)
    if _is_text(array.type):
        doubled = pc.replace_substring(text, '"', '""')
        text = pc.binary_join_element_wise(_scalar('"'), doubled, _scalar('"'), _scalar(""))
    return pc.cast(pc.fill_null(text, ""), pa.large_binary())


def _is_text(kind: pa.DataType) -> bool:
    kinds = pa.types
    if kinds.is_dictionary(kind):
        return _is_text(kind.value_type)
    if kinds.is_run_end_encoded(kind):
        return _is_text(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return kind.extension_name == "arrow.uuid" or _is_text(kind.storage_type)
    is_view = kinds.is_string_view(kind) or kinds.is_binary_view(kind)
    is_binary = kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind)
    return is_view or is_binary or kinds.is_string(kind) or kinds.is_large_string(kind)


def _text(array: pa.Array, name: str) -> pa.LargeStringArray:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return pc.take(_text(array.dictionary, name), array.indices)
    if getattr(kind, "extension_name", "") == "arrow.uuid":
        return uuid_texts(array.storage)
    if isinstance(kind, pa.BaseExtensionType):
        return _text(array.storage, name)
    if pa.types.is_run_end_encoded(kind):
        return _text(pc.run_end_decode(array), name)
    if pa.types.is_floating(kind):
        text = pc.cast(array, _LARGE_TEXT)
        return pc.if_else(pc.is_nan(array), "NaN", text) if pc.any(pc.is_nan(array)).as_py() else text
    if pa.types.is_duration(kind):
        return _seconds(array.cast(pa.int64()), len(str(TICKS_PER_SECOND[kind.unit])) - 1)
    if pa.types.is_time(kind):
        return _times(array)
    if pa.types.is_interval(kind):
        return pa.array([None if one is None else _interval(*one) for one in array.to_pylist()], _LARGE_TEXT)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        array = array.cast(pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary())
    try:
        text = pc.cast(array, _LARGE_TEXT)
    except pa.ArrowInvalid as problem:
        raise InputError(f"column {name!r} holds bytes that are not text", _WRITE_PARQUET) from problem
    if pa.types.is_temporal(kind) and pc.any(pc.starts_with(text, _OUT_OF_RANGE)).as_py():
        raise InputError(f"column {name!r} holds dates that cannot be written as text", _WRITE_PARQUET)
    return text


def _seconds(ticks: pa.Int64Array, decimals: int) -> pa.LargeStringArray:
    """Whole ticks of 10^−decimals seconds as decimal seconds, without trailing zeros."""
    if not decimals:
        return pc.cast(ticks, _LARGE_TEXT)
    digits = pc.replace_substring_regex(pc.cast(ticks, _LARGE_TEXT), "^-", "")
    digits = pc.utf8_lpad(digits, decimals + 1, "0")
    whole, fraction = pc.utf8_slice_codeunits(digits, 0, -decimals), pc.utf8_slice_codeunits(digits, -decimals)
    text = pc.binary_join_element_wise(whole, fraction, _scalar("."))
    text = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
    return pc.if_else(pc.less(ticks, 0), pc.binary_join_element_wise(_scalar("-"), text, _scalar("")), text)


def _times(array: pa.Array) -> pa.LargeStringArray:
    text = pc.cast(array, _LARGE_TEXT)
    beyond = pc.fill_null(pc.starts_with(text, _OUT_OF_RANGE), False)
    if not pc.any(beyond).as_py():
        return text
    per_second = TICKS_PER_SECOND[array.type.unit]
    ticks = array.cast(pa.int32() if pa.types.is_time32(array.type) else pa.int64())
    return pc.replace_with_mask(
        text, beyond, pa.array([_clock(tick, per_second) for tick in ticks.filter(beyond).to_pylist()], _LARGE_TEXT)
    )


def _clock(ticks: int, per_second: int) -> str:
    seconds, fraction = divmod(abs(ticks), per_second)
    clock = f"{'-' if ticks < 0 else ''}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}.{fraction:0{len(str(per_second)) - 1}}" if per_second > 1 else clock


def _interval(months: int, days: int, nanoseconds: int) -> str:
    sign, (seconds, rest) = "-" if nanoseconds < 0 else "", divmod(abs(nanoseconds), 10**9)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    parts = (f"{months}M" if months else "", f"{days}D" if days else "", f"T{sign}{seconds}{fraction}S")
    return f"P{''.join(parts[:2])}{parts[2] if nanoseconds or not (months or days) else ''}"


def _scalar(value: str) -> pa.Scalar:
    return pa.scalar(value, _LARGE_TEXT)
