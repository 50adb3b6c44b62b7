"""Converts given values to the types of a setting's dataclass, or explains in a sentence why it cannot."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from vaecli.config.choices import DEVICES, PRESETS, SCORE_KINDS
from vaecli.config.contamination import contamination_share
from vaecli.config.fail_on import Gate
from vaecli.config.long_form import FORM, LongForm
from vaecli.config.spans import AlarmBudget, Span
from vaecli.config.windows import FEWEST_WINDOW_ROWS
from vaecli.errors import UsageError, listed

# smallest allowed, largest allowed, whether the ends are excluded
Range = tuple[float, float, bool]


def refusal(problems: list[str], verb: str) -> UsageError:
    """One error that lists every problem."""
    hint = f"see `vaecli {verb} --help`"
    if len(problems) == 1:
        return UsageError(problems[0], hint)
    return UsageError(f"{len(problems)} problems in the settings:\n{listed(problems)}", hint)


def flag_of(name: str) -> str:
    """`train.max_epochs` as it is typed: `--max-epochs`."""
    if name.partition(".")[0] in ("heteroscedastic", "homoscedastic"):
        return name  # no flag names the family
    key = name.rpartition(".")[2].removesuffix("_seconds")
    return "--" + key.replace("_", "-")


def stage_of(settings: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The settings of one stage by their bare names."""
    return {name.partition(".")[2]: value for name, value in settings.items() if name.startswith(f"{stage}.")}


def from_environment(variables: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """(value, how a message calls it) of each setting that a variable gives; an empty variable counts as not set."""
    return {name: (environment[shown], shown) for shown, name in variables.items() if environment.get(shown)}


def checked(
    owners: Mapping[str, Any], ranges: Mapping[str, Range], name: str, value: Any, shown: str, problems: list[str]
) -> Any:
    """The value of `stage.key` as the type of its dataclass field; None after adding a problem.

    `shown` is its name in messages; `owners` are dataclasses by stage, `ranges` by full name.
    """
    stage, _, key = name.rpartition(".")
    hints = get_type_hints(owners[stage])
    if key not in hints:
        known = ", ".join(item.name for item in fields(owners[stage]))
        where = name if shown.startswith("--") else shown.removesuffix(" =")  # from Python: no flag is unknown to Typer
        problems.append(f"{where}: unknown setting; {stage} has {known}")
        return None
    if key in _CHOICES:
        return _one_of(_CHOICES[key], value, shown, problems)
    if key in _PARSED:
        return _parsed(*_PARSED[key], value, shown, problems)
    expected, convert = _TYPES[_NAMED_TYPES.get(key, hints[key])]
    try:
        converted = convert(value)
    except (ValueError, TypeError, OverflowError):
        problems.append(f"{shown} {value!r} is not {expected}")
        return None
    return _within(ranges.get(name), converted, shown, problems)


def _one_of(choices: tuple[str, ...], value: Any, shown: str, problems: list[str]) -> str | None:
    if value in choices:
        return str(value)
    problems.append(f"{shown} {value!r} is not one of {', '.join(choices)}")
    return None


def _parsed(parse: Callable[[str], Any], expected: str, value: Any, shown: str, problems: list[str]) -> str | None:
    """The value as text that `parse` understands, or None after adding a problem."""
    try:
        parse(str(value))
    except UsageError:
        problems.append(f"{shown} {value!r} is not {expected}")
        return None
    return str(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in ([value] if isinstance(value, str) else value))


def _window(value: Any) -> int | None:
    rows = None if value == "auto" else _whole(value)
    if rows is not None and 0 < rows < FEWEST_WINDOW_ROWS:
        raise ValueError("windows of so few rows have no statistics")
    return rows


def _words(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str | int | float) else value
    return tuple(item if isinstance(item, str) else repr(int(item) if item == round(item) else item) for item in given)


def _row_numbers(value: Any) -> tuple[int, ...]:
    listed_rows = value if isinstance(value, str) else ",".join(map(str, value))
    numbers = tuple(_whole(part) for part in listed_rows.split(","))
    if min(numbers) < 1:
        raise ValueError("rows count from 1")
    return numbers


def _shape(value: Any) -> tuple[int, int]:
    height, width = value.lower().split("x") if isinstance(value, str) else value
    shape = _whole(height), _whole(width)
    if min(shape) < 1:
        raise ValueError("a picture has pixels")
    return shape


def seconds(duration: str | float) -> float:
    """`90`, `90s`, `10m`, `1.5h` as seconds. Raises ValueError."""
    if isinstance(duration, int | float):
        return _number(duration)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)?\s*", duration)
    if not match:
        raise ValueError(f"{duration!r} is not a duration such as 90s, 10m or 1.5h")
    return float(match[1]) * {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


# what messages call a type, and how a value becomes one; a flag or a variable gives text, a file its own types
_TYPES: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    "duration": ("a duration such as 90s, 10m or 1.5h", seconds),
    "window": (f"auto, 0 or a whole number of rows from {FEWEST_WINDOW_ROWS}", _window),
    "words": ("a list of words and numbers", _words),
    bool: ("true or false", _truth),
    int: ("a whole number", _whole),
    int | None: ("a whole number", _whole),
    float: ("a number", _number),
    float | None: ("a number", _number),
    str: ("text", _text),
    str | None: ("text", _text),
    tuple[str, ...]: ("a list of column names", _names),
    tuple[int, int] | None: ("a height and a width in pixels, such as 8x8", _shape),
    tuple[int, ...]: ("row numbers, counted from 1", _row_numbers),
}

_NAMED_TYPES = {
    "time_budget_seconds": "duration",
    "max_gap_seconds": "duration",
    "cooldown_seconds": "duration",
    "notify_timeout_seconds": "duration",
    "window": "window",
    "missing": "words",
}
_A_SPAN = "a number of rows or a duration such as 90s, 10m or 1.5h"
_PARSED: dict[str, tuple[Callable[[str], Any], str]] = {
    "fail_on": (Gate.parse, "any, a count such as 10, or a share such as 2.5%"),
    "merge_gap": (Span.parse, _A_SPAN),
    "min_duration": (Span.parse, _A_SPAN),
    "long": (LongForm.parse, FORM),
    "contamination": (contamination_share, "auto or a share up to 50%, such as 5%"),
    "alarm_budget": (AlarmBudget.parse, "a number of alarms per hour, day, week or month, such as 1/day"),
}
_CHOICES = {"preset": PRESETS, "score_kind": SCORE_KINDS, "device": DEVICES}


def _within(allowed: Range | None, value: Any, shown: str, problems: list[str]) -> Any:
    """The value, or None after adding a problem."""
    if allowed is None or value is None:
        return value
    low, high, open_ends = allowed
    # not-a-number is inside nothing, so it is refused here too
    if low < value < high if open_ends else low <= value <= high:
        return value
    if open_ends and high == float("inf"):
        problems.append(f"{shown} {_plain(value)} is not above {_plain(low)}")
        return None
    # "--threshold 99" is meant as per cent
    meant = f"; did you mean {value / 100:.12g}?" if open_ends and high == 1 and 50 <= value < 100 else ""
    between = "strictly between" if open_ends else "between"
    problems.append(f"{shown} {_plain(value)} is not {between} {_plain(low)} and {_plain(high)}{meant}")
    return None


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.12g}"
