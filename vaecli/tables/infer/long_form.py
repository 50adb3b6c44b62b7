"""Recognises a table with a row per sensor and time by its columns: a tag, a reading, and a clock."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence

from vaecli.schema import Column, Kind, Role

_TAGS = {"tag", "tagname", "tag_name", "sensor", "sensor_id", "sensor_name", "entity_id", "variable", "metric", "point"}
_TAGS |= {"measurement", "signal", "channel", "parameter", "_field", "series", "item"}
_READINGS = {"value", "_value", "reading", "state", "val", "wert"}


def long_option(columns: Sequence[Column], mixed: Collection[str] = ()) -> str:
    """The option that reads such a table as one of sensors, `--long name=tag,value=value`; empty for other tables.

    Columns named in `mixed` hold numbers, and words that are not numbers.
    """
    features = [one for one in columns if one.role is Role.FEATURE]
    tags = [one for one in columns if plain(one.name) in _TAGS and one.kind is Kind.CATEGORICAL]
    numbers = [one for one in features if one.kind is Kind.NUMERIC or one.name in mixed]
    has_clock = any(one.role is Role.TIME or one.kind is Kind.DATETIME for one in columns)
    if not has_clock or len(tags) != 1 or len(numbers) != 1 or plain(numbers[0].name) not in _READINGS:
        return ""
    return "--long " + shlex.quote(f"name={tags[0].name},value={numbers[0].name}")


def plain(name: str) -> str:
    """The name in small letters, with underscores."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())
