"""The JSON Schema of what `--json` prints, made of the summaries themselves.

Further keys may come in any version, so the schemas allow them; a key that is there keeps its meaning.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import Any, Union, get_args, get_origin, get_type_hints

from vaecli.results.json_object import FORMER_KEYS, SCHEMA_VERSION

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SUMMARIES = {
    "fit": ("fit.FitSummary", "fit_sensors.SensorFitSummary", "plan.PlanSummary"),
    "check": ("check.CheckSummary",),
    "score": (
        "score.ScoreSummary",
        "score_sensors.SensorScoreSummary",
        "score_parts.PartsSummary",
        "score_spark.SparkSummary",
        "plan.PlanSummary",
    ),
    "explain": ("explain.ExplainSummary", "explain_sensors.SensorExplainSummary"),
    "evaluate": ("evaluate.EvaluateSummary", "evaluate_sensors.SensorEvaluateSummary"),
    "selftest": ("selftest.SelftestSummary", "selftest_sensors.SensorSelftestSummary"),
    "encode": ("encode.EncodeSummary",),
    "reconstruct": ("reconstruct.ReconstructSummary",),
    "sample": ("sample.SampleSummary",),
    "report": ("report.ReportSummary", "report_sensors.SensorReportSummary"),
    "calibrate": ("calibrate.CalibrateSummary",),
    "flag": ("flag.FlagSummary",),
    "mark": ("mark.MarkSummary",),
    "inspect": ("inspect.InspectSummary",),
    "config": ("settings.SettingsSummary",),
}
VERBS = tuple(_SUMMARIES)
_SIMPLE: Mapping[object, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": ["number", "null"]},  # not a number and the infinities are null
    type(None): {"type": "null"},
    Any: {},
}
# what a summary writes otherwise than its dataclass has it
_WRITTEN_BY_NAME = ("figures",)


def json_schema(verbs: Sequence[str] = VERBS) -> dict[str, Any]:
    """One schema for the objects of these verbs, their errors and skipped runs included."""
    definitions: dict[str, Any] = {}
    objects = [_summary(verb, place, definitions) for verb in verbs for place in _SUMMARIES[verb]]
    return {
        "$schema": DIALECT,
        "title": f"vaecli --json, schema version {SCHEMA_VERSION}",
        "type": "object",
        "anyOf": [*objects, _error(), _skipped()],
        "$defs": definitions,
    }


def _summary(verb: str, place: str, definitions: dict[str, Any]) -> dict[str, Any]:
    module, _, name = place.partition(".")
    kind = getattr(import_module(f"vaecli.results.{module}"), name)
    _define(kind, definitions)
    head = {"schema_version": {"const": SCHEMA_VERSION}, "verb": {"const": verb}}
    return {"properties": head, "required": list(head), "$ref": f"#/$defs/{name}"}


def _define(kind: Any, definitions: dict[str, Any]) -> None:
    """Add the schema of a dataclass, and those of the dataclasses that it holds."""
    if kind.__name__ in definitions:
        return
    definitions[kind.__name__] = {}  # a class may hold itself
    hints = get_type_hints(kind)
    properties = {}
    for one in fields(kind):
        is_by_name = one.name in _WRITTEN_BY_NAME
        properties[one.name] = {"type": "object"} if is_by_name else _type(hints[one.name], definitions)
        if (former := FORMER_KEYS.get(one.name)) is not None:
            properties[former] = properties[one.name] | {"deprecated": True}
    required = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    definitions[kind.__name__] = {"type": "object", "properties": properties, "required": required}


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(one, definitions) for one in inner]}
    if origin is tuple:
        kinds = [one for one in inner if one is not Ellipsis]
        items = _type(kinds[0], definitions) if len(set(kinds)) == 1 else {}
        return {"type": "array", "items": items}
    if origin in (list, Sequence):
        return {"type": "array", "items": _type(inner[0], definitions)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _type(inner[1], definitions)}
    if is_dataclass(hint) and _writes_itself(hint):
        return {"type": "object"}
    if is_dataclass(hint):
        _define(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}  # type: ignore[union-attr]
    raise TypeError(f"no schema for {hint}")


def _writes_itself(kind: Any) -> bool:
    """Whether an object inside a summary chooses its own keys."""
    return hasattr(kind, "to_json")


def _error() -> dict[str, Any]:
    keys: dict[str, Any] = {
        "schema_version": {"const": SCHEMA_VERSION},
        "error": {"type": "string"},
        "hint": {"type": "string"},
        "exit_code": {"type": "integer", "minimum": 1},
    }
    return {"title": "a run that failed", "properties": keys, "required": list(keys)}


def _skipped() -> dict[str, Any]:
    keys: dict[str, Any] = {
        "schema_version": {"const": SCHEMA_VERSION},
        "skipped": {"type": "string"},
        "exit_code": {"const": 0},
    }
    return {"title": "a run that found the lock held", "properties": keys, "required": list(keys)}
