"""Collects what a report shows in one pass over a table: batch → cells → scores → counts, in bounded memory.

Totals are whole numbers, and rows are kept by their score or their number, so the result does not depend on batches and
workers. Kept rows are explained and encoded at the end, all together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from vaecli.aggregates.histograms import calibration_counts, score_counts, score_edges
from vaecli.aggregates.incident_sketch import DeviatingItems
from vaecli.aggregates.row_sample import smallest
from vaecli.aggregates.timeline import CLOCK, DECIMAL, TimeBins
from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.data.hashing import row_hash
from vaecli.decisions.threshold import Decision, ScoredRows
from vaecli.detector import Detector
from vaecli.engines.base import Engine, features_of
from vaecli.report.data import (
    Contribution,
    Contributions,
    LatentMap,
    Outside,
    Pictures,
    Point,
    Profile,
    ScoreHistogram,
    Stretch,
    Timeline,
)
from vaecli.report.incidents import MOST_SHOWN
from vaecli.results import Event, FlaggedRow, OnEvent
from vaecli.results.incidents import Incident
from vaecli.schema import Column, Schema
from vaecli.scoring.attribution import Explanation
from vaecli.scoring.scores import ScoredBatch
from vaecli.tables import Batch, ReadRequest, Source, readable_times, to_cells
from vaecli.tasks.column_profiles import Profiler
from vaecli.tasks.deviations import KeptRow, PlaceColumns, deviating_rows
from vaecli.tasks.incidents import RowIncidents, quiet_of
from vaecli.tasks.reasons import Candidate, RowsToExplain, candidates, explained_candidates, worst_of
from vaecli.tasks.report_images import ImageLayout, ImageRows, pictures

N_WORST = 20  # rows with reasons
N_REASONS = 3
N_EXPLAINED = 200  # flagged rows whose columns are added up, the most anomalous
N_SAMPLE = 1_500  # rows on the map
N_EXEMPLARS = 600  # training rows drawn below them
N_CONTRIBUTIONS = 15
# Cells that are kept of each: a wide table has fewer rows. Measured with 3,000 columns: a row takes 0.2 s to explain.
MOST_EXPLAINED_CELLS, MOST_SAMPLE_CELLS = 200_000, 2_000_000


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Whole rows that are looked at again at the end: the `most` ones with the smallest keys, in their order."""

    cells: Cells
    decided: ScoredRows
    flagged: np.ndarray  # (n,) bool
    key: np.ndarray  # (n,)
    most: int

    def take(self, which: np.ndarray) -> KeptRows:
        """The rows `which` (k,), in that order."""
        return KeptRows(self.cells[which], self.decided.take(which), self.flagged[which], self.key[which], self.most)

    def __len__(self) -> int:
        return len(self.cells)

    def smallest(self, most: int) -> KeptRows:
        """The rows with the smallest keys, of equal ones the earlier rows, in the order of rows."""
        return self if len(self) <= most else self.take(smallest(self.key, most))

    @classmethod
    def nothing(cls, n_columns: int, most: int) -> KeptRows:
        """The value that holds no row."""
        none, no_cells = np.zeros(0), np.zeros((0, n_columns))
        cells = Cells(no_cells, no_cells.astype(np.uint8), none.astype(np.int64))
        scored = ScoredBatch(cells.row, none, no_cells, none)
        return cls(cells, ScoredRows(scored, none, 0), none.astype(bool), none, most)

    def followed_by(self, later: KeptRows) -> KeptRows:
        """All these rows and then the `later` ones."""
        return KeptRows(
            Cells.concatenate([self.cells, later.cells]),
            ScoredRows.concatenate([self.decided, later.decided]),
            np.concatenate([self.flagged, later.flagged]),
            np.concatenate([self.key, later.key]),
            self.most,
        )

    def __add__(self, later: KeptRows) -> KeptRows:
        """What is kept of these rows and the `later` ones."""
        return self.followed_by(later).smallest(self.most)


