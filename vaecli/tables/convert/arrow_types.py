"""The Arrow type that a column had at fit as one line of text, which the schema keeps, and back."""

from __future__ import annotations

import re

import pyarrow as pa

from vaecli.tables.convert.parse import Family, family

__all__ = ["remembered", "spelled"]

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL = re.compile(r"decimal(128|256)\((\d+), (-?\d+)\)")
_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(u?int(?:8|16|32|64)), ordered=[01]>")
_PLAIN = (Family.NUMBER, Family.BOOLEAN, Family.DATETIME, Family.TEXT)
_AS_TEXT = (Family.NUMBER, Family.BOOLEAN, Family.TEXT)  # whose values Arrow reads back from their text


def spelled(kind: pa.DataType) -> str:
    """The type as text; nothing for a type that is not written again."""
    if pa.types.is_string_view(kind):  # neither Parquet nor CSV can be written from views
        kind = pa.large_string()
    if pa.types.is_dictionary(kind):
        values = spelled(kind.value_type)
        if not values or family(kind.value_type) not in _AS_TEXT or _is_clock(kind.value_type):
            return ""
        return f"dictionary<values={values}, indices={kind.index_type}, ordered=0>"  # an order of values is not kept
    text = str(kind)
    return text if remembered(text) == kind else ""


def remembered(text: str) -> pa.DataType | None:
    """The type that was spelled so; None for none, and for what `spelled` does not write."""
    if found := _TIMESTAMP.fullmatch(text):
        return pa.timestamp(found[1], tz=found[2])
    try:
        if found := _DECIMAL.fullmatch(text):
            decimal = pa.decimal128 if found[1] == "128" else pa.decimal256
            return decimal(int(found[2]), int(found[3]))
        if found := _DICTIONARY.fullmatch(text):
            values = None if found[1].startswith("dictionary") else remembered(found[1])
            return None if values is None else pa.dictionary(pa.type_for_alias(found[2]), values)
        kind = pa.type_for_alias(text)
    except (ValueError, OverflowError):
        return None
    return kind if family(kind) in _PLAIN and not pa.types.is_string_view(kind) else None


def _is_clock(kind: pa.DataType) -> bool:
    return bool(pa.types.is_duration(kind) or pa.types.is_time(kind))
