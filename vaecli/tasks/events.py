"""Events in the words of the user's table: which sensors, which way, in their own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from vaecli.data.cells import MISSING, NOVEL
from vaecli.results import Reason
from vaecli.results.sensor_events import EventSensor, SensorEvent
from vaecli.schema import Column, Kind
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.events import Event, EventRules, Run, SeriesPart, runs_of
from vaecli.sensors.explanation import ExplainedRows, directions
from vaecli.tables import Batch, to_cells
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tasks.reasons import own_values
from vaecli.tasks.sensor_reasons import ColumnParts, expected_of, value_of

N_SENSORS = 3  # named for each event
LEAST_SHARE = 0.05  # of an event's nats, from which a sensor is named


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest-scoring row of a run: cells of all columns, and how their sensors behaved up to it."""

    score: float
    p_value: float
    time: float
    values: tuple[float | int | str | None, ...]  # (c,)
    novel: tuple[bool, ...]
    behaviour: ExplainedRows  # this row


@dataclass(frozen=True, slots=True)
class RunFound:
    """What a run of rows adds to an event: `nats` (c,) are those of its flagged rows by column."""

    n_flagged: int
    nats: np.ndarray
    before: ExplainedRows | None = None  # its first row
    peak: Peak | None = None


@dataclass(frozen=True, slots=True)
class DecidedRows:
    """The scored rows of a batch: scores, p-values, flags and clock (n,); row i belongs to `keys[group[i]]`."""

    batch: Batch
    keys: Sequence[str]
    group: np.ndarray
    time: np.ndarray
    score: np.ndarray
    p_value: np.ndarray
    flagged: np.ndarray


def parts_of(
    detector: SensorDetector, rules: EventRules, rows: DecidedRows, explained: ExplainedRows
) -> tuple[SeriesPart[RunFound], ...]:
    """The parts of series in a batch, with their runs; `explained` are its flagged rows."""
    scored = np.flatnonzero(~np.isnan(rows.score))
    order = scored[np.argsort(rows.group[scored], kind="stable")]
    group, time = rows.group[order], rows.time[order]
    edges = np.flatnonzero(np.diff(group, prepend=-1, append=-1)).tolist() if order.size else [0]
    for first, last in pairwise(edges):
        time[first:last] = np.maximum.accumulate(time[first:last])
    begins_series = np.diff(group, prepend=-1) != 0
    gap = ~begins_series & (np.diff(time, prepend=time[:1]) > rules.max_gap)
    score, flagged = rows.score[order], rows.flagged[order]
    lasting = flagged | (score >= rules.ends_below)
    first_rows, last_rows = runs_of(flagged, lasting, begins_series | gap)
    kinds = _Describer(detector, rows, explained)
    n_gaps = np.cumsum(gap)
    found = []
    for first, last in pairwise(edges):
        mine = slice(*np.searchsorted(first_rows, [first, last]).tolist())

        def run(begin: int, end: int, first: int = first) -> Run[RunFound]:
            stretch = int(n_gaps[begin] - n_gaps[first])
            what = kinds.describe(order[begin : end + 1])
            return Run(begin - first, end - first, stretch, float(time[begin]), float(time[end]), what)

        runs = tuple(run(a, b) for a, b in zip(first_rows[mine].tolist(), last_rows[mine].tolist(), strict=True))
        leading = None
        if lasting[first]:
            stops = np.flatnonzero(~lasting[first:last] | gap[first:last])
            end = first + int(stops[0]) - 1 if stops.size else last - 1
            leading = run(first, end)
        found.append(
            SeriesPart(
                rows.keys[int(group[first])],
                last - first,
                float(time[first]),
                float(time[last - 1]),
                int(n_gaps[last - 1] - n_gaps[first]),
                runs,
                leading,
            )
        )
    return tuple(found)


class _Describer:
    """Describes runs of a batch by its explained rows."""

    def __init__(self, detector: SensorDetector, rows: DecidedRows, explained: ExplainedRows) -> None:
        self.detector, self.rows, self.explained = detector, rows, explained
        self.nats = ColumnParts.of(detector, explained).nats

    def describe(self, run: np.ndarray) -> RunFound:
        """What is found in the rows `run` (m,) of the batch, in their order."""
        flagged = run[self.rows.flagged[run]]
        place = np.searchsorted(self.explained.row, flagged)
        nats = self.nats[:, place].sum(1)
        if not flagged.size:
            return RunFound(0, nats)
        peak = int(np.argmax(self.rows.score[flagged]))
        return RunFound(
            flagged.size, nats, self.explained.take(place[:1]), self._peak(int(flagged[peak]), place[peak : peak + 1])
        )

    def _peak(self, row: int, place: np.ndarray) -> Peak:
        batch, schema = self.rows.batch, self.detector.schema
        table = batch.table.take(pa.array([row]))
        cells = to_cells(Batch(table, 0, batch.where), schema)
        values: list[float | int | str | None] = []
        for j, column in enumerate(schema.features):
            own = own_values(table.column(column.name))[0]
            missing = cells.state[0, j] == MISSING
            values.append(None if missing else value_of(column, float(cells.values[0, j]), own))
        return Peak(
            float(self.rows.score[row]),
            float(self.rows.p_value[row]),
            float(self.rows.time[row]),
            tuple(values),
            tuple((cells.state[0] == NOVEL).tolist()),
            self.explained.take(place),
        )


def event_of(detector: SensorDetector, event: Event[RunFound], number: int, *, is_open: bool) -> SensorEvent:
    """An event as a user reads it."""
    nats = np.sum([found.nats for found in event.found], axis=0)
    peaks = [found.peak for found in event.found if found.peak is not None]
    before = next(found.before for found in event.found if found.before is not None)
    peak = max(peaks, key=lambda one: one.score)
    order = [int(j) for j in np.argsort(-nats, kind="stable")[:N_SENSORS] if nats[j] > LEAST_SHARE * nats.sum()]
    schema = detector.schema
    return SensorEvent(
        event=number,
        group=event.key if schema.group is not None else None,
        times=(event.begin, event.end, peak.time),
        start=time_of(schema.time, event.begin),
        end=time_of(schema.time, event.end),
        rows=event.n_rows,
        flagged_rows=sum(found.n_flagged for found in event.found),
        peak_score=peak.score,
        peak_time=time_of(schema.time, peak.time),
        peak_p_value=peak.p_value,
        sensors=tuple(_sensor(detector, j, float(nats[j]), before, peak) for j in order),
        open=is_open,
    )


def _sensor(detector: SensorDetector, j: int, nats: float, before: ExplainedRows, peak: Peak) -> EventSensor:
    column = detector.schema.features[j]
    first = int(np.searchsorted(detector.sensors.column, j))
    direction = "changed"
    if column.kind is Kind.NUMERIC:
        direction = str(directions(before, peak.behaviour)[first, 0])
    expected = expected_of(column, before, first, 0)
    return EventSensor(direction, Reason(column.name, round(nats, 6), peak.values[j], *expected, peak.novel[j]))


def time_of(clock: Column | None, time: float) -> str | int | float:
    """A time as the table writes it: moments as text, numbers as numbers, rows counted from 1 where it has no clock."""
    if clock is None:
        return int(time) + 1
    if not clock.is_date:
        return int(time) if clock.whole and time == int(time) else time
    if time != round(time) and clock.datetime_format is None:
        clock = replace(clock, datetime_format="%Y-%m-%dT%H:%M:%S.%f")
    return TABLE_KINDS[clock.kind].texts(clock, np.array([time]))[0]
