"""What `fit` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.columns import ColumnSummary
from vaecli.results.json_object import json_object
from vaecli.results.mark import MarksUsed


@dataclass(frozen=True, slots=True)
class TrainingCheck:
    """One look at held-out rows while the first family of networks trained: mean nats per row."""

    step: int
    elbo: float
    kl: float


@dataclass(frozen=True, slots=True)
class FitSummary:
    """What a fit learned. Nats are per row; a higher ELBO is a better model."""

    bundle: str
    n_rows: int
    n_excluded_by_label: int
    columns: tuple[ColumnSummary, ...]
    n_members: int
    n_steps: int
    validation_elbo: float
    validation_kl: float
    baseline_log_prob: float  # held-out log-likelihood of independent columns, same rows
    threshold: float
    score_kind: str
    min_score: float  # the score from which a row is flagged at `threshold`
    n_calibration_rows: int
    finest_level: float  # the highest threshold level that the calibration rows resolve without a tail model
    warnings: tuple[str, ...]
    seconds: float
    n_effective: int | None = None  # independent rows that those of a clock or of groups are worth; None without either
    n_groups: int | None = None  # groups among the calibration rows, with a group column
    marks: MarksUsed | None = None  # with --marks
    n_distrusted: int | None = None  # of the rows that calibrate, with --contamination
    history: tuple[TrainingCheck, ...] = ()  # checks whose bound is finite, first to last

    @property
    def n_labelled_out(self) -> int:
        """The former name of `n_excluded_by_label`."""
        return self.n_excluded_by_label

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("fit", self)