@dataclass(frozen=True, slots=True)
class ReportTotals:
    """What was counted and kept of some rows."""

    rows: int
    flagged: int
    unscored: int
    missing: int
    novel: int
    scores: np.ndarray
    profiles: np.ndarray
    times: TimeBins
    worst: tuple[Candidate, ...]
    highest: KeptRows  # flagged rows, by score
    sample: KeptRows  # of all rows
    deviating: DeviatingItems[KeptRow] | None = None  # the flagged rows of one batch; sums have none

    def __add__(self, later: ReportTotals) -> ReportTotals:
        """The totals of these rows and the `later` ones."""
        return ReportTotals(
            self.rows + later.rows,
            self.flagged + later.flagged,
            self.unscored + later.unscored,
            self.missing + later.missing,
            self.novel + later.novel,
            self.scores + later.scores,
            self.profiles + later.profiles,
            self.times + later.times,
            worst_of(self.worst, later.worst, N_WORST),
            self.highest + later.highest,
            self.sample + later.sample,
        )


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """What one pass found: the parts of a report that need the table."""

    rows: int
    flagged: int
    unscored: int
    missing_cells: int
    novel_cells: int
    worst: tuple[FlaggedRow, ...]
    scores: ScoreHistogram
    timeline: Timeline
    contributions: Contributions
    map: LatentMap | None
    profiles: tuple[Profile, ...]
    n_other_columns: int
    pictures: Pictures | None
    incidents: tuple[Incident, ...]  # those of most rows
    n_incidents: int


