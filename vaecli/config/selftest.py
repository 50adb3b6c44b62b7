"""Settings of `selftest`: environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import Range, checked, refusal
from vaecli.config.choices import FAULTS, SERIES_FAULTS, TEXT_FAULTS
from vaecli.config.score import ScoreConfig, score_config
from vaecli.errors import UsageError

_ALL_FAULTS = tuple(dict.fromkeys((*FAULTS, *TEXT_FAULTS, *SERIES_FAULTS)))


@dataclass(frozen=True, slots=True)
class SelftestConfig:
    """All settings of `vaecli selftest`."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    rows: int | None = None  # drawn from the table; None: 2,000, or of series as many as 200 stretches have
    seed: int = 0
    faults: tuple[str, ...] = ()  # none: all that the bundle can be tried with

    def faults_among(self, known: tuple[str, ...], of: str) -> tuple[str, ...]:
        """The chosen faults in the order of `known`. Raises UsageError for those that are not faults `of` such rows."""
        if unknown := [name for name in self.faults if name not in known]:
            raise UsageError(f"--faults {', '.join(unknown)}: not among the faults {of}", f"try {', '.join(known)}")
        return tuple(name for name in known if name in (self.faults or known))


_OWNERS = {"selftest": SelftestConfig}
_RANGES: dict[str, Range] = {"selftest.rows": (20, 100_000, False), "selftest.seed": (0, 2**63 - 1, False)}
_OWN = ("rows", "seed", "faults")


def selftest_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> SelftestConfig:
    """Resolve the settings of one self-test: those of `score_config`, and its own.

    None and () mean "not given". Raises UsageError naming every value out of
    range and every unknown fault.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _OWN and value not in (None, ())}
    settings = {
        name: checked(_OWNERS, _RANGES, f"selftest.{name}", value, f"--{name}", problems) for name, value in own.items()
    }
    chosen = settings.get("faults", ())
    problems += [
        f"--faults {name!r} is not one of {', '.join(_ALL_FAULTS)}" for name in chosen if name not in _ALL_FAULTS
    ]
    if problems:
        raise refusal(problems, "selftest")
    shared = {name: value for name, value in flags.items() if name not in _OWN}
    return SelftestConfig(score_config(shared, environment, verb="selftest"), **settings)
