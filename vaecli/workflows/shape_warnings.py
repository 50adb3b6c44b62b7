"""Warns of what a fit of rows reads in another way than it is meant: codes, long tables, a clock in two columns."""

from __future__ import annotations

import re
import shlex

from vaecli.errors import quoted
from vaecli.schema import Column, Kind, Schema
from vaecli.tables.convert.declared_missing import option_value
from vaecli.tables.infer.classify import is_named_like_a_key

_TAGS = {"tag", "tagname", "tag_name", "sensor", "sensor_id", "sensor_name", "entity_id", "variable", "metric", "point"}
_TAGS |= {"measurement", "signal", "channel", "parameter", "_field", "series", "item"}
_READINGS = {"value", "_value", "reading", "state", "val", "wert"}
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
    return column.width > 1 or (is_named_like_a_key(column.name) and not _plain(column.name).endswith("index"))


def _of_a_long_table(schema: Schema) -> list[str]:
    tags = [one for one in schema.features if one.kind is Kind.CATEGORICAL and _plain(one.name) in _TAGS]
    readings = [one for one in schema.features if one.kind is Kind.NUMERIC and _plain(one.name) in _READINGS]
    others = [one for one in schema.features if one.kind is Kind.NUMERIC and one not in readings]
    if schema.time is None or len(tags) != 1 or len(readings) != 1 or others:
        return []
    option = shlex.quote(f"name={tags[0].name},value={readings[0].name}")
    return [
        "looks like a table with a row per sensor and time, whose rows are judged one by one: "
        f"--long {option} judges the sensors together, over time"
    ]


def _of_two_clocks(schema: Schema) -> list[str]:
    date = schema.time
    if date is None or date.kind is not Kind.DATETIME or "%M" in (date.datetime_format or "%M"):
        return []
    times = [
        one.name
        for one in schema.features
        if one.kind is Kind.NUMERIC and one.number_spelling and _plain(one.name) in _TIMES_OF_DAY
    ]
    if not times:
        return []
    return [
        f"{quoted(date.name)} holds days and {quoted(times[0])} times of day: as one column (2026-12-31 23:59:00) they "
        "are a clock, and rows that follow each other are judged together"
    ]


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
