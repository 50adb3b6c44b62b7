"""Settings of `fit` and where they come from: defaults < project file < environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, from_environment, refusal, stage_of
from vaecli.config.former_names import to_current_names
from vaecli.config.long_form import LongForm
from vaecli.config.stages import (
    HETEROSCEDASTIC,
    HOMOSCEDASTIC,
    PRESET_SETTINGS,
    SAME_UNIT_SETTINGS,
    CalibrationConfig,
    ColumnsConfig,
    FamilyConfig,
    FitConfig,
    ModelConfig,
    TrainConfig,
)
from vaecli.config.toml_file import toml_in
from vaecli.config.windows import MOST_ROWS, WindowsConfig

_STAGES = {
    "columns": ColumnsConfig,
    "model": ModelConfig,
    "heteroscedastic": FamilyConfig,
    "homoscedastic": FamilyConfig,
    "train": TrainConfig,
    "calibration": CalibrationConfig,
    "windows": WindowsConfig,
}
_TOP_LEVEL = {"preset", "score_kind", "marks"}
_OWNERS = {**_STAGES, "": FitConfig}
_RANGES: dict[str, Range] = {
    "columns.max_categories": (2, 10_000, False),
    "model.n_exemplars": (1, 100_000, False),
    "model.n_centers": (1, 100_000, False),
    "model.n_noise": (1, 1024, False),
    "model.min_log_variance": (-20, 0, False),
    "model.full_crossfit_below": (0, 10**9, False),
    "heteroscedastic.n_latent": (1, 512, False),
    "heteroscedastic.n_hidden": (1, 4096, False),
    "heteroscedastic.beta": (0, 100, False),
    "homoscedastic.n_latent": (1, 512, False),
    "homoscedastic.n_hidden": (1, 4096, False),
    "homoscedastic.beta": (0, 100, False),
    "train.seed": (0, 2**63 - 1, False),
    "train.max_epochs": (1, 10**6, False),
    "train.max_steps": (1, 10**7, False),
    "train.batch_rows": (2, 10**6, False),
    "train.learning_rate": (0, 1, True),
    "train.weight_decay": (0, 1, False),
    "train.warmup_share": (0, 1, False),
    "train.patience": (1, 10**6, False),
    "train.time_budget_seconds": (0, float("inf"), True),
    "train.memory_bytes": (0, 2**50, False),
    "calibration.threshold": (0, 1, True),
    "calibration.n_folds": (2, 20, False),
    "calibration.max_rows": (100, 10**8, False),
    "windows.window": (0, MOST_ROWS, False),
    "windows.max_gap_seconds": (0, float("inf"), True),
}

FIT_VARIABLES = {
    "VAECLI_PRESET": "preset",
    "VAECLI_SCORE_KIND": "score_kind",
    "VAECLI_SEED": "train.seed",
    "VAECLI_DEVICE": "train.device",
    "VAECLI_MAX_EPOCHS": "train.max_epochs",
    "VAECLI_TIME_BUDGET": "train.time_budget_seconds",
    "VAECLI_THRESHOLD": "calibration.threshold",
}


def fit_config(
    flags: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> FitConfig:
    """Resolve the settings of one fit.

    `flags` maps dotted names (`train.seed`, `preset`) to values; None means "not given". Raises
    UsageError naming every unknown name and every value out of range, with where it came from.
    """
    problems: list[str] = []
    given = given_settings(flags, file, environment, problems)
    settings = {name: checked(_OWNERS, _RANGES, name, value, shown, problems) for name, (value, shown) in given.items()}
    problems += _contradictions(settings)
    if problems:
        raise refusal(problems, "fit")

    of_unit = SAME_UNIT_SETTINGS if settings.get("columns.same_unit") else {}
    settings = {**PRESET_SETTINGS[settings.get("preset", "default")], **of_unit, **settings}
    return FitConfig(
        columns=ColumnsConfig(**stage_of(settings, "columns")),
        model=ModelConfig(**stage_of(settings, "model")),
        heteroscedastic=replace(HETEROSCEDASTIC, **stage_of(settings, "heteroscedastic")),
        homoscedastic=replace(HOMOSCEDASTIC, **stage_of(settings, "homoscedastic")),
        train=TrainConfig(**stage_of(settings, "train")),
        calibration=CalibrationConfig(**stage_of(settings, "calibration")),
        windows=WindowsConfig(**stage_of(settings, "windows")),
        **{name: value for name, value in settings.items() if "." not in name},
    )


def given_settings(
    flags: Mapping[str, Any], file: Path | None, environment: Mapping[str, str], problems: list[str]
) -> dict[str, tuple[Any, str]]:
    """(value, what messages call it) of each setting that is not a default; what is no setting is added to `problems`.

    Raises UsageError for a file that is no TOML file.
    """
    given = {name: (value, f"{file}: {name} =") for name, value in _from_file(file, problems)}
    given |= from_environment(FIT_VARIABLES, environment)
    given |= {name: (value, flag_of(name)) for name, value in flags.items() if value not in (None, ())}
    return to_current_names(given, problems)


def _from_file(file: Path | None, problems: list[str]) -> list[tuple[str, Any]]:
    if file is None:
        return []
    tables = toml_in(file)
    flat: list[tuple[str, Any]] = []
    for name, value in tables.items():
        if isinstance(value, dict) and name in _STAGES:
            flat += [(f"{name}.{key}", inner) for key, inner in value.items()]
        elif name in _TOP_LEVEL:
            flat.append((name, value))
        else:
            problems.append(f"{file}: unknown setting {name!r}")
    return flat


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    """A column that is asked to play two parts, or to be in and out."""
    parts: dict[str, list[str]] = {}
    for part in ("label", "time", "group", "id"):
        named = settings.get(f"columns.{part}") or ()
        for column in dict.fromkeys([named] if isinstance(named, str) else named):
            parts.setdefault(column, []).append(flag_of(part))
    problems = [
        f"column {column!r} is named by {' and '.join(flags)}; a column plays one part"
        for column, flags in parts.items()
        if len(flags) > 1
    ]
    if settings.get("columns.long"):
        form = LongForm.parse(settings["columns.long"])
        problems += [
            f"column {column!r} is named by --long and {' and '.join(flags)}; a column plays one part"
            for column, flags in parts.items()
            if column in (form.name, form.value)
        ]
        if settings.get("windows.window") == 0:
            problems.append("--long and --window 0 contradict each other: the rows of a long table are a series")
        if settings.get("columns.same_unit"):
            problems.append("--long and --same-unit contradict each other: sensors in time have a scale each")
    if settings.get("columns.lines") and settings.get("columns.long"):
        problems.append("--lines and --long contradict each other: lines have no columns")
    problems += _mark_problems(settings.get("columns.decimal") or "", settings.get("columns.thousands") or "")
    excluded = settings.get("columns.exclude") or ()
    if settings.get("distrusted") and not settings.get("train.contamination"):
        problems.append("--distrusted lists the rows that --contamination distrusts, which is not given")
    both = [column for column in settings.get("columns.columns") or () if column in excluded]
    return problems + [f"column {column!r} is named by --columns and --exclude" for column in both]


def _mark_problems(decimal: str, thousands: str) -> list[str]:
    problems = []
    if decimal not in ("", ",", "."):
        problems.append(f"--decimal {decimal!r} is neither a comma nor a point")
    if thousands and (len(thousands) > 1 or thousands.isalnum() or thousands in '+-\n\r\t"'):
        problems.append(f"--thousands {thousands!r} is not a mark such as , or . or ' or a space")
    if thousands and thousands == decimal:
        problems.append(f"--decimal and --thousands are both {decimal!r}")
    return problems
