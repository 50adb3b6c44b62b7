"""What the findings of a check of rows and of series have in common: their file, their order, and values in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import pyarrow as pa

from vaecli.config.check import CheckConfig
from vaecli.errors import MAX_LISTED, quoted
from vaecli.results.check import LEVELS, Finding
from vaecli.results.number_format import counted, moment, number
from vaecli.schema import Column, Kind, Schema

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("level", "what", "column", "before", "after")),
        *((name, pa.float64()) for name in ("effect", "by_chance")),
        ("sentence", pa.string()),
        ("group", pa.string()),
    ]
)
OF_THE_TABLE = ("step", "gaps", "repeated", "order", "zone", "series")  # whose columns are not sensors


def table_of_findings(findings: Iterable[Finding]) -> pa.Table:
    """The comparisons as a table, a line each."""
    return pa.Table.from_pylist([asdict(one) for one in findings], schema=SCHEMA)


def unknown_columns(schema: Schema, names: Sequence[str]) -> tuple[str, ...]:
    """A warning that names the columns of a table that the table of the fit did not have."""
    known = {column.name for column in schema.columns}
    new = [quoted(name, marks=False) for name in names if name not in known]
    if not new:
        return ()
    more = f", and {len(new) - MAX_LISTED:,} more" if len(new) > MAX_LISTED else ""
    return (f"not in the table of the fit, and not compared: {', '.join(new[:MAX_LISTED])}{more}",)


def worst_level(findings: Iterable[Finding]) -> str:
    """The worst level of the findings, ok of none."""
    return max((one.level for one in findings), key=LEVELS.index, default="ok")


def level_of(effect: float, by_chance: float, warn: float, fail: float) -> str:
    """The level of an effect: by its size, where that is beyond chance."""
    if effect <= by_chance or effect < warn:
        return "ok"
    return "fail" if effect >= fail else "warn"


def volume(n: int, config: CheckConfig) -> Finding:
    """The number of rows beside the one that is expected."""
    least, most = config.rows_expected
    usual = f"{least:,} to {most:,.0f} rows" if most < float("inf") else f"at least {counted(least, 'row')}"
    if n < least or n > most:
        be = "is" if usual.endswith(" 1 row") else "are"
        sentence = f"the table has {counted(n, 'row') if n else 'no rows'} where {usual} {be} expected"
        return Finding("fail", "rows", None, usual, f"{n:,}", None, None, sentence)
    level = "ok" if n else "warn"
    sentence = f"the table has {counted(n, 'row') if n else 'no rows, and nothing was compared'}"
    return Finding(level, "rows", None, usual, f"{n:,}", None, None, sentence)


def moment_of(column: Column, value: float) -> str:
    """A value of an ordered column in words, a date with its day."""
    return moment(value, float("inf")) if column.is_date else number(value, 10)


def category_of(column: Column, code: int) -> str:
    """A code of a column without order in words."""
    if code < len(column.categories):
        return quoted(column.categories[code])
    return ("false", "true")[code] if column.kind is Kind.BOOLEAN else "a rare value"


def rank_of(one: Finding, config: CheckConfig) -> tuple[int, int, float]:
    """Sorts findings: failures first; of one level the volume and the clock, then columns, then scores.

    Of each the largest effect comes first.
    """
    place = 0 if one.effect is None or one.what in OF_THE_TABLE else 2 if one.column is None else 1
    limit = config.fail_distance if one.what in ("distribution", "cycle", "scores") else config.fail_share
    return -LEVELS.index(one.level), place, -(one.effect or 0.0) / max(limit, 1e-9)
