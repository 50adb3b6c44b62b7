"""The form of a long table: which columns hold the name of a sensor and its reading."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaecli.config.spans import Span
from vaecli.errors import UsageError, quoted

FORM = "name=COLUMN,value=COLUMN[,every=DURATION]"
_HINT = "for example: --long name=tag,value=value, or with every=1m for sensors that report at different moments"


@dataclass(frozen=True, slots=True)
class LongForm:
    """A table with a row per sensor and time: the columns with the `name` of the sensor (its tag) and its `value`.

    Readings of one stretch of `every` seconds (or units of a clock that counts) share a stamp; None: of one time.
    """

    name: str
    value: str
    every: float | None = None

    @classmethod
    def parse(cls, text: str) -> LongForm:
        """The form that a text like FORM describes, a record of CSV. Raises UsageError for any other text."""
        try:
            items = next(csv.reader([text], skipinitialspace=True, strict=True), [])
        except csv.Error:
            items = []
        parts = [item.partition("=") for item in items]
        found = {key.strip(): given for key, _, given in parts}
        known = set(found) - {"every"} == {"name", "value"}
        if not known or len(found) < len(parts) or not all(found.values()) or found["name"] == found["value"]:
            raise UsageError(f"--long {quoted(text)} is not {FORM}", _HINT)
        return cls(found["name"], found["value"], _every(found["every"]) if "every" in found else None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` is the inverse."""
        return {"name": self.name, "value": self.value, **({} if self.every is None else {"every": self.every})}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LongForm:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on values that no fit writes."""
        name, value, every = values["name"], values["value"], values.get("every")
        if not isinstance(name, str) or not isinstance(value, str) or not name or not value or name == value:
            raise ValueError("the columns of the long table are not two names")
        if every is not None and not (isinstance(every, float) and 0 < every < math.inf):
            raise ValueError("the stamps of the long table are not a positive time apart")
        return cls(name, value, every)


def _every(text: str) -> float:
    span = Span.parse(text)
    every = float(span.rows or 0) if span.seconds is None else span.seconds
    if not every > 0:
        raise UsageError(f"--long every={text} is not a positive time", _HINT)
    return every
