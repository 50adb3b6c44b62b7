"""What whoever reads the flags should know: levels that the calibration cannot resolve, and drift."""

from __future__ import annotations

from vaecli.calibration.conformal import rows_needed
from vaecli.detector import Detector
from vaecli.tasks.score import Tally

DRIFT_FACTOR = 5.0  # this many times the expected share of flags looks like another process, not like anomalies
DRIFT_ROWS = 200


def warnings_of(detector: Detector, kind: str, level: float | None, tally: Tally) -> tuple[str, ...]:
    """What whoever reads the flags should know."""
    warnings = []
    calibration = detector.calibrations[kind]
    if level is not None and not calibration.resolves(level):
        warnings.append(
            f"threshold {level:g} needs {rows_needed(level):,} calibration rows to be measured; the bundle has "
            f"{calibration.n_rows:,}: beyond them a fitted tail decides, a model and not a guarantee"
        )
    if level is not None and tally.rows >= DRIFT_ROWS and tally.anomalies > DRIFT_FACTOR * (1 - level) * tally.rows:
        warnings.append(
            f"{tally.anomalies / tally.rows:.1%} of the rows are flagged where {1 - level:.2%} of normal rows "
            "would be: if they are not anomalies, the process has changed since the fit"
        )
    return tuple(warnings)
