"""Incidents of series: events whose sensors behave similarly, in one group and with no long quiet time between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vaecli.aggregates.incident_sketch import UNIT, DeviatingItems, IncidentSketch, Pattern
from vaecli.results.incidents import Incident, ResponsibleColumn
from vaecli.results.sensor_events import SensorEvent
from vaecli.sensors.detector import SensorDetector
from vaecli.tasks.deviations import FARTHEST, LEAST_SHARE, N_RESPONSIBLE, THOUSANDTHS
from vaecli.tasks.incidents import Places, identity, incident_patterns, most_common_reason, named

DIRECTIONS = ("up", "down", "flat", "noisy", "silent", "changed")


@dataclass(slots=True)
class EventIncidents:
    """Collects the events of a run as they end.

    An event deviates by FARTHEST · nats / the largest nats in the coordinate of each of its sensors and directions.
    Its place is its group and, after `quiet` seconds (or units of the clock) without any event, a new stretch of time.
    """

    detector: SensorDetector
    quiet: float | None = None
    sketch: IncidentSketch[SensorEvent] = field(default_factory=IncidentSketch)
    places: Places = field(default_factory=Places)
    stretch: int = 0
    newest: float = -np.inf

    def write(self, events: Sequence[SensorEvent]) -> None:
        """Take in events after those before."""
        if not events:
            return
        columns = [column.name for column in self.detector.schema.features]
        deviation = np.zeros((len(events), len(columns) * len(DIRECTIONS)), np.int64)
        shares = np.zeros((len(events), len(columns)), np.int64)
        for i, event in enumerate(events):
            nats = np.array([max(one.reason.nats, 0.0) for one in event.sensors])
            most, total = max(nats.max(initial=0), 1e-9), max(nats.sum(), 1e-9)
            for one, part in zip(event.sensors, nats, strict=True):
                j = columns.index(one.reason.column)
                where = j * len(DIRECTIONS) + DIRECTIONS.index(one.direction)
                deviation[i, where] = round(UNIT * FARTHEST * part / most)
                shares[i, j] = round(THOUSANDTHS * part / total)
        self.sketch.add(
            DeviatingItems(
                deviation,
                shares,
                np.array([self._place(event) for event in events]),
                np.array([event.event - 1 for event in events]),
                np.array([event.flagged_rows for event in events]),
                np.array([event.peak_score for event in events]),
                events,
            )
        )
        self.places.forget_all_but({pattern.home for pattern in self.sketch.patterns})

    def incidents(self) -> tuple[Incident, ...]:
        """The incidents, those of most rows first."""
        groups = self.places.groups
        return tuple(self._incident(pattern, groups) for pattern in incident_patterns(self.sketch))

    def _place(self, event: SensorEvent) -> int:
        begin, end, _ = event.times
        if self.quiet is not None and begin - self.newest > self.quiet and self.newest > -np.inf:
            self.stretch += 1
        self.newest = max(self.newest, end)
        return self.places.code(event.group, self.stretch)

    def _incident(self, pattern: Pattern[SensorEvent], groups: dict[int, str | None]) -> Incident:
        columns = [column.name for column in self.detector.schema.features]
        deviation = pattern.deviation / (UNIT * pattern.n)
        names = [f"{column}:{direction}" for column in columns for direction in DIRECTIONS]
        shares = pattern.shares / max(int(pattern.shares.sum()), 1)
        directions = deviation.reshape(len(columns), len(DIRECTIONS)).argmax(1)
        examples = tuple(one.item for one in pattern.examples)
        group = groups.get(pattern.place)  # None where there are several
        coordinate = named(names, deviation)
        first, last, highest = pattern.first.item, pattern.last.item, pattern.highest.item
        return Incident(
            id=identity(coordinate, group, pattern.first.at),
            status=None,
            columns=tuple(
                ResponsibleColumn(columns[j], DIRECTIONS[directions[j]], round(float(shares[j]), 3))
                for k, j in enumerate(map(int, np.argsort(-shares, kind="stable")[:N_RESPONSIBLE]))
                if shares[j] >= LEAST_SHARE or k == 0
            ),
            group=group,
            rows=pattern.rows,
            events=pattern.n,
            first_row=None,
            last_row=None,
            start=first.start,
            end=last.end,
            peak_score=highest.peak_score,
            peak_row=None,
            reason=most_common_reason([event.sensors[0].reason for event in examples if event.sensors]),
            examples=examples,
            span=(pattern.first.at, pattern.last.at),
            deviation=coordinate,
        )
