"""The last rows of each series: what a score needs of earlier batches, files and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vaecli.data.series import Stretch, filled_forward
from vaecli.model.window_model import HISTORY, TILE


@dataclass(slots=True)
class SeriesHistory:
    """The last rows of one series since its last gap: `time` (h,) ascending, `readings` (h, D) scaled and filled.

    `place` is how many rows of the series were scored so far, modulo TILE.
    """

    time: np.ndarray
    readings: np.ndarray
    place: int = 0

    @classmethod
    def empty(cls, n_sensors: int) -> SeriesHistory:
        """The history of a series of which no row was met."""
        return cls(np.empty(0), np.empty((0, n_sensors), np.float32))


@dataclass(slots=True)
class Late:
    """What was unusual about the times of rows."""

    late: int = 0  # rows older than the newest of their series, which were put where they belong
    too_late: int = 0  # rows older than what the history reaches back to: without a score
    no_time: int = 0  # rows without a time: without a score
    repeated: int = 0  # rows with the same time as the row before
    gaps: int = 0


@dataclass(slots=True)
class Histories:
    """The histories of all series of a table, in the order in which its rows arrive.

    Rows are scored in the order of arrival, each after the rows of its series that are not later: so a table gives the
    same scores in one piece and in many. `start` (D,) float32 stands for readings that are missing before the first.
    """

    start: np.ndarray
    max_gap: float  # seconds, or units of the clock; no window spans a longer step
    series: dict[str, SeriesHistory] = field(default_factory=dict)
    seen: Late = field(default_factory=Late)

    def add(self, scaled: np.ndarray, time: np.ndarray, keys: Sequence[str], group: np.ndarray) -> list[Stretch]:
        """The stretches of one batch, whose n rows enter the histories.

        `scaled` (n, D) are scaled readings, NaN where missing; `time` (n,); row i belongs to series `keys[group[i]]`.
        Rows that cannot have a score are in no stretch.
        """
        no_time = np.isnan(time)
        self.seen.no_time += int(no_time.sum())
        order = np.argsort(group, kind="stable")
        order = order[~no_time[order]]
        edges = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1))
        stretches: list[Stretch] = []
        for first, last in pairwise(edges.tolist()):
            rows = order[first:last]
            key = keys[int(group[rows[0]])]
            history = self.series.setdefault(key, SeriesHistory.empty(self.start.size))
            self._add_series(history, scaled, time, rows, stretches)
        return stretches

    def _add_series(
        self, history: SeriesHistory, scaled: np.ndarray, time: np.ndarray, rows: np.ndarray, found: list[Stretch]
    ) -> None:
        newest = np.maximum.accumulate(np.append(history.time[-1:] if history.time.size else -np.inf, time[rows]))
        is_late = time[rows] < newest[:-1]
        self.seen.repeated += int((time[rows] == newest[:-1]).sum())
        if not is_late.any():
            self._append(history, scaled, time, rows, found)
            return
        for run in np.split(np.arange(rows.size), np.flatnonzero(np.diff(is_late.astype(np.int8))) + 1):
            if not is_late[run[0]]:
                self._append(history, scaled, time, rows[run], found)
                continue
            for row in rows[run]:
                self._insert(history, scaled[row], time[row], row, found)

    def _append(
        self, history: SeriesHistory, scaled: np.ndarray, time: np.ndarray, rows: np.ndarray, found: list[Stretch]
    ) -> None:
        """Rows that are not older than the newest of the history."""
        times = time[rows]
        steps = np.diff(times, prepend=history.time[-1] if history.time.size else times[0])
        breaks = np.flatnonzero(steps > self.max_gap)
        self.seen.gaps += breaks.size
        for first, last in pairwise([0, *breaks.tolist(), rows.size]):
            if first == last:
                continue
            if first or (breaks.size and breaks[0] == 0):
                history.time, history.readings = history.time[:0], history.readings[:0]
            before = history.readings
            filled = filled_forward(scaled[rows[first:last]], before[-1] if before.size else self.start)
            found.append(Stretch(_padded(before, filled), filled, history.place, rows[first:last], before.shape[0]))
            history.time = np.concatenate([history.time, times[first:last]])[-HISTORY:]
            history.readings = np.concatenate([before[-HISTORY:], filled[-HISTORY:]])[-HISTORY:]
            history.place = (history.place + last - first) % TILE

    def _insert(self, history: SeriesHistory, scaled: np.ndarray, time: float, row: int, found: list[Stretch]) -> None:
        """One row that is older than the newest: scored after the rows before it, and put among them."""
        at = int(np.searchsorted(history.time, time, side="right"))
        if at == 0:
            self.seen.too_late += 1
            return
        self.seen.late += 1
        before = history.readings[:at]
        filled = filled_forward(scaled[None], before[-1])
        found.append(Stretch(_padded(before, filled), filled, history.place, np.array([row]), at))
        history.time = np.insert(history.time, at, time)[-HISTORY:]
        history.readings = np.insert(history.readings, at, filled, axis=0)[-HISTORY:]
        history.place = (history.place + 1) % TILE


def _padded(before: np.ndarray, readings: np.ndarray) -> np.ndarray:
    """HISTORY rows: those `before` the readings, the first row of all repeated in front."""
    if before.shape[0] >= HISTORY:
        return before[-HISTORY:]
    first = before[:1] if before.shape[0] else readings[:1]
    return np.concatenate([np.repeat(first, HISTORY - before.shape[0], axis=0), before])
