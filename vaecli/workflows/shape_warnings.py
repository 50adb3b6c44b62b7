"""Warns of what a fit of rows reads in another way than it is meant: codes, long tables, a clock in two columns."""

from __future__ import annotations

from vaecli.errors import quoted
from vaecli.schema import Column, Kind, Schema
from vaecli.tables.convert.declared_missing import option_value
from vaecli.tables.infer.classify import is_named_like_a_key
from vaecli.tables.infer.long_form import long_option, plain

_TIMES_OF_DAY = {"time", "time_of_day", "uhrzeit", "zeit", "clock", "heure", "hora", "ora"}


def shape_warnings(schema: Schema) -> list[str]:
    """What to do where numbers are codes, where rows are single readings, and where date and time stand apart."""
    return [*_of_codes(schema.features), *_of_a_long_table(schema), *_of_two_clocks(schema)]


def _of_codes(columns: tuple[Column, ...]) -> list[str]:
    found = [one.name for one in columns if one.kind is Kind.NUMERIC and one.whole and _is_code(one)]
    if not found:
        return []
    return [
        f"modelled as numbers, though they look like identifiers or codes: {', '.join(found)}; rows are flagged where "
        f"their size is unusual. --exclude {option_value(found)} leaves them out"
    ]


def _is_code(column: Column) -> bool:
    """Whether cells are padded with zeros (`01067`), or the name is that of a key (but not `refractive index`)."""
    return column.width > 1 or (is_named_like_a_key(column.name) and not plain(column.name).endswith("index"))


def _of_a_long_table(schema: Schema) -> list[str]:
    option = long_option(schema.columns) if schema.time is not None else ""
    if not option:
        return []
    return [
        "looks like a table with a row per sensor and time, whose rows are judged one by one: "
        f"{option} judges the sensors together, over time"
    ]


def _of_two_clocks(schema: Schema) -> list[str]:
    date = schema.time
    if date is None or date.kind is not Kind.DATETIME or "%M" in (date.datetime_format or "%M"):
        return []
    times = [
        one.name
        for one in schema.features
        if one.kind is Kind.NUMERIC and one.number_spelling and plain(one.name) in _TIMES_OF_DAY
    ]
    if not times:
        return []
    return [
        f"{quoted(date.name)} holds days and {quoted(times[0])} times of day: as one column (2026-12-31 23:59:00) they "
        "are a clock, and rows that follow each other are judged together"
    ]
