"""Settings of `check`: those of `score` that it shares, and its limits; file < flags."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, refusal
from vaecli.config.score import ScoreConfig, run_config
from vaecli.config.toml_file import table_of, toml_in
from vaecli.errors import UsageError


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """All settings of `vaecli check`; a limit counts where the difference is also beyond chance."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    warn_distance: float = 0.1  # standard deviations of the ranks, or total variation
    fail_distance: float = 0.25
    warn_share: float = 0.01  # of rows: unseen, out of range, or missing more or less often than in training
    fail_share: float = 0.05
    expect_rows: str | None = None  # MIN..MAX

    @property
    def rows_expected(self) -> tuple[int, float]:
        """The fewest and the most rows that are usual; at least one where nothing is known."""
        return (1, float("inf")) if self.expect_rows is None else expected_rows(self.expect_rows)


_OWNERS = {"check": CheckConfig}
_LIMITS = ("warn_distance", "fail_distance", "warn_share", "fail_share")
_OWN = (*_LIMITS, "expect_rows")
_RANGES: dict[str, Range] = {
    "check.warn_distance": (0, 10, False),
    "check.fail_distance": (0, 10, False),
    "check.warn_share": (0, 1, False),
    "check.fail_share": (0, 1, False),
}


def expected_rows(text: str) -> tuple[int, float]:
    """The ends of `MIN..MAX`, either of which may be left out. Raises UsageError for any other text."""
    match = re.fullmatch(r"(\d*)\.\.(\d*)", text)
    ends = (int(match[1] or 0), float(match[2] or "inf")) if match and (match[1] or match[2]) else None
    if ends is None or ends[0] > ends[1]:
        raise UsageError(f"--expect-rows {text!r} is not MIN..MAX", "for example: 900..1100, 500.. or 0..100")
    return ends


def check_config(
    flags: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> CheckConfig:
    """Resolve the settings of one check: its own, in `file` under [check], and those of `run_config`.

    None means "not given". Raises UsageError naming every unknown name and every value out of range.
    """
    problems: list[str] = []
    given = {f"check.{name}": (value, f"{file}: check.{name} =") for name, value in file_limits(file).items()}
    given |= {f"check.{n}": (flags[n], flag_of(n)) for n in _OWN if flags.get(n) is not None}
    known = {name: one for name, one in given.items() if name.partition(".")[2] in _OWN}
    problems += [
        f"{shown.removesuffix(' =')}: unknown setting; check has {', '.join(_OWN)}"
        for name, (_, shown) in given.items()
        if name not in known
    ]
    settings = {
        name.partition(".")[2]: checked(_OWNERS, _RANGES, name, value, shown, problems)
        for name, (value, shown) in known.items()
    }
    if problems:
        raise refusal(problems, "check")
    if "expect_rows" in settings:
        expected_rows(settings["expect_rows"])
    config = CheckConfig(run_config(flags, environment, "check"), **settings)
    for what in ("distance", "share"):
        if getattr(config, f"warn_{what}") > getattr(config, f"fail_{what}"):
            raise UsageError(f"--warn-{what} is above --fail-{what}", "a failure is more than a warning")
    return config


def file_limits(file: Path | None) -> dict[str, Any]:
    """What a file has under [check]. Raises UsageError for what is no TOML file."""
    return {} if file is None else table_of(toml_in(file), "check", file)
