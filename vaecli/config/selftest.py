"""Settings of `selftest`: environment < flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.checks import Range, checked, refusal
from vaecli.config.score import ScoreConfig, score_config

FAULTS = ("spike", "shift", "scale", "swap", "stuck", "missing", "unseen", "wrong", "borrowed")


@dataclass(frozen=True, slots=True)
class SelftestConfig:
    """All settings of `vaecli selftest`."""

    score: ScoreConfig = field(default_factory=ScoreConfig)
    rows: int = 2000  # drawn from the table; each gets every fault at every size once
    seed: int = 0
    faults: tuple[str, ...] = FAULTS


_OWNERS = {"selftest": SelftestConfig}
_RANGES: dict[str, Range] = {"selftest.rows": (20, 100_000, False), "selftest.seed": (0, 2**63 - 1, False)}
_OWN = ("rows", "seed", "faults")


def selftest_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> SelftestConfig:
    """Resolve the settings of one self-test: those of `score_config`, and its own.

    None and () mean "not given". Faults are put in the order of FAULTS. Raises UsageError naming every value out of
    range and every unknown fault.
    """
    problems: list[str] = []
    own = {name: value for name, value in flags.items() if name in _OWN and value not in (None, ())}
    settings = {
        name: checked(_OWNERS, _RANGES, f"selftest.{name}", value, f"--{name}", problems) for name, value in own.items()
    }
    chosen = settings.get("faults") or FAULTS
    problems += [f"--faults {name!r} is not one of {', '.join(FAULTS)}" for name in chosen if name not in FAULTS]
    if problems:
        raise refusal(problems, "selftest")
    settings["faults"] = tuple(name for name in FAULTS if name in chosen)
    shared = {name: value for name, value in flags.items() if name not in _OWN}
    return SelftestConfig(score_config(shared, environment, verb="selftest"), **settings)
