"""Stretches of rows that follow each other in time, laid out so that windows of all of them are computed at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Silence:
    """Which sensor of m rows has had no reading for too long: `far` (m,) float32, in its limit, and `sensor` (m,).

    Of several it is the one furthest beyond its limit; 0 and −1 where there is none.
    """

    far: np.ndarray
    sensor: np.ndarray

    def __getitem__(self, which: slice | np.ndarray) -> Silence:
        return Silence(self.far[which], self.sensor[which])

    @classmethod
    def none(cls, n_rows: int) -> Silence:
        """No sensor of `n_rows` rows is silent."""
        return cls(np.zeros(n_rows, np.float32), np.full(n_rows, -1))

    @classmethod
    def concatenate(cls, parts: Sequence[Silence]) -> Silence:
        """The rows of all parts, in order."""
        return cls(np.concatenate([part.far for part in parts]), np.concatenate([part.sensor for part in parts]))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one series without a gap, and the rows before them.

    `before` (h, D) and `readings` (m, D) are scaled float32 without missing cells; h is the history that scores need.
    `place` is how many rows of the series came earlier, modulo the size of a tile: with it a row's place in its tile is
    a property of the series and not of the batch. `row` (m,) are the positions of the rows in their batch; `seen` is
    how many rows the stretch had before, at most h: the others of `before` repeat its first row. `silence` is None
    where no sensor is silent.
    """

    before: np.ndarray
    readings: np.ndarray
    place: int
    row: np.ndarray
    seen: int
    silence: Silence | None = None

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
                self.place + start,
                self.row[start:stop],
                self.seen + start,
                None if self.silence is None else self.silence[start:stop],
            )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Stretches side by side: `x` (D, columns) float32, time along the columns, each stretch after its history.

    `tiles` (t,) are the first columns of the tiles that hold rows; `column` (m,) holds where each row is among the
    columns, `output` (m,) where it is among the columns of the tiles, `row` (m,) where it is in its batch, and `seen`
    (m,) how many rows of its stretch come before it. `silence` is that of the m rows.
    """

    x: np.ndarray
    tiles: np.ndarray
    column: np.ndarray
    output: np.ndarray
    row: np.ndarray
    seen: np.ndarray
    silence: Silence

    def take(self, which: np.ndarray) -> Chunk:
        """The same columns with the rows `which` (m,), in that order."""
        column, output, row, seen = (array[which] for array in (self.column, self.output, self.row, self.seen))
        return Chunk(self.x, self.tiles, column, output, row, seen, self.silence[which])


def chunk_of(stretches: Sequence[Stretch], tile: int) -> Chunk:
    """Lay stretches out in tiles of `tile` columns; each begins a tile at its own place."""
    n_sensors, history = stretches[0].readings.shape[1], stretches[0].before.shape[0]
    sizes = [history + _up(s.place % tile + s.row.size, tile) for s in stretches]
    x = np.empty((n_sensors, sum(sizes)), np.float32)
    tiles, columns, outputs, start, n_tiles = [], [], [], 0, 0
    for stretch, size in zip(stretches, sizes, strict=True):
        place, n_rows = stretch.place % tile, stretch.row.size
        first = start + history + place
        x[:, start : start + place] = stretch.before[:1].T
        x[:, start + place : first] = stretch.before.T
        x[:, first : first + n_rows] = stretch.readings.T
        x[:, first + n_rows : start + size] = stretch.readings[-1:].T
        tiles.append(np.arange(start + history, start + size, tile))
        columns.append(np.arange(first, first + n_rows))
        outputs.append(np.arange(n_rows) + n_tiles * tile + place)
        start, n_tiles = start + size, n_tiles + tiles[-1].size
    row = np.concatenate([stretch.row for stretch in stretches])
    seen = np.concatenate([stretch.seen + np.arange(stretch.row.size) for stretch in stretches])
    silence = Silence.concatenate([s.silence or Silence.none(s.row.size) for s in stretches])
    return Chunk(x, np.concatenate(tiles), np.concatenate(columns), np.concatenate(outputs), row, seen, silence)


def chunks_of(stretches: Sequence[Stretch], tile: int, most_columns: int) -> Iterator[Chunk]:
    """Lay stretches out in chunks of about `most_columns` columns, cutting long ones at the edges of their tiles."""
    waiting: list[Stretch] = []
    n_waiting = 0
    for stretch in stretches:
        for piece in _cut_at_tiles(stretch, tile, most_columns):
            size = piece.before.shape[0] + piece.row.size
            if waiting and n_waiting + size > most_columns:
                yield chunk_of(waiting, tile)
                waiting, n_waiting = [], 0
            waiting.append(piece)
            n_waiting += size
    if waiting:
        yield chunk_of(waiting, tile)


def _cut_at_tiles(stretch: Stretch, tile: int, most_columns: int) -> Iterator[Stretch]:
    n_rows = max(most_columns // tile, 1) * tile
    return stretch.cut(n_rows)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


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


def filled_forward(readings: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Readings (m, D) whose missing cells (NaN) hold the last reading of their sensor; `before` (D,) comes first."""
    missing = np.isnan(readings)
    if not missing.any():
        return readings
    last = np.where(missing, -1, np.arange(readings.shape[0])[:, None])
    last = np.maximum.accumulate(last, axis=0)
    return np.where(last < 0, before, np.take_along_axis(readings, np.maximum(last, 0), axis=0))
