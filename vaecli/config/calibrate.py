"""Settings of `calibrate`: flags, and the number of workers from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, refusal, stage_of
from vaecli.config.score import ScoreConfig, run_config


@dataclass(frozen=True, slots=True)
class CalibrateConfig:
    """All settings of `vaecli calibrate`."""

    run: ScoreConfig = field(default_factory=ScoreConfig)  # batches and workers only
    by: str | None = None  # column whose groups are calibrated each by its own rows
    min_rows: int | None = None  # rows a group needs for that; None: as many as resolve the level
    add: bool = False  # whether the rows of the fit keep calibrating too
    threshold: float | None = None  # the new default level; None leaves it as it is
    marks: str | None = None  # file of rows that a person decided about


_RANGES: dict[str, Range] = {"calibrate.min_rows": (8, 10**9, False), "calibrate.threshold": (0, 1, True)}


def calibrate_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> CalibrateConfig:
    """Resolve the settings of one calibration; None means "not given". Raises UsageError for values out of range."""
    run = run_config(flags, environment, "calibrate")
    own = {name: flags[name] for name in ("by", "min_rows", "add", "threshold", "marks") if flags.get(name) is not None}
    problems: list[str] = []
    owners = {"calibrate": CalibrateConfig}
    settings = {
        f"calibrate.{name}": checked(owners, _RANGES, f"calibrate.{name}", value, flag_of(name), problems)
        for name, value in own.items()
    }
    if "min_rows" in own and "by" not in own:
        problems.append("--min-rows is that of a group, and --by names no column of groups")
    if own.get("add") and "by" in own:
        problems.append("--add and --by contradict each other: the bundle does not know the groups of earlier rows")
    if problems:
        raise refusal(problems, "calibrate")
    return CalibrateConfig(run, **stage_of(settings, "calibrate"))
