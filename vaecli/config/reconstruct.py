"""Settings of `reconstruct`: flags, and the number of workers from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.score import ScoreConfig, run_config


@dataclass(frozen=True, slots=True)
class ReconstructConfig:
    """All settings of `vaecli reconstruct`; of `run` it uses only batches and workers."""

    run: ScoreConfig = field(default_factory=ScoreConfig)
    impute: bool = False  # missing cells only


def reconstruct_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> ReconstructConfig:
    """Resolve the settings of one reconstruction; None means "not given". Raises UsageError for values out of range."""
    return ReconstructConfig(run_config(flags, environment, "reconstruct"), bool(flags.get("impute")))
