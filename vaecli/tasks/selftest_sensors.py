"""Puts faults into stretches of normal rows of series, and finds when a detector flags them and what it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaecli.config import SERIES_FAULTS
from vaecli.data.cells import Cells
from vaecli.decisions.threshold import Decision
from vaecli.engines.base import features_of
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import ReferenceRows
from vaecli.evaluation.series_faults import (
    LONGEST,
    ROWS_BEFORE,
    SERIES_CATALOGUE,
    SensorReadings,
    SeriesFault,
    changed,
    column_kinds,
    inject,
)
from vaecli.schema import Column
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.explanation import explain
from vaecli.sensors.history import SeriesHistory
from vaecli.tables import Batch, ReadRequest, label_mask, to_cells
from vaecli.tasks.sensor_reasons import ColumnParts
from vaecli.tasks.sensors import keys_of, times_of

FAULTS_PER_COLUMN = 10  # of each kind and size, where there are enough stretches
MOST_READINGS = 10**8  # in rows with faults, all kinds together: what bounds the time of wide tables
FEWEST_FAULTS = 50  # of each kind and size, in spite of it
AT_ONCE = 2**20  # cells with faults that a thread holds
NEVER = -1


@dataclass(frozen=True, slots=True)
class ReadRows:
    """The cells of n rows, times (n,), series `keys[group[i]]`, and where the label marks an anomaly, (n,) bool."""

    cells: Cells
    time: np.ndarray
    keys: tuple[str, ...]
    group: np.ndarray
    marked: np.ndarray


@dataclass(frozen=True, slots=True)
class ReadRowsTask:
    """Reads cells, times, series and, where there is one, the label."""

    detector: SensorDetector
    label: Column | None

    @property
    def needs(self) -> ReadRequest:
        """The features, the clock, the group and the label."""
        schema = self.detector.schema
        others = [column.name for column in (schema.time, schema.group, self.label) if column is not None]
        return features_of(schema, others)

    def process(self, batch: Batch) -> ReadRows:
        """The rows of one batch. Raises UnreadableCell."""
        schema = self.detector.schema
        marked = np.zeros(batch.n_rows, bool) if self.label is None else label_mask(batch, self.label)
        return ReadRows(to_cells(batch, schema), times_of(batch, schema), *keys_of(batch, schema), marked)


@dataclass(frozen=True, slots=True)
class Segments:
    """S stretches of LONGEST normal rows that do not overlap, each after ROWS_BEFORE others and its whole history.

    `values` and `state` (S, ROWS_BEFORE + LONGEST, c); `time` (S, LONGEST); `histories` are those before the first row.
    """

    values: np.ndarray
    state: np.ndarray
    time: np.ndarray
    histories: tuple[SeriesHistory, ...]

    def __len__(self) -> int:
        return len(self.histories)

    def take(self, which: np.ndarray) -> Segments:
        """The stretches `which` (k,), in that order."""
        return Segments(
            self.values[which], self.state[which], self.time[which], tuple(self.histories[i] for i in which.tolist())
        )

    def cells(self, n_rows: int = LONGEST) -> Cells:
        """The first `n_rows` of each stretch, one stretch after the other."""
        values, state = (part[:, ROWS_BEFORE : ROWS_BEFORE + n_rows] for part in (self.values, self.state))
        c = values.shape[2]
        return Cells(values.reshape(-1, c), state.reshape(-1, c), np.arange(values.shape[0] * n_rows))


@dataclass(frozen=True, slots=True)
class SeriesCase:
    """One fault at one size, k times: in stretch `segment` (k,) and `column` (k,).

    `begin` (k,) is the first row that the fault changed, `first` (k,) the first that is flagged, `by_limits` (k,) the
    first that limits on each column alone would flag, each counted from the begin of the stretch, NEVER if there is
    none. `named` (k,) bool: whether the first row that is flagged names the column first. `delay_time` (k,) is the
    time from `begin` to `first`.
    """

    fault: SeriesFault
    size: float | None
    segment: np.ndarray
    column: np.ndarray
    begin: np.ndarray
    first: np.ndarray
    by_limits: np.ndarray
    named: np.ndarray
    delay_time: np.ndarray

    @property
    def applies(self) -> bool:
        """Whether a sensor can have this fault."""
        return self.column.size > 0


def flagged_rows(detector: SensorDetector, decision: Decision, segments: Segments, cells: Cells) -> np.ndarray:
    """(S, m) bool: which of the m rows in `cells` of each stretch are flagged, each after the history of its stretch.

    A row is scored as `score` scores it: it depends on no later row.
    """
    return _scored(detector, decision, segments, cells)[1]


def _scored(
    detector: SensorDetector, decision: Decision, segments: Segments, cells: Cells, column: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(which stretches name `column` (S,) first in their first flagged row, (S, m) bool which rows are flagged)."""
    n_segments = len(segments)
    n_rows = len(cells) // n_segments
    histories = detector.histories()
    keys = [str(i) for i in range(n_segments)]
    histories.series = {key: replace(history) for key, history in zip(keys, segments.histories, strict=True)}
    time = segments.time[:, :n_rows].ravel()
    scaled = detector.scaled(cells, time)
    stretches = histories.add(scaled, time, keys, np.repeat(np.arange(n_segments), n_rows))
    score = detector.score(stretches, len(cells), decision.score_kind)
    flagged = decision.flagged(score, detector.calibrations[decision.score_kind].p_value(score))
    by_segment = flagged.reshape(n_segments, n_rows)
    named = np.zeros(n_segments, bool)
    if column is not None and flagged.any():
        seen = np.flatnonzero(by_segment.any(1))
        wanted = np.zeros(len(cells), bool)
        wanted[seen * n_rows + by_segment[seen].argmax(1)] = True
        found = explain(detector, stretches, wanted, score, decision.score_kind, time)
        named[seen] = ColumnParts.of(detector, found).nats.argmax(0) == column[seen]
    return named, by_segment


