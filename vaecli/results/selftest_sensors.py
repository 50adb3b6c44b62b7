"""What `selftest` returns for series: how often and how late each fault in time is seen, and blind spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object
from vaecli.results.selftest import BlindSpot


@dataclass(frozen=True, slots=True)
class SeriesDetectionRate:
    """How often one fault at one size is seen, in all columns together (`column` None) or in one.

    A fault is seen if one of its rows is flagged. `low` and `high` bound the share with 95 % confidence; stretches
    that had the fault in several columns count once. None, and 0 events, where no stretch could have the fault.
    """

    fault: str
    size: float | None  # in `unit`
    unit: str  # sd, rows, or nothing for a fault without sizes
    column: str | None
    rows: int  # that the fault lasts
    events: int  # faults that changed a reading, in stretches without a flag before
    detected: int
    share: float | None
    low: float | None
    high: float | None
    delay_rows: float | None  # median over the detected, from the first changed reading to the first flag
    delay_time: float | None  # in seconds, or units of a clock that counts; None without a clock
    first_named_share: float | None  # of the detected, whose first flagged row names the right column first
    false_alarm_share: float  # of all stretches as they are: with a flag in as many rows
    column_limits_share: float | None  # what limits on each column alone would find, as often wrong row by row
    column_limits_delay_rows: float | None
    verdict: str  # seen, mostly, partly, hardly, not seen, not tried


@dataclass(frozen=True, slots=True)
class SkippedFaults:
    """Faults that some columns cannot have, and why."""

    faults: tuple[str, ...]
    columns: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SensorSelftestSummary:
    """Which faults in time a bundle of sensors sees at its threshold, and how late."""

    output: str | None
    plot: str | None
    bundle: str
    model: str
    rows: int  # of the table that were read
    excluded_by_label: int
    n_groups: int
    stretches: int  # drawn
    stretch_rows: int  # rows of each
    flagged_before: int  # stretches with a flag as they are, which get no fault
    false_alarm_rate: float  # of the rows of all stretches
    column_limits_false_alarm_rate: float
    column_limits_flagged_before: int  # stretches with an alarm of limits on each column alone
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool
    seed: int
    is_date: bool  # whether times are in seconds
    faults: tuple[SeriesDetectionRate, ...]  # all columns together
    columns: tuple[SeriesDetectionRate, ...]  # column by column, in the same order
    skipped: tuple[SkippedFaults, ...]
    blind_spots: tuple[BlindSpot, ...]  # the blindest column first
    warnings: tuple[str, ...]
    seconds: float

    @property
    def limits_see_more(self) -> tuple[SeriesDetectionRate, ...]:
        """The faults that limits on each column alone would see more often than the interval of the share allows."""
        return tuple(one for one in self.faults if one.high is not None and (one.column_limits_share or 0.0) > one.high)

    def hardest(self, rate: SeriesDetectionRate) -> SeriesDetectionRate | None:
        """The column in which a fault is seen least often; None where only one column can have it."""
        tried = [one for one in self.columns if (one.fault, one.size) == (rate.fault, rate.size) and one.events]
        return min(tried, key=lambda one: one.share or 0.0) if len(tried) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; every blind spot with its sentence."""
        values = json_object("selftest", self)
        for spot, told in zip(values["blind_spots"], self.blind_spots, strict=True):
            spot["sentence"] = told.sentence
        return values
