"""How good a bundle is: figures with their intervals, and comparisons in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object
from vaecli.results.mark import MarksUsed

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
    """One figure of merit; None where it is undefined, the ends of its 95 % interval also where it was left out."""

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
        """The figure with that name. Raises KeyError where the method has no such figure."""
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
class MarksEvaluated(MarksUsed):
    """How the marks of a file met the rows of a table, and how many of the marked rows are flagged."""

    normal_flagged: int
    faults_flagged: int


@dataclass(frozen=True, slots=True)
class EvaluateSummary:
    """How good a bundle is on a labelled table."""

    output: str | None
    plot: str | None
    bundle: str
    label: str | None  # None where marks alone name the anomalies
    rows: int
    anomalies: int  # by the label and marks
    flagged: int
    true_positives: int  # flagged anomalies
    unscored: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool  # the level is finer than the calibration rows resolve
    has_intervals: bool
    overall: Evaluation
    baselines: tuple[Evaluation, ...]
    groups: tuple[Evaluation, ...]  # worst first; in a group vaecli before the simple methods
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    seconds: float
    marks: MarksEvaluated | None = None  # with --marks

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; figures by their names, every comparison with its sentence."""
        values = json_object("evaluate", self)
        for evaluation in (values["overall"], *values["baselines"], *values["groups"]):
            evaluation["figures"] = {figure.pop("metric"): figure for figure in evaluation["figures"]}
        for comparison, told in zip(values["comparisons"], self.comparisons, strict=True):
            comparison["sentence"] = told.sentence
        return values
