"""Scores series of sensors: batches are read by several threads, put into their series, and scored by several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.aggregates.beyond_range import BeyondRange, beyond_both
from vaecli.aggregates.score_lines import ScoreLine, lines_together, score_lines
from vaecli.calibration.conformal import Calibration
from vaecli.data.clock_units import clock_seconds
from vaecli.data.series import Stretch
from vaecli.decisions.threshold import Decision
from vaecli.engines.base import features_of
from vaecli.results import FlaggedRow
from vaecli.results.explain_sensors import SeriesRow
from vaecli.schema import Schema
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.event_rows import EventRows
from vaecli.sensors.events import EventRules, SeriesPart
from vaecli.sensors.explanation import ExplainedRows, explain
from vaecli.sensors.history import Histories
from vaecli.tables import Batch, BlankRows, LongPart, ReadRequest, blank_rows, time_values, to_cells
from vaecli.tasks.events import DecidedRows, RunFound, parts_of
from vaecli.tasks.long_rows import rows_of_stamps
from vaecli.tasks.reasons import top_columns
from vaecli.tasks.score import N_WORST, NO_ROWS
from vaecli.tasks.sensor_reasons import N_TOP_COLUMNS, reasons_of, shortened
from vaecli.tasks.series_rows import asked_rows
from vaecli.tasks.written_rows import WrittenRows

GROUPED_ROWS = 131_072  # rows of a batch where series are interleaved: each series needs its history once per batch,
ROWS_PER_SERIES = 4_096  # so fewer suffice where each has so many
JOINED_BYTES = 2**26  # of batches that are joined to so many rows


@dataclass(frozen=True, slots=True)
class SensorRows:
    """A batch, its scaled readings (n, D), times (n,), and series: row i belongs to `keys[group[i]]`.

    `long` is the part of a long table whose stamps the rows are, where it is one.
    """

    batch: Batch
    scaled: np.ndarray
    time: np.ndarray
    keys: tuple[str, ...]
    group: np.ndarray
    novel_cells: int
    blank: BlankRows = NO_ROWS
    long: LongPart | None = None
    beyond: BeyondRange | None = None  # readings outside the range of training


@dataclass(frozen=True, slots=True)
class ReadSensors:
    """Reads batches: cells → scaled readings, times and series."""

    detector: SensorDetector

    @property
    def needs(self) -> ReadRequest:
        """The features, the clock and the group; all columns pass through."""
        schema = self.detector.schema
        others = [column.name for column in (schema.time, schema.group) if column is not None]
        return features_of(schema, others, keep=True)

    def process(self, batch: Batch) -> SensorRows:
        """The rows of one batch."""
        schema = self.detector.schema
        cells = to_cells(batch, schema)
        keys, group = keys_of(batch, schema)
        time = times_of(batch, schema)
        return SensorRows(
            batch,
            self.detector.scaled(cells, time),
            time,
            keys,
            group,
            int((cells.state > 1).sum()),
            blank_rows(batch, cells),
            beyond=BeyondRange.of(cells.values, schema.features),
        )

    def process_part(self, part: LongPart) -> SensorRows:
        """The stamps of one part of a long table."""
        return replace(self.process(part.stamps), long=part)


def times_of(batch: Batch, schema: Schema) -> np.ndarray:
    """The clock of the rows (n,) in seconds, or in its own units where it only counts.

    Where the model has no clock: the numbers of the rows in the whole input.
    """
    if schema.time is not None:
        return clock_seconds(time_values(batch, schema.time), schema.time)
    return np.arange(batch.first_row, batch.first_row + batch.n_rows, dtype=np.float64)


def keys_of(batch: Batch, schema: Schema) -> tuple[tuple[str, ...], np.ndarray]:
    """(the different series of a batch as text, the index among them of each row (n,))."""
    if schema.group is None:
        return ("",), np.zeros(batch.n_rows, np.int64)
    found = batch.table.column(schema.group.name).combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    encoded = pc.dictionary_encode(pc.cast(found, pa.string()), null_encoding="encode")
    keys = tuple("" if value is None else value for value in encoded.dictionary.to_pylist())
    return keys, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


@dataclass(frozen=True, slots=True)
class SensorWork:
    """The rows of a batch with their stretches, ready to be scored by any thread."""

    rows: SensorRows
    stretches: tuple[Stretch, ...]


def joined(rows: Iterable[SensorRows], least_rows: int) -> Iterator[SensorRows]:
    """The same rows in batches of at least `least_rows`, of ROWS_PER_SERIES each, or of JOINED_BYTES, but for the last.

    Interleaved series need their history once per batch: of 1,000 series, batches of 4,096 rows would hold 128 rows of
    history for every 4 to be scored.
    """
    waiting: list[SensorRows] = []
    n_rows = n_bytes = n_series = 0
    for part in rows:
        waiting.append(part)
        n_rows += part.batch.n_rows
        n_bytes += part.batch.table.nbytes + part.scaled.nbytes
        n_bytes += sum(held.nbytes for held in (part.batch.lines, part.batch.whole) if held is not None)
        n_series = max(n_series, len(part.keys))
        if n_rows >= min(least_rows, ROWS_PER_SERIES * n_series) or n_bytes >= JOINED_BYTES:
            yield _one(waiting)
            waiting, n_rows, n_bytes, n_series = [], 0, 0, 0
    if waiting:
        yield _one(waiting)


def _one(parts: list[SensorRows]) -> SensorRows:
    if len(parts) == 1:
        return parts[0]
    codes: dict[str, int] = {}
    group = [np.array([codes.setdefault(key, len(codes)) for key in part.keys])[part.group] for part in parts]
    return SensorRows(
        Batch.concatenate([part.batch for part in parts]),
        np.concatenate([part.scaled for part in parts]),
        np.concatenate([part.time for part in parts]),
        tuple(codes),
        np.concatenate(group),
        sum(part.novel_cells for part in parts),
        sum((part.blank for part in parts), NO_ROWS),
        beyond=reduce(beyond_both, (part.beyond for part in parts)),
    )


def in_order(rows: Iterable[SensorRows], histories: Histories) -> Iterator[SensorWork]:
    """Put batches, in the order of the table, into their series."""
    for part in rows:
        yield SensorWork(part, tuple(histories.add(part.scaled, part.time, list(part.keys), part.group)))


@dataclass(frozen=True, slots=True)
class SensorTotals:
    """What was counted of some rows; the rows of a long table are its own, and what was scored are its stamps."""

    rows: int = 0
    anomalies: int = 0
    unscored: int = 0
    novel_cells: int = 0
    scored: int = 0  # rows, or stamps
    flagged: int = 0  # of those
    worst: tuple[FlaggedRow, ...] = ()  # the highest-scoring flagged rows, highest first, of equal ones the earlier
    asked: tuple[SeriesRow, ...] = ()  # the rows that were to be explained by number, in their order
    lines: Mapping[str, ScoreLine] = field(default_factory=dict)  # scores along time by series, where they are wanted
    blank: BlankRows = NO_ROWS
    beyond: BeyondRange | None = None  # readings outside the range of training
    series: tuple[SeriesPart[RunFound], ...] = ()  # the parts of series in one batch; not added up

    def __add__(self, later: SensorTotals) -> SensorTotals:
        """The totals of these rows and the `later` ones."""
        return SensorTotals(
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.unscored + later.unscored,
            self.novel_cells + later.novel_cells,
            self.scored + later.scored,
            self.flagged + later.flagged,
            worst_rows(self.worst, later.worst),
            (*self.asked, *later.asked),
            lines_together(self.lines, later.lines),
            self.blank + later.blank,
            beyond_both(self.beyond, later.beyond),
        )


@dataclass(frozen=True, slots=True)
class DecidedWork:
    """The rows of a batch with scores and flags, before they are explained."""

    work: SensorWork
    rows: DecidedRows


def with_event_rows(decided: Iterable[DecidedWork], rules: EventRules) -> Iterator[DecidedWork]:
    """The same batches, in the order of the table, with the rows of events chosen that are to be explained."""
    chosen = EventRows(rules)
    for part in decided:
        yield replace(part, rows=replace(part.rows, weight=chosen.weights(part.rows.flags)))


@dataclass(frozen=True, slots=True)
class ScoreSensors:
    """Adds score, p-value and flag to rows of series; each score depends on the row and those before it.

    With `explain` flagged rows get the columns responsible; the worst `n_worst` of a batch and those numbered `numbers`
    (k,), from 0 and ascending, are explained in any case. With `line_width` the totals hold scores along time. With
    `of_stamps` the rows of a long table are its stamps and not its own.
    """

    detector: SensorDetector
    decision: Decision
    anomalies_only: bool
    explain: int = 0
    n_worst: int = 0
    rules: EventRules | None = None
    line_width: float | None = None
    of_stamps: bool = False
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def scored(self, work: SensorWork) -> DecidedWork:
        """The rows with their scores and flags."""
        score = self.detector.score(work.stretches, work.rows.batch.n_rows, self.decision.score_kind)
        return self.decided(work, score, self.detector.calibrations[self.decision.score_kind])

    def decided(self, work: SensorWork, score: np.ndarray, calibration: Calibration) -> DecidedWork:
        """The rows with scores (n,), p-values and flags; with `rules` also which of them are evident."""
        p_value = calibration.p_value(score)
        flagged = self.decision.flagged(score, p_value)
        evident = flagged if self.rules is None else self.detector.evident(work.stretches, flagged)
        rows, weight = work.rows, np.full(score.size, np.nan)
        return DecidedWork(
            work,
            DecidedRows(rows.batch, rows.keys, rows.group, rows.time, score, p_value, flagged, evident, weight),
        )

    def process(self, decided: DecidedWork) -> WrittenRows[SensorTotals]:
        """The rows with the added columns, explained; with `anomalies_only` only the flagged ones."""
        work, rows = decided.work, decided.rows
        score, p_value, flagged = rows.score, rows.p_value, rows.flagged
        added: dict[str, Any] = {"anomaly_score": score, "p_value": p_value, "is_anomaly": flagged}
        highest = highest_of(score, flagged, self.n_worst)
        first = work.rows.batch.first_row
        numbers = self.numbers[slice(*np.searchsorted(self.numbers, [first, first + score.size]))] - first
        wanted = flagged | ~np.isnan(rows.weight) if self.explain else highest | ~np.isnan(rows.weight)
        wanted[numbers[~np.isnan(score[numbers])]] = True
        found = explain(self.detector, work.stretches, wanted, score, self.decision.score_kind, rows.time)
        named = np.flatnonzero((flagged if self.explain else highest)[found.row])
        most = max(self.explain, N_TOP_COLUMNS)
        reasons = reasons_of(self.detector, found.take(named), rows.batch, score, p_value, most)
        if self.explain:
            added["top_columns"] = _top_columns(rows.batch, reasons, self.explain)
        totals = SensorTotals(
            score.size,
            int(flagged.sum()),
            int(np.isnan(score).sum()),
            work.rows.novel_cells,
            score.size,
            int(flagged.sum()),
            worst_rows([shortened(row, N_TOP_COLUMNS) for row in reasons if highest[_place(rows.batch, row)]]),
            self._asked(numbers, rows, found),
            self._lines(work.rows, score, flagged),
            work.rows.blank,
            work.rows.beyond,
            () if self.rules is None else parts_of(self.detector, self.rules, rows, found),
        )
        written = WrittenRows(rows.batch, added, totals, flagged if self.anomalies_only else None)
        return written if work.rows.long is None else rows_of_stamps(work.rows.long, written)

    def _lines(self, rows: SensorRows, score: np.ndarray, flagged: np.ndarray) -> dict[str, ScoreLine]:
        if self.line_width is None:
            return {}
        return score_lines(self.line_width, rows.keys, rows.group, rows.time, score, flagged)

    def _asked(self, numbers: np.ndarray, rows: DecidedRows, found: ExplainedRows) -> tuple[SeriesRow, ...]:
        if not numbers.size:
            return ()
        return asked_rows(self.detector, rows, found, numbers, len(self.detector.schema.features))


def highest_of(score: np.ndarray, flagged: np.ndarray, most: int) -> np.ndarray:
    """(n,) bool: the `most` highest scores among the flagged rows, of equal ones the earlier."""
    which = np.flatnonzero(flagged)
    highest = np.zeros(score.size, bool)
    highest[which[np.argsort(-score[which], kind="stable")[:most]]] = True
    return highest


def worst_rows(*parts: Sequence[FlaggedRow]) -> tuple[FlaggedRow, ...]:
    """At most N_WORST rows of all parts, the highest score first, of equal ones the earlier row."""
    return tuple(sorted(chain.from_iterable(parts), key=lambda row: -row.score)[:N_WORST])


def _top_columns(batch: Batch, rows: Sequence[FlaggedRow], most: int) -> np.ndarray:
    """(n,) text of the explained rows, None for the others."""
    texts = np.full(batch.n_rows, None, object)
    for row in rows:
        texts[_place(batch, row)] = top_columns(shortened(row, most))
    return texts


def _place(batch: Batch, row: FlaggedRow) -> int:
    return row.row - 1 - batch.first_row
