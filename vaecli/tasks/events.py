"""Events in the words of the user's table: which sensors, which way, in their own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vaecli.data.cells import MISSING, NOVEL
from vaecli.results import Reason
from vaecli.results.sensor_events import EventSensor, SensorEvent
from vaecli.schema import Column, Kind
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.events import Event, EventRules, FlaggedRows, SeriesPart, series_parts
from vaecli.sensors.explanation import DOWN, SILENT, UP, ExplainedRows, directions, training_levels
from vaecli.tables import Batch, to_cells
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tasks.reasons import own_values, value_of
from vaecli.tasks.sensor_reasons import ColumnParts, expected_of, held_value

N_SENSORS = 3  # named for each event
CHANGED = "changed"  # the direction of values without order
LEAST_SHARE = 0.05  # of an event's nats, from which a sensor is named


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How columns behaved in flagged rows.

    `now`, `level` and `step` (2, D) are the least and the largest reading, mean of the latest readings, and median step
    of each sensor, in its own units. `values` (3) of (c,) are the cells of the least and the largest reading, and of
    the row with the largest part of the column in its score, which is `nats` (c,); `novel` are values never seen, and
    `silent` (D,) bool sensors that decided by having had no reading for long, and `beyond` (D,) bool those that did by
    a level beyond the range of training, in any row.
    """

    now: np.ndarray
    level: np.ndarray
    step: np.ndarray
    nats: np.ndarray
    values: tuple[tuple[float | int | str | None, ...], ...]
    novel: tuple[tuple[bool, ...], ...]
    silent: np.ndarray
    beyond: np.ndarray


@dataclass(frozen=True, slots=True)
class RunFound:
    """What a run of rows adds to an event: `nats` (c,) are those of its flagged rows by column.

    `before` is its first explained row, and `peak` (score, p-value, time) that of its highest-scoring one; None
    without, as is `behaviour`.
    """

    n_flagged: int
    nats: np.ndarray
    before: ExplainedRows | None = None
    peak: tuple[float, float, float] | None = None
    behaviour: Behaviour | None = None


@dataclass(frozen=True, slots=True)
class DecidedRows:
    """The scored rows of a batch: scores, p-values, flags and clock (n,); row i belongs to `keys[group[i]]`.

    `evident` (n,) are the flagged rows whose own latest rows are anomalous, `weight` (n,) how many flagged rows of an
    event each explained one stands for, NaN of rows that are not explained for their event.
    """

    batch: Batch
    keys: Sequence[str]
    group: np.ndarray
    time: np.ndarray
    score: np.ndarray
    p_value: np.ndarray
    flagged: np.ndarray
    evident: np.ndarray
    weight: np.ndarray

    @property
    def flags(self) -> FlaggedRows:
        """What decides where events begin and end."""
        return FlaggedRows(self.keys, self.group, self.time, self.score, self.flagged, self.evident)


def parts_of(
    detector: SensorDetector, rules: EventRules, rows: DecidedRows, explained: ExplainedRows
) -> tuple[SeriesPart[RunFound], ...]:
    """The parts of series in a batch, with their runs; `explained` are the rows with a weight, and maybe others."""
    return series_parts(rows.flags, rules, _Describer(detector, rows, explained).describe)


class _Describer:
    """Describes runs of a batch by its explained rows."""

    def __init__(self, detector: SensorDetector, rows: DecidedRows, explained: ExplainedRows) -> None:
        self.detector, self.rows, self.explained = detector, rows, explained
        self.nats = ColumnParts.of(detector, explained).nats

    def describe(self, run: np.ndarray) -> RunFound:
        """What is found in the rows `run` (m,) of the batch, in their order."""
        rows, flagged = self.rows, run[self.rows.flagged[run]]
        chosen = flagged[~np.isnan(rows.weight[flagged])]
        place = np.searchsorted(self.explained.row, chosen)
        nats = (self.nats[:, place] * rows.weight[chosen]).sum(1)
        if not flagged.size:
            return RunFound(0, nats)
        peak = int(flagged[np.argmax(rows.score[flagged])])
        of_peak = (float(rows.score[peak]), float(rows.p_value[peak]), float(rows.time[peak]))
        if not chosen.size:
            return RunFound(flagged.size, nats, peak=of_peak)
        return RunFound(flagged.size, nats, self.explained.take(place[:1]), of_peak, self._behaviour(place))

    def _behaviour(self, place: np.ndarray) -> Behaviour:
        found, nats = self.explained.take(place), self.nats[:, place]
        first = np.flatnonzero(np.diff(self.detector.sensor_column, prepend=-1))
        which = (np.argmin(found.now, axis=1)[first], np.argmax(found.now, axis=1)[first], np.argmax(nats, axis=1))
        cells = [self._cells(found.take(rows)) for rows in which]
        return Behaviour(
            np.stack([found.now.min(1), found.now.max(1)]),
            np.stack([found.level.min(1), found.level.max(1)]),
            np.stack([np.where(found.is_cut, np.inf, found.step).min(1), found.step.max(1)]),
            nats.max(1),
            tuple(values for values, _ in cells),
            tuple(novel for _, novel in cells),
            np.asarray(found.is_silent.any(1)),
            np.asarray(found.is_beyond.any(1)),
        )

    def _cells(self, found: ExplainedRows) -> tuple[tuple[float | int | str | None, ...], tuple[bool, ...]]:
        """The cell of each column in its own row of `found` (c), as a person would write it; whether it is novel."""
        table = self.rows.batch.table.take(pa.array(found.row))
        cells = to_cells(Batch(table, 0, self.rows.batch.where), self.detector.schema)
        values: list[float | int | str | None] = []
        for j, column in enumerate(self.detector.schema.features):
            own = own_values(table.column(column.name).slice(j, 1))[0]
            if cells.state[j, j] == MISSING:
                values.append(held_value(self.detector, j, found.now[:, j]))
            else:
                values.append(value_of(column, float(cells.values[j, j]), own))
        return tuple(values), tuple((np.diagonal(cells.state) == NOVEL).tolist())


