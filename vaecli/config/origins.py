"""Where each setting of a verb comes from: a file, a variable, the preset, or its default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaecli.config.check import check_config, file_limits
from vaecli.config.fit import FIT_VARIABLES, fit_config, given_settings
from vaecli.config.incidents import incident_config, settings_in_file
from vaecli.config.score import SCORE_VARIABLES, score_config
from vaecli.config.stages import PRESET_SETTINGS, SAME_UNIT_SETTINGS
from vaecli.errors import UsageError, did_you_mean
from vaecli.runtime.urls import shown

VERBS = ("fit", "score", "check")
BUNDLE_VARIABLE = "VAECLI_MODEL"
VARIABLES = tuple(sorted({BUNDLE_VARIABLE, "VAECLI_RUN_ID", *FIT_VARIABLES, *SCORE_VARIABLES}))


def origins(
    verb: str, file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[str, Any, str]]:
    """Yield (name, value, origin) of each setting that a verb would use without options.

    Raises UsageError for a verb without settings, and for values that the verb would refuse.
    """
    if verb not in VERBS:
        raise UsageError(f"{verb!r} has no settings to show", f"one of {', '.join(VERBS)}")
    bundle = environment.get(BUNDLE_VARIABLE)
    yield "bundle", bundle or "model.vae", BUNDLE_VARIABLE if bundle else "default"
    found = {"fit": _of_fit, "score": _of_score, "check": _of_check}[verb](file, environment)
    yield from found


def unread_variables(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """A sentence for each variable `VAECLI_…` that no verb reads, mostly for a slip in its name."""
    unread = sorted(name for name in environment if name.startswith("VAECLI_") and name not in VARIABLES)
    return tuple(f"{name}: no verb reads this variable{did_you_mean(name, VARIABLES)}" for name in unread)


def _of_fit(file: Path | None, environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    config = fit_config({}, file, environment)
    given = given_settings({}, file, environment, [])
    values = dict(_flat(asdict(config)))
    values.pop("resume")
    for name, value in values.items():
        if name in given:
            yield name, value, _origin(given[name][1])
        elif config.columns.same_unit and name in SAME_UNIT_SETTINGS:
            yield name, value, "columns.same_unit"
        elif name in PRESET_SETTINGS[config.preset]:
            yield name, value, f"preset {config.preset}"
        else:
            yield name, value, "default"


def _of_score(file: Path | None, environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    yield from _of_scoring(asdict(score_config({}, environment)), environment)
    in_file = settings_in_file(file)
    for name, value in asdict(incident_config({}, file)).items():
        yield f"incidents.{name}", value, shown(str(file)) if name in in_file else "default"


def _of_check(file: Path | None, environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    config = asdict(check_config({}, file, environment))
    running = {name: value for name, value in config.pop("score").items() if name in ("batch_rows", "workers")}
    limits = file_limits(file)
    for name, value in config.items():
        yield name, value, shown(str(file)) if name in limits else "default"
    yield from _of_scoring(running, environment)


def _of_scoring(values: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    variables = {name.partition(".")[2]: variable for variable, name in SCORE_VARIABLES.items()}
    for name, value in values.items():
        variable = variables.get(name, "")
        yield name, value, variable if environment.get(variable) else "default"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _origin(shown_as: str) -> str:
    """The file or the variable of a setting, of what messages call it."""
    return shown(shown_as.rpartition(": ")[0]) if shown_as.endswith(" =") else shown_as
