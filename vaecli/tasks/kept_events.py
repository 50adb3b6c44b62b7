"""Keeps what pages and pictures show of events, in bounded memory: the highest, and counts of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vaecli.results.sensor_events import SensorEvent

MOST_SPANS = 200  # of one series that are drawn, those with the highest peaks


@dataclass(slots=True)
class EventSpans:
    """How many events one series has, and the (peak score, begin, end) of those with the highest peaks."""

    n_events: int = 0
    spans: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, event: SensorEvent) -> None:
        """Take in one event."""
        self.n_events += 1
        self.spans.append((event.peak_score, event.times[0], event.times[1]))
        if len(self.spans) >= 2 * MOST_SPANS:
            self.spans[:] = self.highest

    @property
    def highest(self) -> list[tuple[float, float, float]]:
        """At most MOST_SPANS of them, the highest peak first."""
        return sorted(self.spans, key=lambda span: (-span[0], span[1]))[:MOST_SPANS]


@dataclass(slots=True)
class KeptEvents:
    """The `most` events with the highest peaks, spans of each series, and which columns are responsible how often."""

    most: int
    n_events: int = 0
    n_open: int = 0
    events: list[SensorEvent] = field(default_factory=list)
    of_series: dict[str, EventSpans] = field(default_factory=dict)  # by key of the series, "" without a group
    first: Counter[str] = field(default_factory=Counter)  # events of which a column is the first reason
    directions: dict[str, Counter[str]] = field(default_factory=dict)  # by column: events in which it is responsible

    def write(self, events: Sequence[SensorEvent]) -> None:
        """Take in events after those before."""
        for event in events:
            self.n_events += 1
            self.n_open += event.open
            self.of_series.setdefault(event.group or "", EventSpans()).add(event)
            self.first.update(sensor.reason.column for sensor in event.sensors[:1])
            for sensor in event.sensors:
                self.directions.setdefault(sensor.reason.column, Counter())[sensor.direction] += 1
        self.events += events
        if len(self.events) >= 2 * self.most:
            self.events[:] = self.highest

    @property
    def highest(self) -> list[SensorEvent]:
        """At most `most` of them, the highest peak first, of equal ones the earlier to end."""
        return sorted(self.events, key=lambda event: (-event.peak_score, event.event))[: self.most]

    @property
    def responsible(self) -> Mapping[str, int]:
        """How many events each column is responsible for, the most frequent first."""
        counts = {column: counter.total() for column, counter in self.directions.items()}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], -self.first[item[0]], item[0])))
