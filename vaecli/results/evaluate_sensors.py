"""How good a bundle of sensors is: figures of rows, of events, and of random scores beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.evaluate import METRIC_NAMES, Evaluation
from vaecli.results.json_object import json_object

RANKING_NAMES = {
    "auroc": METRIC_NAMES["auroc"],
    "average_precision": METRIC_NAMES["average_precision"],
    "vus_roc": "VUS-ROC",
    "vus_pr": "VUS-PR",
}
ROW_NAMES = {
    "precision": "precision of rows",
    "recall": "recall of rows",
    "f1": "F1 of rows",
    "false_alarm_rate": "false alarms of rows",
}
EVENT_NAMES = {
    "event_recall": "event recall",
    "event_precision": "event precision",
    "delay_rows": "detection delay, rows",
    "delay_time": "detection delay, time",
    "false_alarms_per_day": "false alarms a day",
    "false_alarms_per_1000_rows": "false alarms in 1,000 rows",
}


@dataclass(frozen=True, slots=True)
class SensorEvaluateSummary:
    """How good a bundle of sensors is on a labelled table, all series together."""

    output: str | None
    bundle: str
    model: str
    label: str
    rows: int
    anomalies: int  # by the label
    flagged: int
    true_positives: int  # flagged anomalies
    unscored: int
    n_groups: int
    events: int  # runs of labelled rows in a series
    detected_events: int  # those with a flagged row that is part of an alarm
    alarms: int  # events as `score --events` writes them
    false_alarms: int  # alarms without a labelled flagged row
    normal_time: float | None  # of the rows not labelled, in seconds or units of a clock that counts; None without one
    is_date: bool  # whether times are in seconds
    offline: bool
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool
    overall: Evaluation
    random: Evaluation  # the figures that need no threshold, of scores that are noise
    warnings: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; figures by their names."""
        values = json_object("evaluate", self)
        for evaluation in (values["overall"], values["random"]):
            evaluation["figures"] = {figure.pop("metric"): figure for figure in evaluation["figures"]}
        return values
