"""What `report` returns for series of sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object
from vaecli.results.long_table import LongTable


@dataclass(frozen=True, slots=True)
class SensorReportSummary:
    """Where the page about a table of series was written, and its headline."""

    output: str
    bundle: str
    model: str
    rows: int
    anomalies: int
    unscored: int
    n_groups: int
    n_new_groups: int
    n_events: int
    n_open_events: int  # that had not ended with the table
    gaps: int
    sensors: dict[str, int]  # by column, in how many events it is responsible; the most frequent first
    offline: bool
    score_kind: str
    threshold: float | None  # None when --min-score or --alarm-budget decided
    min_score: float
    uses_tail_model: bool  # the level is beyond what the effective rows let us promise
    n_effective: int
    finest_level: float  # the highest level that is promised; 0 if none
    headline: str
    size_bytes: int
    warnings: tuple[str, ...]
    seconds: float
    alarm_budget: str | None = None
    long: LongTable | None = None  # where the table has a row per sensor and time; its stamps are the rows above

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("report", self)
