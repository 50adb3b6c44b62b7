"""Warnings for readers of flags: levels that the calibration cannot resolve, drift, and columns that moved."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vaecli.calibration.conformal import Calibration, rows_needed
from vaecli.calibration.effective_rows import EffectiveRows
from vaecli.decisions.threshold import Decision
from vaecli.errors import MAX_LISTED, quoted
from vaecli.results import ChangedColumn
from vaecli.results.number_format import counted, worth_of

DRIFT_FACTOR = 5.0  # this many times the expected share of flags looks like another process, not like anomalies
DRIFT_ROWS = 200  # from which that share alone is enough
NATS_BEYOND_CHANCE = 14.0  # −log of one in a million: below DRIFT_ROWS the flags must be less probable than that


def warnings_of(calibration: Calibration, decision: Decision, n_rows: int, n_anomalies: int) -> tuple[str, ...]:
    """Warnings about `n_anomalies` flags in `n_rows` rows; none where a smallest score decides."""
    level = decision.level
    if level is None:
        return ()
    warnings = []
    if decision.uses_tail_model and calibration.effective is not None:
        warnings.append(dependence_warning(calibration, calibration.effective, level))
    elif decision.uses_tail_model:
        warnings.append(
            f"threshold {level:g} needs {rows_needed(level):,} calibration rows to be measured; the bundle has "
            f"{calibration.n_rows:,}: beyond them a fitted tail decides, a model and not a guarantee"
        )
    alpha = 1 - level
    is_certain = n_rows >= DRIFT_ROWS or nats_of_count(n_anomalies, n_rows, alpha) > NATS_BEYOND_CHANCE
    if n_anomalies > DRIFT_FACTOR * alpha * n_rows and is_certain:
        warnings.append(
            f"{n_anomalies / n_rows:.1%} of the rows are flagged where {alpha:.2%} of normal rows "
            "would be: if they are not anomalies, the process has changed since the fit"
        )
    return tuple(warnings)


def warnings_of_changed(changed: Sequence[ChangedColumn]) -> tuple[str, ...]:
    """A warning that names the columns that were constant at fit and are not any more."""
    if not changed:
        return ()
    named = [
        f"{quoted(one.column, marks=False)} in {counted(one.rows, 'row')} "
        + ("(empty at fit)" if one.value is None else f"(always {shown_value(one.value)} at fit)")
        for one in changed[:MAX_LISTED]
    ]
    more = f", and {len(changed) - MAX_LISTED:,} more columns" if len(changed) > MAX_LISTED else ""
    return (f"not part of any score, but changed since the fit: {', '.join(named)}{more}",)


def shown_value(value: float | int | str) -> str:
    """The value of a column that was constant at fit."""
    return quoted(value) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)


def dependence_warning(calibration: Calibration, effective: EffectiveRows, level: float) -> str:
    """Why rows of one series, or of a few groups, do not resolve `level`."""
    worth = worth_of(calibration.n_rows, effective.n, effective.n_groups)
    if not effective.finest_level:
        return (
            f"no threshold can be promised: the detector learned from {worth}, which is too few. "
            f"Flags at {level:g} are a guess: fit {'more groups' if effective.n_groups else 'a longer series'}"
        )
    return (
        f"threshold {level:g} cannot be promised: the detector learned from {worth}, which resolve levels up to "
        f"{effective.finest_level:.4g}; beyond it flags are an estimate and not a guarantee"
    )


def nats_of_count(n_flagged: int, n_rows: int, alpha: float) -> float:
    """A lower bound on −log P(at least `n_flagged` of `n_rows` independent normal rows are flagged), 0 if expected.

    Chernoff's bound n·KL(n_flagged/n ‖ alpha) for flags of probability `alpha`, in nats.
    """
    share = n_flagged / n_rows if n_rows else 0.0
    if share <= alpha:
        return 0.0
    rest = (1 - share) * math.log((1 - share) / (1 - alpha)) if share < 1 else 0.0
    return n_rows * (share * math.log(share / alpha) + rest)
