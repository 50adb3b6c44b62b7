"""What `fit` returns for series of sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.columns import ColumnSummary
from vaecli.results.json_object import json_object
from vaecli.results.long_table import LongTable


@dataclass(frozen=True, slots=True)
class SensorFitSummary:
    """What a fit of sensors learned. Times are in seconds since the epoch, or in units of a clock that counts."""

    bundle: str
    model: str
    n_rows: int
    n_excluded_by_label: int
    columns: tuple[ColumnSummary, ...]
    n_sensors: int
    n_continuous: int
    n_groups: int
    n_gaps: int
    time_column: str | None
    is_date: bool  # whether the clock holds moments; else it is a number
    first_time: float
    last_time: float
    step: float
    max_gap: float
    window_rows: int
    statistics_rows: int
    movement_rows: int
    n_components: int
    threshold: float
    score_kind: str
    min_score: float
    n_calibration_rows: int
    n_effective: int  # how many independent rows the held-out scores are worth
    margin: float
    finest_level: float  # the highest threshold level that the effective rows let us promise; 0 if none
    warnings: tuple[str, ...]
    seconds: float
    n_compared: int = 0  # sensors that are compared with what they usually read at the hour
    cycle_days: int = 0  # 1: of the hour of the day, 7: of the week, 0: of neither
    long: LongTable | None = None  # where the table has a row per sensor and time

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("fit", self)
