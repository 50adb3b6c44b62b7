"""Settings of `report`: environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import checked, refusal
from vaecli.config.score import ScoreConfig, score_config


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """All settings of `vaecli report`: what decides, what is drawn, and how to run."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    image_shape: tuple[int, int] | None = None  # (height, width) of each row as a picture; None: rows are not pictures


def report_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ReportConfig:
    """Resolve the settings of one report; None means "not given". Raises UsageError for values out of range."""
    shared = {name: value for name, value in flags.items() if name != "image_shape"}
    given = flags.get("image_shape")
    if given is None:
        return ReportConfig(score_config(shared, environment, verb="report"))
    problems: list[str] = []
    shape = checked({"report": ReportConfig}, {}, "report.image_shape", given, "--image-shape", problems)
    if problems:
        raise refusal(problems, "report")
    return ReportConfig(score_config(shared, environment, verb="report"), shape)
