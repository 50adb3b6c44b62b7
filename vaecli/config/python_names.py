"""The settings that the functions of Python take: those of the command line, by the names of Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vaecli.errors import UsageError

if TYPE_CHECKING:
    from vaecli.config.stages import FitConfig

_RUN_SETTINGS = ("batch_rows", "workers")
_DECISION_SETTINGS = ("threshold", "min_score", "score_kind", *_RUN_SETTINGS)
EXPLAIN_SETTINGS = ("rows", "top", *_DECISION_SETTINGS)
EVALUATE_SETTINGS = ("label", "group", "marks", "baselines", "bootstrap", "seed", "offline", *_DECISION_SETTINGS)
ENCODE_SETTINGS = ("dims", "map", "spreads", "keep", "prefix", *_RUN_SETTINGS)
RECONSTRUCT_SETTINGS = ("impute", *_RUN_SETTINGS)
REPORT_SETTINGS = ("offline", "merge_gap", "min_duration", "alarm_budget", "image_shape", *_DECISION_SETTINGS)
CHECK_SETTINGS = (
    "batch_rows",
    "expect_rows",
    "fail_distance",
    "fail_share",
    "warn_distance",
    "warn_share",
    "workers",
)
FIT_SETTINGS = {
    "columns": "columns.columns",
    "exclude": "columns.exclude",
    "label": "columns.label",
    "id": "columns.id",
    "time": "columns.time",
    "group": "columns.group",
    "long": "columns.long",
    "same_unit": "columns.same_unit",
    "text": "columns.text",
    "lines": "columns.lines",
    "missing": "columns.missing",
    "decimal": "columns.decimal",
    "thousands": "columns.thousands",
    "threshold": "calibration.threshold",
    "seed": "train.seed",
    "device": "train.device",
    "max_epochs": "train.max_epochs",
    "time_budget": "train.time_budget_seconds",
    "preset": "preset",
    "score_kind": "score_kind",
    "marks": "marks",
    "contamination": "train.contamination",
}


def known(settings: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a call. Raises UsageError for others than `names`."""
    if unknown := sorted(settings.keys() - set(names)):
        raise UsageError(f"unknown settings: {', '.join(unknown)}", f"here are {', '.join(names)}")
    return settings


def given_fit_config(settings: dict[str, Any]) -> FitConfig:
    """The settings of a fit, given by short or dotted names. Raises UsageError."""
    unknown = [name for name in settings if "." not in name and name not in FIT_SETTINGS]
    if unknown:
        raise UsageError(f"unknown settings: {', '.join(unknown)}", f"fit takes {', '.join(FIT_SETTINGS)}")
    from vaecli.config.fit import fit_config

    return fit_config({FIT_SETTINGS.get(name, name): value for name, value in settings.items()}, environment={})
