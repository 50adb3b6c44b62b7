"""Settings of `evaluate`: those of `score`, and its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import Range, checked, refusal
from vaecli.config.score import ScoreConfig, score_config


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """All settings of `vaecli evaluate`."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    label: str | None = None  # None: the column that marked anomalies at fit
    group: str | None = None
    marks: str | None = None  # file of rows that a person decided about
    baselines: str | None = None  # a table of normal rows; None: no simple methods to compare with
    bootstrap: int | None = None  # 0: no intervals; any other number has no effect
    seed: int = 0


_OWNERS = {"evaluate": EvaluateConfig}
_RANGES: dict[str, Range] = {"evaluate.bootstrap": (0, 100_000, False), "evaluate.seed": (0, 2**63 - 1, False)}
_OWN = ("label", "group", "marks", "baselines", "bootstrap", "seed")


def evaluate_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> EvaluateConfig:
    """Resolve the settings of one evaluation: those of `score_config`, and its own.

    None means "not given". Raises UsageError naming every value out of range.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _OWN and value is not None}
    settings = {
        name: checked(_OWNERS, _RANGES, f"evaluate.{name}", value, f"--{name}", problems) for name, value in own.items()
    }
    if problems:
        raise refusal(problems, "evaluate")
    shared = {name: value for name, value in flags.items() if name not in _OWN}
    return EvaluateConfig(score_config(shared, environment, verb="evaluate"), **settings)
