"""The form of a long table: which columns hold the name of a sensor and its reading."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaecli.config.spans import Span
from vaecli.errors import UsageError, quoted

FORM = "name=COLUMN,value=COLUMN[,every=DURATION][,hold=STEPS]"
_HINT = "for example: --long name=tag,value=value, or with every=1m for sensors that report at different moments"


@dataclass(frozen=True, slots=True)
class LongForm:
    """A table with a row per sensor and time: the columns with the `name` of the sensor (its tag) and its `value`.

    Readings of one stretch of `every` seconds (or units of a clock that counts) share a stamp; None: of one time. The
    last reading of a sensor stands for later ones for `hold` of its usual steps; None: as long as it is silent.
    """

    name: str
    value: str
    every: float | None = None
    hold: int | None = None

    @classmethod
    def parse(cls, text: str) -> LongForm:
        """The form that a text like FORM describes, a record of CSV. Raises UsageError for any other text."""
        try:
            items = next(csv.reader([text], skipinitialspace=True, strict=True), [])
        except csv.Error:
            items = []
        parts = [item.partition("=") for item in items]
        found = {key.strip(): given for key, _, given in parts}
        known = set(found) - {"every", "hold"} == {"name", "value"}
        if not known or len(found) < len(parts) or not all(found.values()) or found["name"] == found["value"]:
            raise UsageError(f"--long {quoted(text)} is not {FORM}", _HINT)
        every = _every(found["every"]) if "every" in found else None
        return cls(found["name"], found["value"], every, _hold(found["hold"]) if "hold" in found else None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` is the inverse."""
        given = {"every": self.every, "hold": self.hold}
        return {"name": self.name, "value": self.value, **{key: one for key, one in given.items() if one is not None}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LongForm:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on values that no fit writes."""
        name, value, every, hold = values["name"], values["value"], values.get("every"), values.get("hold")
        if not isinstance(name, str) or not isinstance(value, str) or not name or not value or name == value:
            raise ValueError("the columns of the long table are not two names")
        if every is not None and not (isinstance(every, float) and 0 < every < math.inf):
            raise ValueError("the stamps of the long table are not a positive time apart")
        if hold is not None and not (type(hold) is int and hold > 0):
            raise ValueError("the steps that a reading is held for are not a count")
        return cls(name, value, every, hold)


def _hold(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"--long hold={text} is not a number of steps", "for example: --long name=tag,value=value,hold=20"
        )
    return int(text)


def _every(text: str) -> float:
    span = Span.parse(text)
    every = float(span.rows or 0) if span.seconds is None else span.seconds
    if not every > 0:
        raise UsageError(f"--long every={text} is not a positive time", _HINT)
    return every
