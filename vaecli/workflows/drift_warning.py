"""Warnings for readers of flags: levels that the calibration cannot resolve, and drift."""

from __future__ import annotations

from vaecli.calibration.conformal import Calibration, rows_needed
from vaecli.decisions.threshold import Decision

DRIFT_FACTOR = 5.0  # this many times the expected share of flags looks like another process, not like anomalies
DRIFT_ROWS = 200


def warnings_of(calibration: Calibration, decision: Decision, n_rows: int, n_anomalies: int) -> tuple[str, ...]:
    """Warnings about `n_anomalies` flags in `n_rows` rows; none where a smallest score decides."""
    level = decision.level
    if level is None:
        return ()
    warnings = []
    if decision.uses_tail_model:
        warnings.append(
            f"threshold {level:g} needs {rows_needed(level):,} calibration rows to be measured; the bundle has "
            f"{calibration.n_rows:,}: beyond them a fitted tail decides, a model and not a guarantee"
        )
    if n_rows >= DRIFT_ROWS and n_anomalies > DRIFT_FACTOR * (1 - level) * n_rows:
        warnings.append(
            f"{n_anomalies / n_rows:.1%} of the rows are flagged where {1 - level:.2%} of normal rows "
            "would be: if they are not anomalies, the process has changed since the fit"
        )
    return tuple(warnings)
