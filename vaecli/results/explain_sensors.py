"""What `explain` returns for series of sensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vaecli.results.incidents import Incident, with_incidents
from vaecli.results.json_object import json_object
from vaecli.results.sensor_events import EventSensor, SensorEvent


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A row of a series and why it scored as it did; `row` counts from 1.

    `event` and `since` are the number and the start of the event that the row is part of, None outside of events. A row
    that cannot have a score has NaN. The sensors' nats and `rest` add up to `score`, if all columns are among them.
    """

    row: int
    group: str | None
    time: str | int | float | None  # as the table writes it; None without one
    score: float
    p_value: float
    is_anomaly: bool
    sensors: tuple[EventSensor, ...]
    rest: float
    moment: float  # the time as the clock's number
    event: int | None = None
    since: str | int | float | None = None

    @property
    def is_scored(self) -> bool:
        """Whether the row has a score."""
        return not math.isnan(self.score)

    def to_json(self) -> dict[str, Any]:
        """One JSON object, with its sensors as objects."""
        return {
            "row": self.row,
            "group": self.group,
            "time": self.time,
            "score": self.score,
            "p_value": self.p_value,
            "is_anomaly": self.is_anomaly,
            "event": self.event,
            "since": self.since,
            "sensors": [sensor.to_json() | {"sentence": sensor.reason.sentence} for sensor in self.sensors],
            "rest": self.rest,
        }


@dataclass(frozen=True, slots=True)
class SensorExplainSummary:
    """The explained events, the highest peak first, or the rows that were requested."""

    output: str | None
    bundle: str
    model: str
    rows: int
    anomalies: int
    unscored: int
    n_groups: int
    n_events: int
    explained: int  # events, or rows where `by_row`
    by_row: bool
    offline: bool
    score_kind: str
    threshold: float | None  # None when --min-score or --alarm-budget decided
    min_score: float
    shown: tuple[SensorEvent, ...] | tuple[SeriesRow, ...]
    warnings: tuple[str, ...]
    seconds: float
    alarm_budget: str | None = None
    plot: str | None = None  # the picture, where one was asked for
    incidents: tuple[Incident, ...] | None = None  # where they were asked for, those of most rows first
    incident_file: str | None = None

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; every event and every sensor with its sentence."""
        values = json_object("explain", self) | {"shown": [one.to_json() for one in self.shown]}
        return with_incidents(values, self.incidents)
