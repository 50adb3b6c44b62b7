"""Settings of `score`, `explain` and `evaluate`: environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, from_environment, refusal, stage_of


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Everything `vaecli score` can be told. None means: as stored in the bundle."""

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


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """Everything `vaecli explain` can be told."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    top: int = 3  # reasons a row
    rows: tuple[int, ...] = ()  # rows to explain, from 1, flagged or not; none: the flagged ones
    most: int = 20  # rows in the summary, the oddest; a file gets all


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Everything `vaecli evaluate` can be told."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    label: str | None = None  # None: the column that marked anomalies at fit
    group: str | None = None
    baselines: str | None = None  # a table of normal rows; None: no simple methods to compare with
    bootstrap: int | None = None  # 0: no intervals; any other number is out of use
    seed: int = 0


_OWNERS = {"score": ScoreConfig, "explain": ExplainConfig, "evaluate": EvaluateConfig}
_RANGES: dict[str, Range] = {
    "score.threshold": (0, 1, True),
    "score.min_score": (float("-inf"), float("inf"), False),
    "score.batch_rows": (1, 10**8, False),
    "score.workers": (1, 1024, False),
    "score.explain": (0, 1000, False),
    "explain.top": (1, 1000, False),
    "explain.most": (1, 1000, False),
    "evaluate.bootstrap": (0, 100_000, False),
    "evaluate.seed": (0, 2**63 - 1, False),
}
_SCORE_VARIABLES = {
    "VAECLI_SCORE_KIND": "score.score_kind",
    "VAECLI_DEVICE": "score.device",
    "VAECLI_THRESHOLD": "score.threshold",
    "VAECLI_WORKERS": "score.workers",
}


def score_config(
    flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, verb: str = "score"
) -> ScoreConfig:
    """Resolve the settings of one scoring run, which may be part of another `verb`.

    `flags` maps field names of ScoreConfig to values; None means "not given". A `--min-score` flag
    silences `VAECLI_THRESHOLD`: both decide which rows are flagged. Raises UsageError naming every
    value out of range.
    """
    given = from_environment(_SCORE_VARIABLES, environment)
    if flags.get("min_score") is not None:
        given.pop("score.threshold", None)
    given |= {f"score.{name}": (value, flag_of(name)) for name, value in flags.items() if value is not None}
    problems: list[str] = []
    settings = {name: checked(_OWNERS, _RANGES, name, value, said, problems) for name, (value, said) in given.items()}
    if {"score.threshold", "score.min_score"} <= settings.keys():
        problems.append("--threshold and --min-score both decide which rows are flagged; give one")
    if problems:
        raise refusal(problems, verb)
    return ScoreConfig(**stage_of(settings, "score"))


def explain_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ExplainConfig:
    """Resolve the settings of one explanation: those of `score_config`, and `top`, `rows`, `most`.

    None means "not given". Raises UsageError naming every value out of range.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _EXPLAIN and value not in (None, ())}
    settings = {
        name: checked(_OWNERS, _RANGES, f"explain.{name}", value, _EXPLAIN[name], problems)
        for name, value in own.items()
    }
    if problems:
        raise refusal(problems, "explain")
    shared = {name: value for name, value in flags.items() if name not in _EXPLAIN}
    return ExplainConfig(score_config(shared, environment, verb="explain"), **settings)


_EXPLAIN = {"top": "--top", "rows": "--row", "most": "--most"}


def evaluate_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> EvaluateConfig:
    """Resolve the settings of one evaluation: those of `score_config`, and its own.

    None means "not given". Raises UsageError naming every value out of range.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _EVALUATE and value is not None}
    settings = {
        name: checked(_OWNERS, _RANGES, f"evaluate.{name}", value, f"--{name}", problems) for name, value in own.items()
    }
    if problems:
        raise refusal(problems, "evaluate")
    shared = {name: value for name, value in flags.items() if name not in _EVALUATE}
    return EvaluateConfig(score_config(shared, environment, verb="evaluate"), **settings)


_EVALUATE = ("label", "group", "baselines", "bootstrap", "seed")
