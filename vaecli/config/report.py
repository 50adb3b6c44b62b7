"""Settings of `report`: environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.score import ScoreConfig, score_config


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """Everything `vaecli report` can be told: what decides, and how to run."""

    score: ScoreConfig = field(default_factory=ScoreConfig)


def report_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ReportConfig:
    """Resolve the settings of one report; None means "not given". Raises UsageError for values out of range."""
    return ReportConfig(score_config(flags, environment))
