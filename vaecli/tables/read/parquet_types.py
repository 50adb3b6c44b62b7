"""The Arrow types that the columns of a Parquet file stand for, where they are not those that pyarrow reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_ARROW_SCHEMA = b"ARROW:schema"
_PANDAS = b"pandas"


def meant_schema(footer: pq.FileMetaData, schema: pa.Schema) -> pa.Schema:
    """`schema`, as pyarrow reads the columns, with the types that they stand for.

    INT96 has the time zone of the Arrow schema in the file, INTERVAL is one of months, days and nanoseconds, ENUM is
    text, and numbers are a dictionary where the Arrow schema or the metadata of pandas declares them to be categories.
    """
    declared = _declared(footer.metadata or {})
    leaves = {leaf.path: leaf for leaf in map(footer.schema.column, range(len(footer.schema)))}
    fields = [_meant(field, leaves.get(field.name), declared.get(field.name)) for field in schema]
    return pa.schema(fields, schema.metadata)


def has_int96(footer: pq.FileMetaData) -> bool:
    """Whether a column, perhaps a nested one, holds timestamps of the obsolete type INT96."""
    return any(footer.schema.column(i).physical_type == "INT96" for i in range(len(footer.schema)))


def index_columns(schema: pa.Schema) -> frozenset[str]:
    """The columns that pandas wrote for the index of a frame, from its metadata."""
    names = _pandas(schema.metadata or {}).get("index_columns", [])
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def nanoseconds(whole: pa.Array, finer: pa.Array) -> tuple[bool, bool]:
    """Whether the same INT96 loses nanoseconds in microseconds (`whole`), and moments in nanoseconds (`finer`)."""
    if pa.types.is_nested(whole.type):
        pairs = zip(_children(whole), _children(finer), strict=True)
        found = [nanoseconds(*pair) for pair in pairs]
        return any(each[0] for each in found), any(each[1] for each in found)
    if not pa.types.is_timestamp(whole.type):
        return False, False
    micros = whole.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    nanos = finer.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    # both wrap in the same way, so that the difference is 0 to 999
    return bool((nanos - micros * 1000).any()), bool((np.abs(micros) > np.iinfo(np.int64).max // 1000).any())


def _children(array: pa.Array) -> list[pa.Array]:
    flat = array.flatten()
    return flat if isinstance(flat, list) else [flat]


def _meant(field: pa.Field, leaf: Any, declared: pa.DataType | None) -> pa.Field:
    kind = field.type
    if leaf is None or pa.types.is_nested(kind):
        return field
    if leaf.physical_type == "INT96" and declared is not None and pa.types.is_timestamp(declared):
        return field.with_type(pa.timestamp(kind.unit, declared.tz))
    if leaf.converted_type == "INTERVAL":
        return field.with_type(pa.month_day_nano_interval())
    if leaf.converted_type == "ENUM":
        return field.with_type(pa.string())
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if is_number and declared is not None and pa.types.is_dictionary(declared):
        return field.with_type(pa.dictionary(pa.int32(), kind, declared.ordered))
    return field


def _declared(metadata: Mapping[bytes, bytes]) -> dict[str, pa.DataType]:
    """The types in the Arrow schema of the file, and dictionaries where pandas wrote a category."""
    declared: dict[str, pa.DataType] = {}
    columns = _pandas(metadata).get("columns", [])
    for column in columns if isinstance(columns, list) else []:
        if isinstance(column, dict) and column.get("pandas_type") == "categorical":
            details = column.get("metadata")
            ordered = isinstance(details, dict) and details.get("ordered") is True
            name = column.get("field_name") or column.get("name")
            declared[str(name)] = pa.dictionary(pa.int32(), pa.int64(), ordered)
    try:
        stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata.get(_ARROW_SCHEMA, b""))))
        return declared | dict(zip(stored.names, stored.types, strict=True))
    except (pa.ArrowException, OSError, ValueError):  # a name that is not UTF-8 is a ValueError
        return declared


def _pandas(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(metadata.get(_PANDAS, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
