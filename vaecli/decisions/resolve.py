"""From settings to a decision: which score, which level, which smallest score."""

from __future__ import annotations

from collections.abc import Mapping

from vaecli.calibration.conformal import Calibration, alpha_of
from vaecli.config import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.errors import UsageError


def resolve(
    config: ScoreConfig, calibrations: Mapping[str, Calibration], score_kind: str, threshold: float
) -> Decision:
    """The decision that `config` asks for; what it leaves open is `score_kind` and `threshold`, those of the bundle.

    Raises UsageError for a score kind without a calibration.
    """
    kind = config.score_kind or score_kind
    if kind not in calibrations:
        raise UsageError(
            f"the bundle holds no calibration for --score-kind {kind}", f"it has {', '.join(sorted(calibrations))}"
        )
    calibration = calibrations[kind]
    if config.min_score is not None:
        return Decision(kind, None, None, config.min_score, uses_tail_model=False)
    level = config.threshold if config.threshold is not None else threshold
    return Decision(
        kind, level, alpha_of(level), calibration.threshold(level), uses_tail_model=not calibration.resolves(level)
    )