def event_of(
    detector: SensorDetector, event: Event[RunFound], number: int, *, is_open: bool, most: int = N_SENSORS
) -> SensorEvent:
    """An event as a user reads it, with at most `most` sensors."""
    nats = np.sum([found.nats for found in event.found], axis=0)
    score, p_value, peak_time = max(found.peak for found in event.found if found.peak is not None)
    order = [int(j) for j in np.argsort(-nats, kind="stable")[:most] if nats[j] > LEAST_SHARE * nats.sum()]
    clock = detector.schema.time
    return SensorEvent(
        event=number,
        group=event.key if detector.schema.group is not None else None,
        start=time_of(clock, event.begin),
        end=time_of(clock, event.end),
        rows=event.n_rows,
        flagged_rows=sum(found.n_flagged for found in event.found),
        peak_score=score,
        peak_time=time_of(clock, peak_time),
        peak_p_value=p_value,
        sensors=_sensors(detector, event.found, nats, order),
        open=is_open,
        times=(event.begin, event.end, peak_time),
    )


def _sensors(
    detector: SensorDetector, runs: Sequence[RunFound], nats: np.ndarray, order: Sequence[int]
) -> tuple[EventSensor, ...]:
    """The columns of `order`; what is expected is what came before the first run."""
    before = next(run.before for run in runs if run.before is not None)
    found = [run.behaviour for run in runs if run.behaviour is not None]
    now, level, step = (np.stack([getattr(one, name) for one in found]) for name in ("now", "level", "step"))
    silent = np.any([one.silent for one in found], axis=0)
    beyond = np.any([one.beyond for one in found], axis=0)
    which = directions(before, _ends(now), _ends(level), _ends(step), silent, beyond)
    sensors = []
    for j in order:
        column, first = detector.schema.features[j], int(np.searchsorted(detector.sensor_column, j))
        shown = expected_of(column, before, first, 0)
        usual = before.expected[first, 0]
        if beyond[first]:
            low, high = training_levels(detector)[:, first].tolist()
            usual = (low + high) / 2
            shown = usual, low, high, None
        if column.kind is Kind.NUMERIC:
            run, end = np.unravel_index(np.argmax(np.abs(now[:, :, first] - usual)), now.shape[:2])
            is_up = now[run, end, first] >= usual
            direction = (UP if is_up else DOWN) if beyond[first] and not silent[first] else str(which[first])
        else:
            direction = SILENT if silent[first] else CHANGED
            run, end = np.argmax([one.nats[j] for one in found]), np.intp(2)
        one = found[int(run)]
        value = None if silent[first] and detector.long is None else one.values[end][j]
        of_event = round(float(nats[j]), 6), value, *shown
        reason = Reason(column.name, *of_event, is_novel=one.novel[end][j], is_beyond=bool(beyond[first]))
        sensors.append(EventSensor(direction, reason))
    return tuple(sensors)


def _ends(found: np.ndarray) -> np.ndarray:
    """The least and the largest (2, D) of those of runs (r, 2, D)."""
    return np.stack([found[:, 0].min(0), found[:, 1].max(0)])


def time_of(clock: Column | None, time: float) -> str | int | float:
    """A time as the table writes it: moments as text, numbers as numbers, rows counted from 1 where it has no clock."""
    if clock is None:
        return int(time) + 1
    if not clock.is_date:
        return int(time) if clock.whole and time == int(time) else time
    if time != round(time) and clock.datetime_format is None:
        clock = replace(clock, datetime_format="%Y-%m-%dT%H:%M:%S.%f")
    return TABLE_KINDS[clock.kind].texts(clock, np.array([time]))[0]