@dataclass(frozen=True, slots=True)
class SeriesFaultTask:
    """Puts one fault at one size into `segments`, none of which has a flagged row as it is.

    What is random in a case depends on the seed and the case alone.
    """

    detector: SensorDetector
    decision: Decision
    segments: Segments
    limits: ColumnLimits
    n_cases: int
    seed: int

    def process(self, planned: tuple[str, float | None]) -> SeriesCase:
        """The case of a fault by its name, at one of its sizes."""
        name, size = planned
        fault = SERIES_CATALOGUE[name]
        possible = fault.applies_to(kinds_of(self.detector))
        if not possible.size:
            none = np.empty(0, np.int64)
            return SeriesCase(fault, size, none, none, none, none, none, none.astype(bool), none.astype(np.float64))
        rng = np.random.default_rng([self.seed, 0x5E21, SERIES_FAULTS.index(name), fault.sizes.index(size)])
        segment, column = assigned(len(self.segments), possible, self._most(), rng)
        most = max(AT_ONCE // (LONGEST * self.segments.values.shape[2]), 1)
        parts = [
            self._some(fault, size, segment[i : i + most], column[i : i + most], rng)
            for i in range(0, segment.size, most)
        ]
        begin, first, by_limits, named, delay = (np.concatenate(part) for part in zip(*parts, strict=True))
        return SeriesCase(fault, size, segment, column, begin, first, by_limits, named, delay)

    def _most(self) -> int:
        n_readings = LONGEST * max(self.detector.scale.n_sensors, 1) * self.n_cases
        return max(MOST_READINGS // n_readings, FEWEST_FAULTS)

    def _some(
        self, fault: SeriesFault, size: float | None, segment: np.ndarray, column: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        hit, m = self.segments.take(segment), fault.n_rows(size)
        broken, touched = with_faults(self.detector, fault, size, hit, column, rng)
        named, flagged = _scored(self.detector, self.decision, hit, broken, column)
        begin = _first(touched)
        by_limits = self.limits.flags(broken).reshape(-1, m) & (np.arange(m) >= begin[:, None])
        first = np.where(begin == NEVER, NEVER, _first(flagged))
        k = np.arange(segment.size)
        delay = hit.time[k, np.maximum(first, 0)] - hit.time[k, np.maximum(begin, 0)]
        return begin, first, _first(by_limits), named, np.where(first == NEVER, np.nan, delay)


def with_faults(
    detector: SensorDetector,
    fault: SeriesFault,
    size: float | None,
    segments: Segments,
    column: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Cells, np.ndarray]:
    """(the rows of the fault in each of k stretches, (k, m) bool where it changed `column` (k,))."""
    m, columns = fault.n_rows(size), detector.schema.features
    mean, spread = _moments(detector)
    cells = segments.cells(m)
    values, state = cells.values.copy(), cells.state.copy()
    touched = np.zeros((len(segments), m), bool)
    for i, j in enumerate(column.tolist()):
        readings = SensorReadings(
            segments.values[i, : ROWS_BEFORE + m, j],
            segments.state[i, : ROWS_BEFORE + m, j],
            ROWS_BEFORE,
            mean[j],
            spread[j],
            columns[j].has_whole_numbers,
        )
        rows = slice(i * m, (i + 1) * m)
        values[rows, j], state[rows, j] = inject(fault, size, readings, rng)
        touched[i] = changed(columns[j], spread[j], readings.now, values[rows, j])
    return Cells(values, state, cells.row), touched


def kinds_of(detector: SensorDetector) -> np.ndarray:
    """(c,) whether each column is dead, discrete or continuous."""
    return column_kinds(detector.schema.features, detector.sensor_column, detector.scale)


def _moments(detector: SensorDetector) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) (c,) of the columns, of a category those of its first sensor."""
    first = np.flatnonzero(np.diff(detector.sensor_column, prepend=-1))
    return detector.scale.mean[first], detector.scale.deviation[first]


def limits_of(detector: SensorDetector, segments: Segments, n_alarms: int) -> ColumnLimits:
    """Limits on each column that raise at most `n_alarms` in the rows of the stretches."""
    mean, spread = _moments(detector)
    return ColumnLimits.of(ReferenceRows(segments.cells(), detector.schema.features, mean, spread, mean), n_alarms)


def assigned(
    n_segments: int, columns: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(stretch, column) of each fault: every stretch as often as the others, in another column each time.

    As many that each of the `columns` (k,) has FAULTS_PER_COLUMN, where stretches times columns are so many; every
    stretch has one at least; at most `most` in all.
    """
    n_rounds = min(max(-(-FAULTS_PER_COLUMN * columns.size // n_segments), 1), columns.size)
    place, order = rng.permutation(n_segments), rng.permutation(columns)
    segment = np.tile(np.arange(n_segments), n_rounds)
    turn = np.repeat(np.arange(n_rounds), n_segments)
    # rounds go on where the one before ended, so that columns are hit equally often
    shift = turn * max(columns.size // n_rounds, 1)
    return segment[:most], order[(np.tile(place, n_rounds) + shift) % columns.size][:most]


def _first(marked: np.ndarray) -> np.ndarray:
    """(k,) the first marked row of each line of `marked` (k, m), NEVER if there is none."""
    return np.where(marked.any(1), marked.argmax(1), NEVER)


def stretches_of(rows: ReadRows, max_gap: float) -> list[np.ndarray]:
    """Positions (m,) of the normal rows of each series in the order of time, divided at gaps and at marked rows."""
    order = np.lexsort((rows.time, rows.group))
    order = order[~np.isnan(rows.time[order])]
    breaks = (np.diff(rows.group[order]) != 0) | (np.diff(rows.time[order]) > max_gap)
    breaks |= rows.marked[order][1:] != rows.marked[order][:-1]
    return [part for part in np.split(order, np.flatnonzero(breaks) + 1) if part.size and not rows.marked[part[0]]]


def segments_of(
    detector: SensorDetector, rows: ReadRows, stretches: Sequence[np.ndarray], most: int, rng: np.random.Generator
) -> Segments:
    """At most `most` segments of the `stretches` (m,), each place as likely as any other, with the histories before."""
    warm_up = max(detector.model.shape.window, ROWS_BEFORE)
    starts = [np.arange(warm_up, part.size - LONGEST + 1, LONGEST) for part in stretches]
    n = sum(part.size for part in starts)
    chosen = np.zeros(n, bool)
    chosen[rng.permutation(n)[:most]] = True
    pieces = np.split(chosen, np.cumsum([part.size for part in starts])[:-1]) if starts else []
    picked: list[np.ndarray] = []
    histories: list[SeriesHistory] = []
    for stretch, of_stretch, taken in zip(stretches, starts, pieces, strict=True):
        followed, done = detector.histories(), 0
        for start in of_stretch[taken].tolist():
            before = stretch[done:start]
            scaled = detector.scaled(rows.cells[before], rows.time[before])
            followed.add(scaled, rows.time[before], [""], np.zeros(before.size, np.int64))
            histories.append(replace(followed.series[""]))
            picked.append(stretch[start - ROWS_BEFORE : start + LONGEST])
            done = start
    index = np.array(picked, np.int64).reshape(-1, ROWS_BEFORE + LONGEST)
    return Segments(
        rows.cells.values[index], rows.cells.state[index], rows.time[index[:, ROWS_BEFORE:]], tuple(histories)
    )
