"""Settings of `sample`: flags, and seed and workers from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, from_environment, refusal, stage_of


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """All settings of `vaecli sample`."""

    rows: int | None = None  # None: 1,000, in a picture 100; around given rows, 1 for each
    seed: int = 0
    like: str | None = None  # a table of rows to draw around; None: from the prior
    image_shape: tuple[int, int] | None = None  # (height, width) of each row as a picture; None: a table
    batch_rows: int = 16_384
    workers: int | None = None  # None: as many threads as there are cores

    @property
    def n_rows(self) -> int:
        """Rows altogether, or with `like` around each given row."""
        if self.rows is not None:
            return self.rows
        if self.like is not None:
            return 1
        return 1000 if self.image_shape is None else 100


_RANGES: dict[str, Range] = {
    "sample.rows": (1, 10**12, False),
    "sample.seed": (0, 2**63 - 1, False),
    "sample.batch_rows": (1, 10**8, False),
    "sample.workers": (1, 1024, False),
}
_VARIABLES = {"VAECLI_SEED": "sample.seed", "VAECLI_WORKERS": "sample.workers"}


def sample_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> SampleConfig:
    """Resolve the settings of one sample; None means "not given". Raises UsageError naming every value out of range."""
    given = from_environment(_VARIABLES, environment)
    given |= {f"sample.{name}": (value, flag_of(name)) for name, value in flags.items() if value is not None}
    problems: list[str] = []
    owners = {"sample": SampleConfig}
    settings = {name: checked(owners, _RANGES, name, value, shown, problems) for name, (value, shown) in given.items()}
    if problems:
        raise refusal(problems, "sample")
    return SampleConfig(**stage_of(settings, "sample"))
