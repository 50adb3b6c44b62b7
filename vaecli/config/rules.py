"""Suppression rules in TOML: which flagged rows are known already and should not be flagged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from vaecli.config.checks import refusal
from vaecli.config.toml_file import toml_in
from vaecli.errors import UsageError, did_you_mean, quoted

DIRECTIONS = ("high", "low")
_KEYS = ("name", "column", "direction", "min_deviation", "group", "time_of_day", "until")
_OF_COLUMN = ("direction", "min_deviation")
_HINT = "--rules takes a TOML file of [[rule]] tables, see docs/how-to/decisions.md"


@dataclass(frozen=True, slots=True)
class Rule:
    """Suppresses a row to which all of its conditions apply; a condition that is not given always applies."""

    name: str
    column: str | None = None  # the one with the largest part in the score
    direction: str | None = None  # its value is higher, or lower, than expected
    min_deviation: float | None = None  # it differs from what was expected by less than that, in its own unit
    group: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (column, texts of which it holds one)
    time_of_day: tuple[float, float] | None = None  # seconds since midnight, from and until; over midnight if reversed
    until: float | None = None  # seconds since 1970: the end of the last day that it applies to

    @property
    def needs_clock(self) -> bool:
        """Whether it asks when a row was."""
        return self.time_of_day is not None


def read_rules(file: Path | None) -> tuple[Rule, ...]:
    """The rules in a file, in its order; none without a file. Raises UsageError that names every mistake."""
    if file is None:
        return ()
    return rules_of(toml_in(file, _HINT), str(file))


def rules_of(values: Mapping[str, Any], source: str) -> tuple[Rule, ...]:
    """The rules in the values of a TOML file. Raises UsageError that names every mistake."""
    problems = [f"{source}: unknown {quoted(key)}; it holds [[rule]] tables" for key in values if key != "rule"]
    tables = values.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{source}: rule is not a list of tables", _HINT)
    if not tables:
        problems.append(f"{source}: there are no rules")
    found: list[Rule] = []
    for number, table in enumerate(tables, 1):
        where = f"{source}: rule {number}"
        problems += [f"{where}: unknown {quoted(key)}{did_you_mean(key, _KEYS)}" for key in table if key not in _KEYS]
        found.append(_rule(table, where, problems))
    names = [rule.name for rule in found]
    problems += [f"{source}: two rules are called {quoted(name)}" for name in {n for n in names if names.count(n) > 1}]
    if problems:
        raise refusal(problems, "flag")
    return tuple(found)


def _rule(table: Mapping[str, Any], where: str, problems: list[str]) -> Rule:
    name = _text(table, "name", where, problems)
    column = _text(table, "column", where, problems)
    direction = _text(table, "direction", where, problems)
    deviation = table.get("min_deviation")
    if name is None:
        problems.append(f"{where}: it has no name, by which the output calls it")
    if len(table) < 2:
        problems.append(f"{where}: it has no condition and would suppress every row")
    if direction is not None and direction not in DIRECTIONS:
        problems.append(f"{where}: direction {quoted(direction)} is neither high nor low")
    if deviation is not None and (isinstance(deviation, bool) or not isinstance(deviation, int | float)):
        problems.append(f"{where}: min_deviation {deviation!r} is not a number")
        deviation = None
    elif deviation is not None and not 0 < deviation < float("inf"):
        problems.append(f"{where}: min_deviation {deviation} is not above 0")
    if column is None and any(key in table for key in _OF_COLUMN):
        problems.append(f"{where}: direction and min_deviation are of a column, and it names none")
    return Rule(
        name or "",
        column,
        direction,
        deviation,
        _group(table.get("group", {}), where, problems),
        _time_of_day(table.get("time_of_day"), where, problems),
        _until(table.get("until"), where, problems),
    )


def _text(table: Mapping[str, Any], key: str, where: str, problems: list[str]) -> str | None:
    value = table.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    problems.append(f"{where}: {key} {value!r} is not text")
    return None


def _group(value: Any, where: str, problems: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for column, wanted in value.items() if isinstance(value, dict) else [("", None)]:
        texts = wanted if isinstance(wanted, list) else [wanted]
        if not texts or any(isinstance(text, bool) or not isinstance(text, str | int) for text in texts):
            problems.append(f'{where}: group is not like {{ device = "p7" }} or {{ device = ["p7", "p9"] }}')
            continue
        found.append((column, tuple(map(str, texts))))
    return tuple(found)


def _time_of_day(value: Any, where: str, problems: list[str]) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        start, end = (time.fromisoformat(part.strip()) for part in value.split("-"))
    except (ValueError, AttributeError):
        problems.append(f"{where}: time_of_day {value!r} is not like 02:00-04:30")
        return None
    if start == end:
        problems.append(f"{where}: time_of_day {value!r} begins where it ends")
    return _since_midnight(start), _since_midnight(end)


def _since_midnight(moment: time) -> float:
    return moment.hour * 3600.0 + moment.minute * 60 + moment.second


def _until(value: Any, where: str, problems: list[str]) -> float | None:
    if value is None:
        return None
    if not isinstance(value, date) or isinstance(value, datetime):
        problems.append(f"{where}: until {value!r} is not a date like 2027-03-31, without quotes")
        return None
    return (datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=1)).timestamp()
