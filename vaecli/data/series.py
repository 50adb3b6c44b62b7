"""Stretches of rows that follow each other in time, laid out so that windows of all of them are computed at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np


class Cause(IntEnum):
    """Why a sensor alone decides, whatever the windows hold."""

    NONE = 0
    SILENT = 1  # no reading for too long
    BEYOND = 2  # a level beyond the range of training
    UNSEEN = 3  # a value that training never had


@dataclass(frozen=True, slots=True)
class Alarms:
    """Which sensor of m rows decides whatever the windows hold: how `far` (m,) float32 out, in its limit.

    `sensor` (m,) is that sensor and `cause` (m,) uint8 its `Cause`. Of several it is the one furthest beyond its limit;
    0, −1 and 0 where there is none.
    """

    far: np.ndarray
    sensor: np.ndarray
    cause: np.ndarray

    def __getitem__(self, which: slice | np.ndarray) -> Alarms:
        return Alarms(self.far[which], self.sensor[which], self.cause[which])

    @classmethod
    def none(cls, n_rows: int) -> Alarms:
        """No sensor of `n_rows` rows decides."""
        return cls(np.zeros(n_rows, np.float32), np.full(n_rows, -1), np.zeros(n_rows, np.uint8))

    @classmethod
    def concatenate(cls, parts: Sequence[Alarms]) -> Alarms:
        """The rows of all parts, in order."""
        far, sensor, cause = zip(*((part.far, part.sensor, part.cause) for part in parts), strict=True)
        return cls(np.concatenate(far), np.concatenate(sensor), np.concatenate(cause))

    def joined(self, far: np.ndarray, sensor: np.ndarray | int, cause: Cause | np.ndarray) -> Alarms:
        """The same rows; a sensor further out by `far` (m,) decides; `sensor` and `cause` are (m,) or one for all."""
        more = far > self.far
        return Alarms(
            np.where(more, far, self.far),
            np.where(more, sensor, self.sensor),
            np.where(more, np.asarray(cause, np.uint8), self.cause),
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one series without a gap, and the rows before them.

    `before` (h, D) and `readings` (m, D) are scaled float32 without missing cells; h is the history that scores need.
    `row` (m,) are the positions of the rows in their batch; `seen` is how many rows the stretch had before, at most h:
    the others of `before` repeat its first row. `alarms` is None where no sensor decides alone.
    """

    before: np.ndarray
    readings: np.ndarray
    row: np.ndarray
    seen: int
    alarms: Alarms | None = None

    def cut(self, n_rows: int) -> Iterator[Stretch]:
        """The same rows in pieces of at most `n_rows`, each with its history."""
        history = self.before.shape[0]
        if self.row.size <= n_rows:
            yield self
            return
        everything = np.concatenate([self.before, self.readings])
        for start in range(0, self.row.size, n_rows):
            stop = min(start + n_rows, self.row.size)
            yield Stretch(
                everything[start : start + history],
                self.readings[start:stop],
                self.row[start:stop],
                self.seen + start,
                None if self.alarms is None else self.alarms[start:stop],
            )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Stretches side by side: `x` (D, columns) float32, time along the columns, each stretch after its history.

    `column` (m,) holds where each row is among the columns, `row` (m,) where it is in its batch, and `seen` (m,) how
    many rows of its stretch come before it. `alarms` are those of the m rows.
    """

    x: np.ndarray
    column: np.ndarray
    row: np.ndarray
    seen: np.ndarray
    alarms: Alarms

    def take(self, which: np.ndarray) -> Chunk:
        """The same columns with the rows `which` (m,), in that order."""
        return Chunk(self.x, self.column[which], self.row[which], self.seen[which], self.alarms[which])

    def around(self, which: np.ndarray, history: int, most_columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The columns that the rows `which` (k,) need, in pieces: (columns (D, …), where the rows are among them).

        `which` ascends by column. A piece holds each row after the `history` columns before it, and about
        `most_columns`.
        """
        column = self.column[which]
        first = np.flatnonzero(np.diff(column, prepend=-history - 2) > history)
        edges = [*first.tolist(), column.size]
        waiting: list[np.ndarray] = []
        places: list[np.ndarray] = []
        n_waiting = 0
        for a, b in pairwise(edges):
            for start in range(a, b, most_columns):
                own = column[start : min(start + most_columns, b)]
                begin, end = int(own[0]) - history, int(own[-1]) + 1
                if waiting and n_waiting + end - begin > most_columns:
                    yield np.concatenate(waiting, axis=1), np.concatenate(places)
                    waiting, places, n_waiting = [], [], 0
                waiting.append(self.x[:, begin:end])
                places.append(own - begin + n_waiting)
                n_waiting += end - begin
        if waiting:
            yield np.concatenate(waiting, axis=1), np.concatenate(places)