@dataclass(frozen=True, slots=True)
class Clock:
    """The source of the time of a row: a column as whole ticks, or the number of the row."""

    column: Column | None
    feature: int | None  # its index among the features, if it is one
    tick: float  # in the column's unit, seconds for a date

    @classmethod
    def of(cls, schema: Schema, source: Source) -> Clock:
        """The time column of the fit, else the only date among the features, else none."""
        if schema.time is not None and schema.time.name in source.names:
            return cls(schema.time, None, _tick(schema.time))
        dates = [j for j, column in enumerate(schema.features) if column.is_date]
        if len(dates) == 1:
            return cls(schema.features[dates[0]], dates[0], 1.0)
        return cls(None, None, 1.0)

    @property
    def is_date(self) -> bool:
        """Whether ticks are seconds since the epoch."""
        return self.column is not None and self.column.is_date

    @property
    def ladder(self) -> tuple[int, ...]:
        """How the widths of bins grow."""
        return CLOCK if self.is_date else DECIMAL

    def read(self, batch: Batch, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """Ticks (n,) int64, and (n,) bool, which rows have one."""
        if self.column is None:
            return cells.row, np.ones(len(cells), bool)
        moments = readable_times(batch, self.column) if self.feature is None else cells.values[:, self.feature]
        ticks = np.floor(moments / self.tick)
        timed = np.abs(ticks) < 2.0**62  # neither NaN nor infinite
        return np.where(timed, ticks, 0).astype(np.int64), timed


def _tick(column: Column) -> float:
    """One for dates and whole numbers, else fine enough for a hundred thousand ticks over the training range."""
    span = (column.maximum or 0.0) - (column.minimum or 0.0)
    if column.is_date or column.whole or not 0 < span < math.inf:
        return 1.0
    return float(10.0 ** math.floor(math.log10(span) - 5))


@dataclass(frozen=True, slots=True)
class ReportTask:
    """Counts what a report shows of each batch, and keeps the rows that it shows."""

    detector: Detector
    decision: Decision
    edges: np.ndarray  # of the histogram of scores
    profiler: Profiler
    clock: Clock
    places: PlaceColumns  # of incidents
    with_incidents: bool = True

    @classmethod
    def of(cls, detector: Detector, source: Source, decision: Decision, *, with_incidents: bool = True) -> ReportTask:
        """The task for a table with the columns of `source`; incidents need its rows in order, batch after batch."""
        calibration = detector.calibrations[decision.score_kind]
        edges = score_edges(calibration.scores, calibration.ranks, decision.min_score)
        clock = Clock.of(detector.schema, source)
        places = replace(PlaceColumns.of(detector, source.names), clock=clock.column)
        return cls(detector, decision, edges, Profiler.of(detector), clock, places, with_incidents)

    @property
    def needs(self) -> ReadRequest:
        """The features, and the time."""
        features = {column.name for column in self.detector.schema.features}
        others = [name for name in self.places.names if name not in features]
        return features_of(self.detector.schema, (*others, *self.detector.group_columns))

    @property
    def no_totals(self) -> ReportTotals:
        """The totals of no rows."""
        none, c = np.zeros(0, np.int64), len(self.detector.schema.features)
        counts = np.zeros(self.edges.size, np.int64), np.zeros(self.profiler.n_counts, np.int64)
        times = TimeBins.of(self.clock.ladder, none, none, none.astype(bool))
        highest = KeptRows.nothing(c, _n_kept(N_EXPLAINED, MOST_EXPLAINED_CELLS, c))
        return ReportTotals(
            0, 0, 0, 0, 0, *counts, times, (), highest, KeptRows.nothing(c, _n_kept(N_SAMPLE, MOST_SAMPLE_CELLS, c))
        )

    def process(self, batch: Batch) -> ReportTotals:
        """The totals of one batch. Raises UnreadableCell."""
        cells = to_cells(batch, self.detector.schema, self.detector.by_column)
        decided = self.detector.score(cells, self.decision.score_kind)
        score, flags, c = decided.scored.score, self.decision.flags(decided), cells.values.shape[1]
        which = np.flatnonzero(flags)
        order = which[np.argsort(-score[which], kind="stable")]
        everyone = KeptRows(cells, decided, flags, row_hash(cells.row), _n_kept(N_SAMPLE, MOST_SAMPLE_CELLS, c))
        highest = replace(everyone, key=-score, most=_n_kept(N_EXPLAINED, MOST_EXPLAINED_CELLS, c))
        ticks, timed = self.clock.read(batch, cells)
        return ReportTotals(
            len(cells),
            int(flags.sum()),
            int(np.isnan(score).sum()),
            int((cells.state == MISSING).sum()),
            int((cells.state == NOVEL).sum()),
            score_counts(self.edges, score),
            self.profiler.counts(self.detector.with_classes(cells)),
            TimeBins.of(self.clock.ladder, ticks, flags, timed),
            candidates(RowsToExplain.of(self.detector, batch, cells, decided, flags, order[:N_WORST])),
            highest.take(np.sort(order[: highest.most])),
            everyone.smallest(everyone.most),
            self._deviating(batch, cells, decided, flags, which) if self.with_incidents else None,
        )

    def _deviating(
        self, batch: Batch, cells: Cells, decided: ScoredRows, flags: np.ndarray, which: np.ndarray
    ) -> DeviatingItems[KeptRow]:
        rows = RowsToExplain.of(self.detector, batch, cells, decided, flags, which)
        return deviating_rows(self.detector, rows, self.places.read(batch, which))


def _n_kept(most: int, most_cells: int, n_columns: int) -> int:
    """Fewer rows of wide tables."""
    return max(N_WORST, min(most, most_cells // n_columns))


def collect(
    engine: Engine, task: ReportTask, source: Source, layout: ImageLayout | None, on_event: OnEvent
) -> ReportInputs:
    """Run one pass over `source`, then explain the rows that it kept; with a `layout` rows are drawn as pictures."""
    totals, collected = task.no_totals, RowIncidents(task.detector, quiet_of(task.detector, task.decision))
    for part in engine.map_batches(task, source, task.needs):
        if part.deviating is not None:
            collected.add(part.deviating)
        totals += part
        on_event(Event("scoring", totals.rows, source.n_rows))
    on_event(Event("explaining", totals.rows, totals.rows))
    detector, kind, edges = task.detector, task.decision.score_kind, task.edges
    calibration = detector.calibrations[kind]
    why = detector.explain(totals.highest.cells, totals.highest.decided, kind, most=0)
    normal = calibration_counts(edges, calibration.scores, calibration.ranks)
    return ReportInputs(
        totals.rows,
        totals.flagged,
        totals.unscored,
        totals.missing,
        totals.novel,
        explained_candidates(detector, totals.worst, kind, N_REASONS),
        ScoreHistogram(tuple(edges.tolist()), tuple(totals.scores.tolist()), tuple(normal.tolist())),
        _timeline(task.clock, totals.times),
        _contributions(detector, why),
        _map(detector, totals),
        *task.profiler.profiles(totals.profiles, totals.rows),
        None if layout is None else _pictures(detector, layout, totals, why, kind),
        collected.incidents(kind, MOST_SHOWN),
        collected.n_incidents,
    )


def _timeline(clock: Clock, bins: TimeBins) -> Timeline:
    shift = 1 if clock.column is None else 0  # rows count from 1
    line = bins.timeline()
    outside = Outside(line.n_outside, line.n_flagged_outside, line.first * clock.tick, line.last * clock.tick)
    return Timeline(
        None if clock.column is None else clock.column.name,
        clock.is_date,
        line.width * clock.tick,
        tuple(
            Stretch(number * line.width * clock.tick + shift, rows, flagged)
            for number, rows, flagged in zip(
                line.number.tolist(), line.rows.tolist(), line.flagged.tolist(), strict=True
            )
        ),
        bins.n_without,
        outside if line.n_outside else None,
    )


def _contributions(detector: Detector, why: Explanation) -> Contributions:
    names = [column.name for column in detector.schema.features]
    if not len(why.joint_part):
        return Contributions(0, (), len(names), 0.0, 0.0)
    nats, rest = why.attribution.sum(0), float(why.joint_part.sum())
    n_first = np.bincount(why.attribution.argmax(1)[why.attribution.max(1) > 0], minlength=len(names))
    order = np.argsort(-nats, kind="stable")
    shown = [j for j in order[:N_CONTRIBUTIONS] if nats[j] > 0]
    columns = tuple(Contribution(names[j], float(nats[j]), int(n_first[j])) for j in shown)
    return Contributions(
        len(why.joint_part), columns, len(names) - len(shown), float(nats[order[len(shown) :]].sum()), rest
    )


def _map(detector: Detector, totals: ReportTotals) -> LatentMap | None:
    if detector.n_latent < 2:
        return None
    sample, highest = totals.sample, totals.highest
    flagged = sample.take(np.flatnonzero(sample.flagged))
    also = np.flatnonzero(~np.isin(highest.cells.row, flagged.cells.row))
    exemplars = detector.exemplar_coordinates(2)
    every = -(-len(exemplars) // N_EXEMPLARS)
    return LatentMap(
        _points(exemplars[::every]),
        _points(_positions(detector, sample.take(np.flatnonzero(~sample.flagged)))),
        _points(_positions(detector, flagged.followed_by(highest.take(also)))),
    )


def _pictures(detector: Detector, layout: ImageLayout, totals: ReportTotals, why: Explanation, kind: str) -> Pictures:
    """The highest flagged rows, explained by `why` already, and some of the sample that are not flagged."""
    first = np.argsort(-totals.highest.decided.scored.score, kind="stable")[: layout.n_odd]
    usual = ~totals.sample.flagged & ~np.isnan(totals.sample.decided.scored.score)
    odd, normal = totals.highest.take(first), totals.sample.take(np.flatnonzero(usual)).smallest(layout.n_normal)
    part = detector.explain(normal.cells, normal.decided, kind, most=0).attribution
    return pictures(
        detector,
        layout,
        ImageRows(odd.cells, odd.decided.scored.score, why.attribution[first]),
        ImageRows(normal.cells, normal.decided.scored.score, part),
    )


def _positions(detector: Detector, kept: KeptRows) -> np.ndarray:
    """Where the rows lie on the map, (n, 2): encoded in one go, and so numbered anew."""
    if not len(kept):
        return np.zeros((0, 2))
    return detector.encode(kept.cells.numbered(), 2)[0]


def _points(positions: np.ndarray) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in positions[np.isfinite(positions).all(1)])
