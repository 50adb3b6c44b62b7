"""Settings of `score`, which every verb that scores rows shares: environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, from_environment, refusal, stage_of
from vaecli.config.choices import ENGINES
from vaecli.errors import UsageError


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """All settings of `vaecli score`; None takes the value stored in the bundle."""

    threshold: float | None = None
    min_score: float | None = None
    score_kind: str | None = None
    fail_on: str | None = None
    anomalies_only: bool = False
    prefix: str = ""
    batch_rows: int = 16_384
    explain: int = 0  # columns named for each flagged row; 0: no column `top_columns`
    workers: int | None = None  # threads that score; None: as many as there are cores
    device: str = "auto"
    offline: bool = False  # series only: whether a score may depend on rows that follow
    merge_gap: str | None = None  # series only: events closer than that are one; None: the rows of a window
    min_duration: str | None = None  # series only: shorter events are left out
    alarm_budget: str | None = None  # series only: the threshold is the one with so many events on normal rows
    follow: bool = False  # whether rows are scored and written as they come


_OWNERS = {"score": ScoreConfig}
_RANGES: dict[str, Range] = {
    "score.threshold": (0, 1, True),
    "score.min_score": (float("-inf"), float("inf"), False),
    "score.batch_rows": (1, 10**8, False),
    "score.workers": (1, 1024, False),
    "score.explain": (0, 1000, False),
}
SCORE_VARIABLES = {
    "VAECLI_SCORE_KIND": "score.score_kind",
    "VAECLI_DEVICE": "score.device",
    "VAECLI_THRESHOLD": "score.threshold",
    "VAECLI_WORKERS": "score.workers",
}


def score_config(
    flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, verb: str = "score"
) -> ScoreConfig:
    """Resolve the settings of one scoring run, which may be part of another `verb`.

    `flags` maps field names of ScoreConfig to values; None means "not given". A `--min-score` or `--alarm-budget` flag
    silences `VAECLI_THRESHOLD`: all decide which rows are flagged. Raises UsageError naming every value out of range.
    """
    given = from_environment(SCORE_VARIABLES, environment)
    if flags.get("min_score") is not None or flags.get("alarm_budget") is not None:
        given.pop("score.threshold", None)
    given |= {f"score.{name}": (value, flag_of(name)) for name, value in flags.items() if value is not None}
    problems: list[str] = []
    settings = {name: checked(_OWNERS, _RANGES, name, value, shown, problems) for name, (value, shown) in given.items()}
    if {"score.threshold", "score.min_score"} <= settings.keys():
        problems.append("--threshold and --min-score both decide which rows are flagged; give one")
    if "score.alarm_budget" in settings:
        problems += [
            f"--alarm-budget and {flag_of(name)} both decide which rows are flagged; give one"
            for name in ("score.threshold", "score.min_score")
            if name in settings
        ]
        if "score.merge_gap" in settings:
            problems.append("--alarm-budget counts events with the default merge gap; leave --merge-gap out")
    if settings.get("score.follow") and settings.get("score.offline"):
        problems.append("--follow and --offline contradict each other: a live stream knows no later rows")
    if problems:
        raise refusal(problems, verb)
    return ScoreConfig(**stage_of(settings, "score"))


def check_engine(engine: str | None, remote: str | None, verb: str) -> None:
    """Raise UsageError for an engine that there is not, and for one without what it needs."""
    if engine not in (None, *ENGINES):
        raise refusal([f"--engine {engine!r} is not one of {', '.join(ENGINES)}"], verb)
    if (engine == "spark") != (remote is not None):
        raise refusal(["--engine spark and --remote sc://HOST:PORT belong together: give both, or neither"], verb)


def run_config(flags: Mapping[str, Any], environment: Mapping[str, str], verb: str) -> ScoreConfig:
    """The settings of a `verb` that computes rows but flags none: prefix, batches and workers.

    `VAECLI_WORKERS` is the only variable that is read. Raises UsageError naming every value out of range.
    """
    workers = {name: value for name, value in environment.items() if name == "VAECLI_WORKERS"}
    return score_config({name: flags.get(name) for name in ("prefix", "batch_rows", "workers")}, workers, verb=verb)


def score_settings(settings: dict[str, Any]) -> ScoreConfig:
    """The settings of `score` as Python functions take them. Raises UsageError for unknown names and values."""
    known = {field.name for field in fields(ScoreConfig)} - {"fail_on"}
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise UsageError(f"unknown settings: {', '.join(unknown)}", f"score takes {', '.join(sorted(known))}")
    return score_config(settings, environment={})
