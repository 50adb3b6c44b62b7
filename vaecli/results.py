"""What the verbs return and announce: summaries at the end, events on the way."""

from __future__ import annotations

import math
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
class Reason:
    """One column's part in a row's score, and what its cell should have been given the rest of the row.

    `value` is what the cell holds, None when it is missing. `expected` is a number, a moment (ISO 8601) or the most
    probable category; `low` and `high` lie one standard deviation to either side of a number. `probability` is that of
    the expected category, or for a missing cell how often such a cell is filled in training.
    """

    column: str
    nats: float
    value: float | int | str | None
    expected: float | str | None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    is_novel: bool = False  # a value that training never saw

    @property
    def sentence(self) -> str:
        """`temp_3 = 91.2, expected 64.0 ± 2.1`."""
        if self.value is None:
            usually = "" if self.probability is None else f", usually present ({_share(self.probability)})"
            return f"{self.column} is missing{usually}"
        found = f"{self.column} = {self._written(self.value)}"
        if self.is_novel:
            found += ", never seen"
        if self.expected is None:
            return found
        if self.expected == str(self.value):
            return f"{found}, odd beside the other columns"
        if isinstance(self.expected, str):
            sure = f" ({_share(self.probability)})" if self.probability is not None and self.low is None else ""
            return f"{found}, expected {self.expected}{sure}"
        return f"{found}, expected {self._range()}"

    def _range(self) -> str:
        assert self.expected is not None
        if self.low is None or self.high is None:
            return self._written(self.expected)
        below, above = float(self.expected) - self.low, self.high - float(self.expected)
        if max(below, above) > 1.5 * min(below, above):  # a column bent towards its ranks is not symmetric
            return f"{self._written(self.expected)} ({self._written(self.low)} to {self._written(self.high)})"
        spread = 0.5 * (below + above)
        written = f"{spread:.0f}" if 99.5 <= spread < 1e9 else f"{spread:.2g}"  # 600, not 6e+02
        return f"{self._written(self.expected)} ± {written}"

    def _written(self, value: float | str) -> str:
        """A number with the digits that its spread lets matter, four at least; an integer as it is."""
        if isinstance(value, str | int):
            return str(value)
        spread = 0.0 if self.low is None or self.high is None else 0.5 * (self.high - self.low)
        if not (math.isfinite(value) and math.isfinite(spread) and 1e-9 * abs(value) < spread):
            return f"{value:.6g}"
        decimals = max(0, 1 - math.floor(math.log10(spread)))
        if abs(value) < 0.1 * spread:  # zero but for rounding
            return "0"
        return f"{value:.{decimals}f}" if decimals <= 3 and abs(value) < 1e9 else f"{value:.4g}"


def _share(probability: float) -> str:
    """`93 %`, `99.8 %`, `over 99.9 %`."""
    if probability > 0.999:
        return "over 99.9 %"
    return f"{100 * probability:.1f} %" if probability > 0.99 else f"{100 * probability:.0f} %"


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    """A row and why it scored as it did; `row` counts from 1. The reasons' nats and `rest` add up to `score`, if
    all columns are among them; `rest` is what no single column explains."""

    row: int
    score: float
    p_value: float
    is_anomaly: bool
    reasons: tuple[Reason, ...] = ()
    rest: float = 0.0


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

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; every reason with its sentence."""
        values = {"schema_version": SCHEMA_VERSION, "verb": "explain", **asdict(self)}
        for row, shown in zip(values["shown"], self.shown, strict=True):
            for reason, told in zip(row["reasons"], shown.reasons, strict=True):
                reason["sentence"] = told.sentence
        return values


METRIC_NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "false_alarm_rate": "false alarms",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of merit; None where it is undefined, the ends of its 95 % interval also where none was asked for."""

    metric: str  # one of METRIC_NAMES
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good one method is on one group of rows, or on all of them (`group` None)."""

    method: str
    group: str | None
    rows: int
    anomalies: int
    figures: tuple[Figure, ...]

    def figure(self, metric: str) -> Figure:
        """The one of that name. Raises KeyError where the method has none."""
        found = {figure.metric: figure for figure in self.figures}
        return found[metric]


@dataclass(frozen=True, slots=True)
class Comparison:
    """vaecli against the best simple method by one metric; `low` and `high` bound the difference, ours minus theirs."""

    metric: str
    ours: float
    other: str
    theirs: float
    low: float | None
    high: float | None

    @property
    def sentence(self) -> str:
        """`AUROC: kNN finds more here, 0.9630 against 0.9510; the difference is within the noise (…)`."""
        if self.ours == self.theirs:
            return f"{METRIC_NAMES[self.metric]}: vaecli and {self.other} are level at {self.ours:.4f}"
        high, low = max(self.ours, self.theirs), min(self.ours, self.theirs)
        finder = f"vaecli finds more than {self.other}" if self.ours > self.theirs else f"{self.other} finds more here"
        said = f"{METRIC_NAMES[self.metric]}: {finder}, {high:.4f} against {low:.4f}"
        if self.low is None or self.high is None:
            return said
        ends = f"{self.low:+.4f} to {self.high:+.4f}"
        within = "within" if self.low <= 0 <= self.high else "beyond"
        return f"{said}; the difference is {within} the noise (vaecli minus {self.other}: {ends})"


@dataclass(frozen=True, slots=True)
class EvaluateSummary:
    """How good a bundle is on a labelled table."""

    output: str | None
    plot: str | None
    bundle: str
    label: str
    rows: int
    anomalies: int  # as the label says
    flagged: int
    caught: int  # flagged anomalies
    unscored: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool  # the level is finer than the calibration rows resolve
    bootstrap: int  # draws behind each interval
    overall: Evaluation
    baselines: tuple[Evaluation, ...]
    groups: tuple[Evaluation, ...]  # worst first; in a group vaecli before the simple methods
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; figures by their names, every comparison with its sentence."""
        values = {"schema_version": SCHEMA_VERSION, "verb": "evaluate", **asdict(self)}
        for evaluation in (values["overall"], *values["baselines"], *values["groups"]):
            evaluation["figures"] = {figure.pop("metric"): figure for figure in evaluation["figures"]}
        for comparison, told in zip(values["comparisons"], self.comparisons, strict=True):
            comparison["sentence"] = told.sentence
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
