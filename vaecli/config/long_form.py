"""The form of a long table: which columns hold the name of a sensor and its reading."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from vaecli.errors import UsageError, quoted

_HINT = "for example: --long name=tag,value=value"


@dataclass(frozen=True, slots=True)
class LongForm:
    """A table with a row per sensor and time: the columns with the `name` of the sensor (its tag) and its `value`."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> LongForm:
        """The form that `name=COLUMN,value=COLUMN` describes, a record of CSV. Raises UsageError for any other text."""
        try:
            items = next(csv.reader([text], skipinitialspace=True, strict=True), [])
        except csv.Error:
            items = []
        parts = [item.partition("=") for item in items]
        found = {key.strip(): column for key, _, column in parts}
        if len(parts) != 2 or set(found) != {"name", "value"} or not all(found.values()):
            raise UsageError(f"--long {quoted(text)} is not name=COLUMN,value=COLUMN", _HINT)
        if found["name"] == found["value"]:
            raise UsageError(f"--long: column {quoted(found['name'])} is named twice", _HINT)
        return cls(found["name"], found["value"])

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> LongForm:
        """The form in a bundle. Raises KeyError, TypeError or ValueError on values that no fit writes."""
        name, value = values["name"], values["value"]
        if not isinstance(name, str) or not isinstance(value, str) or not name or not value or name == value:
            raise ValueError("the columns of the long table are not two names")
        return cls(name, value)
