"""Settings and report keys that bundles of format 3 store under a former name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STORED = {"full_crossfit_below": "crossed_below", "n_excluded_by_label": "n_labelled_out"}
_CURRENT = {stored: current for current, stored in _STORED.items()}


def to_stored_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings or the report of a fit as a bundle stores them, in the same order."""
    return _renamed(values, _STORED)


def to_current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `to_stored_names`."""
    return _renamed(values, _CURRENT)


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        names.get(name, name): _renamed(value, names) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
