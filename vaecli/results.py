"""What the verbs return and announce: summaries at the end, events on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One announcement of a running verb.

    `stage` names what is going on (`reading`, `training`, `calibrating`, `scoring`, `writing`);
    `done` of `total` units of it are behind us, `total` None when unknown (a stream has no length).
    `values` are figures worth showing beside the bar: `{"elbo": …, "kl": …}` in nats per row.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "rows"
    values: tuple[tuple[str, float], ...] = ()


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of those who do not listen."""


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One column as `fit` understood it; the range is in its own units, seconds since the epoch for a datetime."""

    name: str
    kind: str
    role: str
    reason: str = ""
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class FitSummary:
    """What a fit learned. Nats are per row; a higher ELBO is a better model."""

    bundle: str
    n_rows: int
    n_labelled_out: int
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

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "fit", **asdict(self)}


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    """A flagged row as the summary shows it; `row` counts from 1."""

    row: int
    score: float
    p_value: float
    top_columns: str


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a scoring run found."""

    output: str
    bundle: str
    rows: int
    anomalies: int
    unscored: int
    novel_cells: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool  # the level is finer than the calibration rows resolve
    worst: tuple[FlaggedRow, ...]
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "score", **asdict(self)}


@dataclass(frozen=True, slots=True)
class InspectSummary:
    """What is in a bundle."""

    bundle: str
    size_bytes: int
    format: int
    vaecli_version: str
    created_utc: str
    schema_fingerprint: str
    columns: tuple[ColumnSummary, ...]
    config: dict[str, Any]
    calibration: dict[str, Any]
    digests: dict[str, str]
    fit: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "inspect", **asdict(self)}
