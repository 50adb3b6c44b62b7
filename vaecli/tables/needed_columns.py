"""Checks that a table has the columns that a model was trained on."""

from __future__ import annotations

from vaecli.errors import SchemaMismatch, did_you_mean, listed, quoted
from vaecli.schema import Schema
from vaecli.tables.convert import arrow_types
from vaecli.tables.convert.kinds import TABLE_KINDS, are_plain_numbers, can_hold
from vaecli.tables.source import ReadRequest, Source, types_of

__all__ = ["check_schema"]


def check_schema(source: Source, schema: Schema, by: str | None = None) -> tuple[str, ...]:
    """The names of the table's columns that are not features, which pass through; columns may be in any order.

    Raises SchemaMismatch listing the features that are missing, or else those whose type cannot hold what the
    model was trained on. `by`, a column whose groups are calibrated, has to be there too, of any type. Delimited
    text has no types: its cells are checked as they are read.
    """
    names = set(source.names)
    wanted = [column.name for column in schema.features] + ([] if by is None else [by])
    missing = [name for name in dict.fromkeys(wanted) if name not in names]
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
    typed = types_of(source)
    types = {} if typed is None else dict(zip(typed.names, typed.types, strict=True))
    if types and all(are_plain_numbers(types[one.name], one) for one in schema.features):
        return  # reading the first rows of a Parquet file takes as much memory as reading on
    batches = iter(source.batches(ReadRequest([column.name for column in schema.features], batch_rows=1024)))
    first = next(batches, None)
    if first is None:
        return
    mistyped = []
    for column, kind in zip(schema.features, first.table.schema.types, strict=True):
        if are_plain_numbers(kind, column):
            continue
        array = arrow_types.one_array(first.table.column(column.name))
        if not can_hold(array, column):
            learned = TABLE_KINDS[column.kind].holds
            what = f"{quoted(column.name)} holds {array.type}; the model was trained on {learned}"
            mistyped.append((column.name, what))
    if mistyped:
        count = "a column has" if len(mistyped) == 1 else f"{len(mistyped):,} columns have"
        raise SchemaMismatch(
            f"{source.name}: {count} the wrong type:\n{listed([what for _, what in mistyped])}",
            "convert them before scoring, or fit again on a table like this one",
            path=source.name,
            column=mistyped[0][0],
        )
