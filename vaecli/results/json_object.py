"""What `--json` prints for every verb: one object with the version of its keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 2

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
    return {"schema_version": SCHEMA_VERSION, "verb": verb, **with_former_keys(asdict(summary))}


def with_former_keys(values: dict[str, Any]) -> dict[str, Any]:
    """The values with every renamed key also under its former name; nested objects are not looked into."""
    return values | {former: values[name] for name, former in FORMER_KEYS.items() if name in values}
