"""Nested settings as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MOST_ITEMS = 8


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of each setting, such as (`train.seed`, `0`).

    Long lists are cut and counted; empty values and lists of lists or objects are left out.
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat_settings(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            if value and not any(isinstance(item, Mapping | list | tuple) for item in value):
                yield f"{prefix}{name}", _listed([str(item) for item in value])
        elif value is not None and value != "":
            yield f"{prefix}{name}", f"{value:.6g}" if isinstance(value, float) else str(value)


def _listed(items: list[str]) -> str:
    more = len(items) - _MOST_ITEMS
    return ", ".join(items) if more <= 0 else f"{', '.join(items[:_MOST_ITEMS])}, … and {more:,} more"
