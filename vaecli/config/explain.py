"""Settings of `explain`: those of `score`, and its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import Range, checked, refusal
from vaecli.config.score import ScoreConfig, score_config

MOST_ROWS = 2**62  # that a table can have: a row number that was typed may be beyond any integer of NumPy's


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """All settings of `vaecli explain`."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    top: int = 3  # reasons per row
    rows: tuple[int, ...] = ()  # rows to explain, from 1, flagged or not; none: the flagged ones
    most: int = 20  # rows in the summary, the most unusual; a file gets all


_OWNERS = {"explain": ExplainConfig}
_RANGES: dict[str, Range] = {"explain.top": (1, 1000, False), "explain.most": (1, 1000, False)}
_FLAGS = {"top": "--top", "rows": "--row", "most": "--most"}


def explain_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ExplainConfig:
    """Resolve the settings of one explanation: those of `score_config`, and `top`, `rows`, `most`.

    None means "not given". Raises UsageError naming every value out of range.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _FLAGS and value not in (None, ())}
    settings = {
        name: checked(_OWNERS, _RANGES, f"explain.{name}", value, _FLAGS[name], problems) for name, value in own.items()
    }
    if problems:
        raise refusal(problems, "explain")
    shared = {name: value for name, value in flags.items() if name not in _FLAGS}
    return ExplainConfig(score_config(shared, environment, verb="explain"), **settings)
