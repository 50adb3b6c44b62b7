"""What the verbs return at their end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vaecli.results.events import SCHEMA_VERSION
from vaecli.results.reasons import FlaggedRow


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
class TrainingCheck:
    """One look at held-out rows while the first family of networks trained: nats a row, a mean."""

    step: int
    elbo: float
    kl: float


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
    history: tuple[TrainingCheck, ...] = ()  # checks whose bound is a number, first to last

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "fit", **asdict(self)}


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
    plot: str | None = None  # the picture, where one was asked for

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "score", **asdict(self)}


@dataclass(frozen=True, slots=True)
class ExplainSummary:
    """The explained rows: the oddest ones, or those that were asked for."""

    output: str | None
    bundle: str
    rows: int
    anomalies: int
    explained: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    shown: tuple[FlaggedRow, ...]
    warnings: tuple[str, ...]
    seconds: float
    plot: str | None = None  # the picture, where one was asked for

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; every reason with its sentence."""
        values = {"schema_version": SCHEMA_VERSION, "verb": "explain", **asdict(self)}
        for row, shown in zip(values["shown"], self.shown, strict=True):
            for reason, told in zip(row["reasons"], shown.reasons, strict=True):
                reason["sentence"] = told.sentence
        return values


@dataclass(frozen=True, slots=True)
class EncodeSummary:
    """Where the coordinates of a table went."""

    output: str
    bundle: str
    rows: int
    columns: tuple[str, ...]  # that were written for every row
    n_latent: int  # coordinates that the code has
    warnings: tuple[str, ...]
    seconds: float
    plot: str | None = None  # the picture, where one was asked for

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "encode", **asdict(self)}


@dataclass(frozen=True, slots=True)
class ReconstructSummary:
    """Where the expected cells of a table went, and what was missing in it."""

    output: str
    bundle: str
    rows: int
    impute: bool  # only the missing cells were filled
    missing_cells: int
    missing_by_column: dict[str, int]  # of the columns that have any
    novel_cells: int
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "verb": "reconstruct", **asdict(self)}


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
