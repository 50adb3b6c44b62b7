"""Settings of `flag`: flags, and the number of workers from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, refusal, stage_of
from vaecli.config.rules import Rule, read_rules
from vaecli.config.score import ScoreConfig, run_config

LEVEL_OF_A_DAY = 0.99  # below which no row counts for --per-day, unless --threshold is given


@dataclass(frozen=True, slots=True)
class FlagConfig:
    """All settings of `vaecli flag`."""

    run: ScoreConfig = field(default_factory=ScoreConfig)  # batches, workers, and the prefix that `score` was given
    threshold: float | None = None
    fdr: float | None = None
    top: int | None = None
    per_day: int | None = None
    time: str | None = None
    group: str | None = None
    merge_gap: str | None = None
    calibration_rows: int | None = None  # None: those of the bundle
    anomalies_only: bool = False
    fail_on: str | None = None
    rules: tuple[Rule, ...] = ()

    @property
    def method(self) -> str:
        """What decides: `fdr`, `top`, `per_day`, `threshold`, or `kept`: the flags that the table has."""
        return next((name for name in (*_BUDGETS, "threshold") if getattr(self, name) is not None), "kept")


_BUDGETS = ("fdr", "top", "per_day")
_RANGES: dict[str, Range] = {
    "flag.threshold": (0, 1, True),
    "flag.fdr": (0, 1, True),
    "flag.top": (1, 10**9, False),
    "flag.per_day": (1, 10**6, False),
    "flag.calibration_rows": (1, 10**12, False),
}
_OWN = ("threshold", *_BUDGETS, "time", "group", "merge_gap", "calibration_rows", "anomalies_only", "fail_on")


def flag_config(
    flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, rules: Path | tuple[Rule, ...] | None
) -> FlagConfig:
    """Resolve the settings of one run; None means "not given". Raises UsageError for what makes no sense."""
    run = run_config(flags, environment, "flag")
    problems: list[str] = []
    given = {name: flags[name] for name in _OWN if flags.get(name) is not None}
    settings = {
        f"flag.{name}": checked({"flag": FlagConfig}, _RANGES, f"flag.{name}", value, flag_of(name), problems)
        for name, value in given.items()
    }
    budgets = [flag_of(name) for name in _BUDGETS if name in given]
    if len(budgets) > 1:
        problems.append(f"{' and '.join(budgets)} both decide which rows are flagged; give one")
    if "fdr" in given and "threshold" in given:
        problems.append("--fdr and --threshold both decide which rows are flagged; give one")
    if not budgets and "threshold" not in given and rules is None:
        problems.append("nothing is asked: give --threshold, --fdr, --top, --per-day or --rules")
    if "per_day" in given and "time" not in given:
        problems.append("--per-day needs a clock: name its column with --time")
    problems += [
        f"{flag_of(name)} is of {whose}, which is not given"
        for name, needed, whose in (
            ("merge_gap", "per_day", "--per-day"),
            ("group", "per_day", "--per-day"),
            ("calibration_rows", "fdr", "--fdr"),
        )
        if name in given and needed not in given
    ]
    if problems:
        raise refusal(problems, "flag")
    return FlagConfig(run, **stage_of(settings, "flag"), rules=rules if isinstance(rules, tuple) else read_rules(rules))
