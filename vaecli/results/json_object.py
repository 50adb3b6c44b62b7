"""What `--json` prints for every verb: one object with the version of its keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 2

OF_SOME = ("spans", "length", "role")  # keys of a `Reason`: of strings, and of rows that are not of series

# Version 2 renamed these keys. The former ones are printed beside them until version 3 (docs/cli.md).
FORMER_KEYS = {
    "true_positives": "caught",
    "excluded_by_label": "labelled_out",
    "n_excluded_by_label": "n_labelled_out",
    "column_limits_share": "ranges_share",
    "column_limits_false_alarm_rate": "ranges_false_alarm_rate",
    "verdict": "word",
    "full_crossfit_below": "crossed_below",
}


def json_object(verb: str, summary: DataclassInstance) -> dict[str, Any]:
    """The fields of a summary as JSON values, with the `schema_version` and the `verb` before them."""
    return {"schema_version": SCHEMA_VERSION, "verb": verb, **with_former_keys(_without_empty(asdict(summary)))}


def _without_empty(value: Any) -> Any:
    """The value without those keys of reasons that only some reasons have, wherever they are None."""
    if isinstance(value, dict):
        of_others = {name for name in OF_SOME if "similar" in value and value.get(name) is None}
        return {name: _without_empty(below) for name, below in value.items() if name not in of_others}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_empty, value))
    return value


def with_former_keys(values: dict[str, Any]) -> dict[str, Any]:
    """The values with every renamed key also under its former name; nested objects are not looked into."""
    return values | {former: values[name] for name, former in FORMER_KEYS.items() if name in values}