def chunk_of(stretches: Sequence[Stretch]) -> Chunk:
    """Lay stretches out side by side."""
    n_sensors, history = stretches[0].readings.shape[1], stretches[0].before.shape[0]
    x = np.empty((n_sensors, sum(history + s.row.size for s in stretches)), np.float32)
    columns, start = [], 0
    for stretch in stretches:
        first, stop = start + history, start + history + stretch.row.size
        x[:, start:first] = stretch.before.T
        x[:, first:stop] = stretch.readings.T
        columns.append(np.arange(first, stop))
        start = stop
    row = np.concatenate([stretch.row for stretch in stretches])
    seen = np.concatenate([stretch.seen + np.arange(stretch.row.size) for stretch in stretches])
    alarms = Alarms.concatenate([s.alarms or Alarms.none(s.row.size) for s in stretches])
    return Chunk(x, np.concatenate(columns), row, seen, alarms)


def chunks_of(stretches: Sequence[Stretch], most_columns: int) -> Iterator[Chunk]:
    """Lay stretches out in chunks of about `most_columns` columns, cutting long ones."""
    waiting: list[Stretch] = []
    n_waiting = 0
    for stretch in stretches:
        for piece in stretch.cut(max(most_columns - stretch.before.shape[0], 1)):
            size = piece.before.shape[0] + piece.row.size
            if waiting and n_waiting + size > most_columns:
                yield chunk_of(waiting)
                waiting, n_waiting = [], 0
            waiting.append(piece)
            n_waiting += size
    if waiting:
        yield chunk_of(waiting)


def held_forward(
    readings: np.ndarray,
    time: np.ndarray,
    before: np.ndarray,
    reported: np.ndarray,
    hold: np.ndarray,
    otherwise: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, int]:
    """The same as `filled_forward`, but a reading is held for `hold` (D,) after it, then `otherwise` (D,) is read.

    Rows are at `time` (m,), ascending; the readings `before` are of the times `reported` (D,), −inf for none. Returned
    with the times of the last reading of each sensor up to the last row (D,), and how many readings are held no more.
    """
    last = np.maximum.accumulate(np.where(np.isnan(readings), -1, np.arange(readings.shape[0])[:, None]), axis=0)
    since = np.where(last < 0, reported, time[np.maximum(last, 0)])
    with np.errstate(invalid="ignore"):
        is_held = time[:, None] - since <= hold
    n_not_held = int((~is_held & np.isfinite(since)).sum())
    return np.where(is_held, filled_forward(readings, before), otherwise), since[-1], n_not_held


def missing_runs(missing: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The number of rows, up to each of m rows, for which each sensor has had no reading: (m, D), 0 where it has one.

    `missing` (m, D) marks cells without a reading; the sensors were without one for `before` (D,) rows then.
    """
    place = np.arange(1, missing.shape[0] + 1)[:, None]
    last = np.maximum.accumulate(np.where(missing, 0, place), axis=0)
    return np.asarray(place - last + np.where(last == 0, before, 0))


def equal_runs(
    readings: np.ndarray, last: np.ndarray | None = None, same: np.ndarray | int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(readings (m, D) that hold the last one where missing, how many readings up to each row were equal (m, D)).

    `last` (D,) is the reading before the first row, NaN for none, and `same` (D,) how many were equal up to it. A
    missing cell neither counts nor ends a run.
    """
    here = ~np.isnan(readings)
    before = np.full(readings.shape[1], np.nan) if last is None else last
    filled = filled_forward(readings, before)
    begins = here & (filled != np.concatenate([before[None], filled[:-1]]))
    n_here = np.cumsum(here, axis=0)
    since = np.maximum.accumulate(np.where(begins, n_here, 0), axis=0)
    return filled, np.where(since > 0, n_here - since + 1, n_here + same)


def filled_forward(readings: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Readings (m, D) whose missing cells (NaN) hold the last reading of their sensor; `before` (D,) comes first."""
    missing = np.isnan(readings)
    if not missing.any():
        return readings
    last = np.where(missing, -1, np.arange(readings.shape[0])[:, None])
    last = np.maximum.accumulate(last, axis=0)
    return np.where(last < 0, before, np.take_along_axis(readings, np.maximum(last, 0), axis=0))
