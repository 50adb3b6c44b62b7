"""Gathers what a report shows in one pass over a table: batch → cells → scores → counts, in bounded memory.

What is added up are whole numbers, and what is kept is chosen by score or by the number of the row; so batches and
workers never show. Rows that are kept are explained and encoded at the end, all together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from vaecli.aggregates.histograms import calibration_counts, score_counts, score_edges
from vaecli.aggregates.row_sample import row_hash
from vaecli.aggregates.timeline import CLOCK, DECIMAL, Stretches
from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.decisions.threshold import Decision, ScoredRows
from vaecli.detector import Detector
from vaecli.engines.local import map_batches
from vaecli.report import (
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
from vaecli.results import Event, FlaggedRow, OnEvent
from vaecli.schema import Column, Kind, Schema
from vaecli.scoring.attribution import Explanation
from vaecli.scoring.scores import ScoredBatch
from vaecli.tables import Batch, Source, readable_times, to_cells
from vaecli.tasks.column_profiles import Profiler
from vaecli.tasks.reasons import RowsToExplain, explained
from vaecli.tasks.report_images import ImageLayout, ImageRows, pictures
from vaecli.tasks.score import Candidate, worst_of

N_WORST = 20  # rows with reasons
N_REASONS = 3
N_EXPLAINED = 200  # flagged rows whose columns are added up, the oddest
N_SAMPLE = 1_500  # rows on the map
N_EXEMPLARS = 600  # training rows behind them
N_CONTRIBUTIONS = 15
# Cells that are kept of each: a wide table has fewer rows. Measured with 3,000 columns: a row takes 0.2 s to explain.
MOST_EXPLAINED_CELLS, MOST_SAMPLE_CELLS = 200_000, 2_000_000


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Whole rows that are looked at again at the end, and by which of them are kept: the smallest keys."""

    cells: Cells
    decided: ScoredRows
    flagged: np.ndarray  # (n,) bool
    key: np.ndarray  # (n,)

    def take(self, which: np.ndarray) -> KeptRows:
        """The chosen ones, in that order."""
        return KeptRows(self.cells[which], self.decided.take(which), self.flagged[which], self.key[which])

    def __len__(self) -> int:
        return len(self.cells)

    def smallest(self, most: int) -> KeptRows:
        """Those with the smallest keys, of equal ones the earlier rows, in the order of rows."""
        return self if len(self) <= most else self.take(np.sort(np.argsort(self.key, kind="stable")[:most]))

    @classmethod
    def nothing(cls, n_columns: int) -> KeptRows:
        """No row."""
        none, no_cells = np.zeros(0), np.zeros((0, n_columns))
        cells = Cells(no_cells, no_cells.astype(np.uint8), none.astype(np.int64))
        scored = ScoredBatch(cells.row, none, no_cells, none)
        return cls(cells, ScoredRows(scored, none, 0), none.astype(bool), none)

    def __add__(self, later: KeptRows) -> KeptRows:
        """Both, one behind the other."""
        one, other = self.decided.scored, later.decided.scored
        scored = ScoredBatch(
            *(np.concatenate([getattr(one, name), getattr(other, name)]) for name in ScoredBatch.__slots__)
        )
        p_value = np.concatenate([self.decided.p_value, later.decided.p_value])
        return KeptRows(
            Cells.concatenate([self.cells, later.cells]),
            ScoredRows(scored, p_value, 0),
            np.concatenate([self.flagged, later.flagged]),
            np.concatenate([self.key, later.key]),
        )


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """What was seen in the rows of one batch."""

    rows: int
    flagged: int
    unscored: int
    missing: int
    novel: int
    scores: np.ndarray
    profiles: np.ndarray
    ticks: np.ndarray  # (n,) where each row stands in time
    timed: np.ndarray  # (n,) bool, whether it has one
    flags: np.ndarray  # (n,) bool
    worst: tuple[Candidate, ...]
    oddest: KeptRows
    sample: KeptRows

    @classmethod
    def nothing(cls, n_columns: int, n_scores: int, n_counts: int) -> BatchStatistics:
        """Of no rows."""
        none, kept = np.zeros(0, np.int64), KeptRows.nothing(n_columns)
        no_flags = none.astype(bool)
        scores, profiles = np.zeros(n_scores, np.int64), np.zeros(n_counts, np.int64)
        return cls(0, 0, 0, 0, 0, scores, profiles, none, no_flags, no_flags, (), kept, kept)

    def then(self, later: BatchStatistics, n_explained: int, n_sample: int) -> BatchStatistics:
        """Of these rows and the `later` ones; where each row stands in time and whether it is flagged is not kept."""
        worst = sorted((*self.worst, *later.worst), key=lambda candidate: -candidate.score)
        return BatchStatistics(
            self.rows + later.rows,
            self.flagged + later.flagged,
            self.unscored + later.unscored,
            self.missing + later.missing,
            self.novel + later.novel,
            self.scores + later.scores,
            self.profiles + later.profiles,
            self.ticks,
            self.timed,
            self.flags,
            tuple(worst[:N_WORST]),
            (self.oddest + later.oddest).smallest(n_explained),
            (self.sample + later.sample).smallest(n_sample),
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


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time of a row: a column as whole ticks, or the number of the row."""

    column: Column | None
    place: int | None  # among the features, if it is one
    tick: float  # in the column's unit, seconds for a date

    @classmethod
    def of(cls, schema: Schema, source: Source) -> Clock:
        """The time column of the fit, else the only date among the features, else none."""
        if schema.time is not None and schema.time.name in source.names:
            return cls(schema.time, None, _tick(schema.time))
        dates = [j for j, column in enumerate(schema.features) if column.kind is Kind.DATETIME]
        if len(dates) == 1:
            return cls(schema.features[dates[0]], dates[0], 1.0)
        return cls(None, None, 1.0)

    @property
    def is_date(self) -> bool:
        """Whether ticks are seconds since the epoch."""
        return self.column is not None and self.column.kind is Kind.DATETIME

    def read(self, batch: Batch, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """Ticks (n,) int64, and which rows have one."""
        if self.column is None:
            return cells.row, np.ones(len(cells), bool)
        moments = readable_times(batch, self.column) if self.place is None else cells.values[:, self.place]
        ticks = np.floor(moments / self.tick)
        timed = np.abs(ticks) < 2.0**62  # neither NaN nor infinite
        return np.where(timed, ticks, 0).astype(np.int64), timed


def _tick(column: Column) -> float:
    """One for dates and whole numbers, else fine enough for a hundred thousand ticks over the training range."""
    span = (column.maximum or 0.0) - (column.minimum or 0.0)
    if column.kind is Kind.DATETIME or column.whole or not 0 < span < math.inf:
        return 1.0
    return float(10.0 ** math.floor(math.log10(span) - 5))


def collect(
    detector: Detector,
    source: Source,
    decide: Decision,
    *,
    kind: str,
    frame: ImageLayout | None,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> ReportInputs:
    """One pass over `source`, then the rows that it kept; with a `frame` rows are drawn as pictures."""
    calibration = detector.calibrations[kind]
    edges = score_edges(calibration.scores, calibration.ranks, decide.min_score)
    profiler, clock = Profiler.of(detector), Clock.of(detector.schema, source)
    n_columns = len(detector.schema.features)
    n_explained = max(N_WORST, min(N_EXPLAINED, MOST_EXPLAINED_CELLS // n_columns))
    n_sample = max(N_WORST, min(N_SAMPLE, MOST_SAMPLE_CELLS // n_columns))
    others = [clock.column.name] if clock.column is not None and clock.place is None else []

    def one(batch: Batch) -> BatchStatistics:
        cells = to_cells(batch, detector.schema)
        decided = detector.score(cells, kind)
        score, flags = decided.scored.score, decide.flags(decided)
        order = np.flatnonzero(flags)
        order = order[np.argsort(-score[order], kind="stable")]
        everyone = KeptRows(cells, decided, flags, row_hash(cells.row))
        unusual = replace(everyone, key=-score).take(np.sort(order[:n_explained]))
        return BatchStatistics(
            len(cells),
            int(flags.sum()),
            int(np.isnan(score).sum()),
            int((cells.state == MISSING).sum()),
            int((cells.state == NOVEL).sum()),
            score_counts(edges, score),
            profiler.counts(cells),
            *clock.read(batch, cells),
            flags,
            worst_of(RowsToExplain.of(detector, batch, cells, decided, flags, order[:N_WORST])),
            unusual,
            everyone.smallest(n_sample),
        )

    total = BatchStatistics.nothing(n_columns, edges.size, profiler.n_counts)
    stretches = Stretches(CLOCK if clock.is_date else DECIMAL)
    for parts in map_batches(one, source, detector.schema, others=others, batch_rows=batch_rows, workers=workers):
        for seen in parts:
            stretches.add(seen.ticks, seen.flags, seen.timed)
            total = total.then(seen, n_explained, n_sample)
        on_event(Event("scoring", total.rows, source.n_rows))
    on_event(Event("explaining", total.rows, total.rows))
    why = detector.explain(total.oddest.cells, total.oddest.decided, kind, most=0)
    normal = calibration_counts(edges, calibration.scores, calibration.ranks)
    return ReportInputs(
        total.rows,
        total.flagged,
        total.unscored,
        total.missing,
        total.novel,
        tuple(row for one in total.worst for row in explained(detector, one.among.only(one.place), kind, N_REASONS)),
        ScoreHistogram(tuple(edges.tolist()), tuple(total.scores.tolist()), tuple(normal.tolist())),
        _timeline(clock, stretches),
        _contributions(detector, why),
        _map(detector, total),
        *profiler.profiles(total.profiles, total.rows),
        None if frame is None else _pictures(detector, frame, total, why, kind),
    )


def _timeline(clock: Clock, found: Stretches) -> Timeline:
    shift = 1 if clock.column is None else 0  # rows count from 1
    line = found.line()
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
        found.n_without,
        outside if line.n_outside else None,
    )


def _contributions(detector: Detector, found: Explanation) -> Contributions:
    names = [column.name for column in detector.schema.features]
    if not len(found.joint_part):
        return Contributions(0, (), len(names), 0.0, 0.0)
    nats, rest = found.attribution.sum(0), float(found.joint_part.sum())
    n_first = np.bincount(found.attribution.argmax(1)[found.attribution.max(1) > 0], minlength=len(names))
    order = np.argsort(-nats, kind="stable")
    shown = [j for j in order[:N_CONTRIBUTIONS] if nats[j] > 0]
    columns = tuple(Contribution(names[j], float(nats[j]), int(n_first[j])) for j in shown)
    return Contributions(
        len(found.joint_part), columns, len(names) - len(shown), float(nats[order[len(shown) :]].sum()), rest
    )


def _map(detector: Detector, total: BatchStatistics) -> LatentMap | None:
    if detector.n_latent < 2:
        return None
    sample, oddest = total.sample, total.oddest
    flagged = sample.take(np.flatnonzero(sample.flagged))
    also = np.flatnonzero(~np.isin(oddest.cells.row, flagged.cells.row))
    exemplars = detector.exemplar_coordinates(2)
    every = -(-len(exemplars) // N_EXEMPLARS)
    return LatentMap(
        _points(exemplars[::every]),
        _points(_places(detector, sample.take(np.flatnonzero(~sample.flagged)))),
        _points(_places(detector, flagged + oddest.take(also))),
    )


def _pictures(detector: Detector, frame: ImageLayout, total: BatchStatistics, why: Explanation, kind: str) -> Pictures:
    """The oddest flagged rows, explained by `why` already, and some of the sample that are not flagged."""
    first = np.argsort(-total.oddest.decided.scored.score, kind="stable")[: frame.n_odd]
    usual = ~total.sample.flagged & ~np.isnan(total.sample.decided.scored.score)
    odd, normal = total.oddest.take(first), total.sample.take(np.flatnonzero(usual)).smallest(frame.n_normal)
    part = detector.explain(normal.cells, normal.decided, kind, most=0).attribution
    return pictures(
        detector,
        frame,
        ImageRows(odd.cells, odd.decided.scored.score, why.attribution[first]),
        ImageRows(normal.cells, normal.decided.scored.score, part),
    )


def _places(detector: Detector, kept: KeptRows) -> np.ndarray:
    """Where the rows lie on the map, (n, 2): encoded in one go, and so numbered anew."""
    if not len(kept):
        return np.zeros((0, 2))
    cells = Cells(kept.cells.values, kept.cells.state, np.arange(len(kept)))
    return detector.encode(cells, 2)[0]


def _points(places: np.ndarray) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in places[np.isfinite(places).all(1)])
