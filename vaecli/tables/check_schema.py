"""Checks that a table has the columns that a model was trained on."""

from __future__ import annotations

import pyarrow as pa

from vaecli.errors import SchemaMismatch, did_you_mean, listed, quoted
from vaecli.schema import Column, Kind, Schema
from vaecli.tables.convert import arrow_types
from vaecli.tables.convert import parse as values
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.convert.number_spellings import DECIMAL_COMMA
from vaecli.tables.source import ReadRequest, Source

__all__ = ["check_schema"]

_ACCEPTED = {
    Kind.NUMERIC: {ArrowFamily.NUMBER, ArrowFamily.BOOLEAN},
    Kind.BOOLEAN: {ArrowFamily.NUMBER, ArrowFamily.BOOLEAN},
    Kind.DATETIME: {ArrowFamily.DATETIME},
    Kind.CATEGORICAL: {ArrowFamily.TEXT, ArrowFamily.DICTIONARY, ArrowFamily.NUMBER, ArrowFamily.BOOLEAN},
}
_TEXT = {ArrowFamily.TEXT, ArrowFamily.DICTIONARY}


def check_schema(source: Source, schema: Schema) -> tuple[str, ...]:
    """The names of the table's columns that are not features, which pass through; columns may be in any order.

    Raises SchemaMismatch listing the features that are missing, or else those whose type cannot hold what the
    model was trained on. Delimited text has no types: its cells are checked as they are read.
    """
    names = set(source.names)
    missing = [column.name for column in schema.features if column.name not in names]
    if missing:
        others = [name for name in source.names if all(name != column.name for column in schema.features)]
        problems = [f"{quoted(name)}{did_you_mean(name, others)}" for name in missing]
        count = "a column is" if len(missing) == 1 else f"{len(missing):,} columns are"
        raise SchemaMismatch(
            f"{source.name}: {count} missing:\n{listed(problems)}",
            "give a table with the columns the model was trained on, in any order",
            path=source.name,
            column=missing[0],
        )
    if source.format not in ("csv", "tsv"):
        _reject_mistyped(source, schema)
    features = {column.name for column in schema.features}
    return tuple(name for name in source.names if name not in features)


def _reject_mistyped(source: Source, schema: Schema) -> None:
    batches = iter(source.batches(ReadRequest([column.name for column in schema.features], batch_rows=1024)))
    first = next(batches, None)
    if first is None:
        return
    mistyped = []
    for column in schema.features:
        array = arrow_types.one_array(first.table.column(column.name))
        if not _can_hold(array, column):
            mistyped.append(
                (
                    column.name,
                    f"{quoted(column.name)} holds {array.type}; the model was trained on {_KIND_IN_WORDS[column.kind]}",
                )
            )
    if mistyped:
        count = "a column has" if len(mistyped) == 1 else f"{len(mistyped):,} columns have"
        raise SchemaMismatch(
            f"{source.name}: {count} the wrong type:\n{listed([what for _, what in mistyped])}",
            "convert them before scoring, or fit again on a table like this one",
            path=source.name,
            column=mistyped[0][0],
        )


_KIND_IN_WORDS = {
    Kind.NUMERIC: "numbers",
    Kind.BOOLEAN: "true or false",
    Kind.DATETIME: "dates",
    Kind.CATEGORICAL: "categories",
}


def _can_hold(array: pa.Array, column: Column) -> bool:
    group = arrow_types.family(array.type)
    if group in _TEXT and column.kind is not Kind.CATEGORICAL:
        # a model may have been trained on numbers kept as text; one bad cell is reported when it is read
        return not _mostly_unreadable(arrow_types.as_text(array), column)
    return group is ArrowFamily.EMPTY or group in _ACCEPTED[column.kind]


def _mostly_unreadable(text: pa.Array, column: Column) -> bool:
    if column.kind is Kind.DATETIME:
        _, failed = values.parse_dates(text, column.datetime_format)
    elif column.kind is Kind.BOOLEAN:
        _, failed = values.parse_booleans(text)
    else:
        _, failed = values.parse_numbers(text, decimal_comma=column.number_spelling == DECIMAL_COMMA)
    return bool(2 * failed.sum() > len(text) - text.null_count)
