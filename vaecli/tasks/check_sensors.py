"""Counts what a table of series holds: its readings in order, its clock, and how unusual its rows are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.aggregates.series_tally import SeriesTally, TallyLimits
from vaecli.data.cells import NOVEL, PRESENT
from vaecli.data.sensor_scale import CONTINUOUS
from vaecli.engines.base import features_of
from vaecli.schema import Kind
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.stretches import places
from vaecli.tables import Batch, ReadRequest, clock_zones, to_cells
from vaecli.tasks.sensors import SensorRows, SensorWork, keys_of, times_of

OF_LONGEST = 2.0  # times the longest run of equal readings in training is the limit of a sensor that is stuck,
OF_LONGEST_OF_TIES = 5.0  # of one that often repeats a reading,
FEWEST_EQUAL, FEWEST_EQUAL_OF_TIES = 16, 64  # and at least so many
MANY_TIES = 0.05  # share of the readings that equal the one before, from which on a sensor often does
MARGIN = 0.1  # of the range of training, where a bundle does not know more


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """A batch of a table that is checked: its rows as they are scored, and what is counted of them.

    `values` (n, c) are numbers and codes, NaN where missing or never seen; `novel` (n, c) marks what training never
    saw; `bins` (n, V − 1) are those of columns and companions; `zones` are those that the clock is written in.
    """

    rows: SensorRows
    values: np.ndarray
    novel: np.ndarray
    bins: np.ndarray
    zones: frozenset[str]


@dataclass(frozen=True, slots=True)
class ReadChecked:
    """Reads batches of a table that is checked."""

    detector: SensorDetector

    @property
    def needs(self) -> ReadRequest:
        """The features, the clock and the group."""
        schema = self.detector.schema
        return features_of(schema, [column.name for column in (schema.time, schema.group) if column is not None])

    def process(self, batch: Batch) -> CheckedRows:
        """The rows of one batch. Raises UnreadableCell."""
        detector, schema = self.detector, self.detector.schema
        cells, time = to_cells(batch, schema), times_of(batch, schema)
        keys, group = keys_of(batch, schema)
        scaled = detector.scaled(cells, time)
        values = np.where(cells.state == PRESENT, cells.values, np.nan)
        bins = np.empty((len(values), 0), np.int64)
        if detector.stretches is not None:
            companions = scaled[:, detector.companions].astype(np.float64)
            bins = detector.stretches.bins(np.concatenate([values, companions], axis=1))
        rows = SensorRows(batch, scaled, time, keys, group, 0)
        zones = frozenset() if schema.time is None else frozenset(clock_zones(batch, schema.time))
        return CheckedRows(rows, values, cells.state == NOVEL, bins, zones)


def tally_limits(detector: SensorDetector) -> TallyLimits:
    """The limits beyond which readings of the columns of a detector count as silent, stuck or out of range."""
    columns, stretches = detector.schema.features, detector.stretches
    c = len(columns)
    silent, equal = np.full(c, np.inf), np.full(c, np.inf)
    if detector.judge is not None and detector.judge.silence_limit is not None:
        np.minimum.at(silent, detector.sensor_column, detector.judge.silence_limit.astype(np.float64))
    low, high, far = np.full(c, -np.inf), np.full(c, np.inf), np.full(c, np.inf)
    for j, column in enumerate(columns):
        if column.kind is not Kind.NUMERIC or column.minimum is None or column.maximum is None:
            continue
        far[j] = column.maximum - column.minimum
        margin = MARGIN * far[j]
        low[j], high[j] = column.minimum - margin, column.maximum + margin
        if stretches is not None:
            low[j], high[j] = stretches.low[j] - stretches.margin[j], stretches.high[j] + stretches.margin[j]
            far[j] = stretches.high[j] - stretches.low[j]
            if detector.scale.kind[detector.sensor_column == j].max() == CONTINUOUS:
                longest = float(stretches.longest[j])
                equal[j] = max(OF_LONGEST * longest, FEWEST_EQUAL)
                if stretches.ties[j] >= MANY_TIES:
                    equal[j] = max(OF_LONGEST_OF_TIES * longest, FEWEST_EQUAL_OF_TIES)
    n_bins = 0 if stretches is None else int(stretches.edges[-1])
    return TallyLimits(silent, equal, low, high, far, n_bins)


@dataclass(slots=True)
class CheckedTable:
    """What was counted of a table: its series, the time and the series of each row, and its scores."""

    detector: SensorDetector
    tally: SeriesTally
    zones: set[str] = field(default_factory=set)
    scored: int = 0
    flagged: int = 0
    _times: list[np.ndarray] = field(default_factory=list)
    _groups: GroupCodes = field(default_factory=GroupCodes)

    @classmethod
    def of(cls, detector: SensorDetector) -> CheckedTable:
        """The counts of no rows."""
        return cls(detector, SeriesTally(tally_limits(detector)))

    @property
    def keys(self) -> tuple[str, ...]:
        """The series, in the order in which they were met."""
        return tuple(map(str, self._groups.code))

    @property
    def time(self) -> np.ndarray:
        """(n,) the clock of the rows, in the order of the table."""
        return np.concatenate([np.empty(0), *self._times])

    @property
    def group(self) -> np.ndarray:
        """(n,) the place of each row's series among the keys."""
        return np.concatenate([np.empty(0, np.int64), *self._groups.parts]).astype(np.int64)

    def counted(self, parts: Iterator[CheckedRows]) -> Iterator[SensorRows]:
        """The same rows, in the order of the table, counted on the way."""
        for part in parts:
            rows = part.rows
            self.tally.add(part.values, part.novel, part.bins, rows.keys, rows.group)
            self._times.append(rows.time)
            self._groups.add(rows.keys, rows.group)
            self.zones |= part.zones
            yield rows

    def add_scores(self, work: SensorWork, score: np.ndarray) -> None:
        """Count the scores (n,) of a batch; rows whose windows are not yet filled are left out."""
        detector, rows = self.detector, work.rows
        kind = detector.score_kind
        warm = np.full(score.size, np.nan)
        for stretch in work.stretches:
            own = stretch.row[stretch.seen + np.arange(stretch.row.size) >= detector.model.shape.window - 1]
            warm[own] = score[own]
        there = ~np.isnan(warm)
        self.scored += int(there.sum())
        self.flagged += int((detector.calibrations[kind].p_value(warm[there]) <= 1 - detector.threshold).sum())
        stretches = detector.stretches
        if stretches is None or stretches.references[-1] is None:
            return
        reference, first = stretches.references[-1], int(stretches.edges[-2])
        bins = np.full(score.size, -1, np.int64)
        bins[there] = first + places(reference, warm[there])
        self.tally.add_bins(bins, rows.keys, rows.group)
