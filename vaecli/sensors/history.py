"""The last rows of each series: what a score needs of earlier batches, files and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vaecli.data.series import Alarms, Cause, Stretch, filled_forward, held_forward, missing_runs
from vaecli.data.support import Support
from vaecli.model.window_model import HISTORY

ROWS_SET_BACK = 8  # rows that are too late and follow each other: the clock was set back
HOUR = 3600.0  # seconds
LOOKED_AT = 4096  # rows whose lateness is looked up at once
LEAST_SPIKE = 1.0  # standard deviations; less does not fill a window with flags


@dataclass(slots=True)
class SeriesHistory:
    """The last rows of one series since its last gap: `time` (h,) ascending, `readings` (h, D) scaled and filled.

    `n_refused` is how many rows that were too late, or an hour late, arrived last, each after the one before, and
    `refused` the time of the last of them. `reported` (D,) is when each sensor last had a reading, and `missing` (D,)
    for how many rows it has had none since that gap, where that counts; `support` are the counts of `Support.alarms`.
    """

    time: np.ndarray
    readings: np.ndarray
    n_refused: int = 0
    refused: float = np.nan
    reported: np.ndarray | None = None
    missing: np.ndarray | None = None
    support: np.ndarray | None = None

    @classmethod
    def empty(cls, n_sensors: int) -> SeriesHistory:
        """The history of a series of which no row was met."""
        return cls(np.empty(0), np.empty((0, n_sensors), np.float32))

    def begin_anew(self) -> None:
        """Forget all rows, as after a gap."""
        self.time, self.readings, self.n_refused = self.time[:0], self.readings[:0], 0
        self.missing = self.support = None


@dataclass(slots=True)
class Late:
    """What was unusual about the times of rows."""

    late: int = 0  # rows older than the newest of their series, which were put where they belong
    too_late: int = 0  # rows older than what the history reaches back to: without a score
    no_time: int = 0  # rows without a time: without a score
    repeated: int = 0  # rows with the same time as the row before
    gaps: int = 0
    set_back: int = 0  # times that a clock was set back further than the history reaches
    not_held: int = 0  # missing readings of sensors that had been silent for too long to hold their last one


@dataclass(slots=True)
class Histories:
    """The histories of all series of a table, in the order in which its rows arrive.

    Rows are scored in the order of arrival, each after the rows of its series that are not later: so a table gives the
    same scores in one piece and in many. `start` (D,) float32 stands for readings that are missing before the first.
    """

    start: np.ndarray
    max_gap: float  # seconds, or units of the clock; no window spans a longer step
    spike_limit: (
        np.ndarray
    )  # (D,) scaled; a reading that stands out further, for one row, is taken out of later windows
    series: dict[str, SeriesHistory] = field(default_factory=dict)
    seen: Late = field(default_factory=Late)
    hold: np.ndarray | None = None  # (D,) how long a sensor's last reading stands for missing ones; None: for ever
    silence_limit: np.ndarray | None = None  # (D,) float32, rows without a reading; None where silence is not judged
    support: Support | None = None  # what training supports; None where it is not judged

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
        newest = _newest(history, time[rows])
        if not (time[rows] < newest).any():
            self.seen.repeated += int((time[rows] == newest).sum())
            self._append(history, scaled, time, rows, found)
            return
        while rows.size:
            n_done = self._add_some(history, scaled, time, rows[:LOOKED_AT], found)
            rows = rows[n_done:]

    def _add_some(
        self, history: SeriesHistory, scaled: np.ndarray, time: np.ndarray, rows: np.ndarray, found: list[Stretch]
    ) -> int:
        """Add the first rows, until one with which the series begins anew; how many were added."""
        newest = _newest(history, time[rows])
        is_late = time[rows] < newest
        for run in np.split(np.arange(rows.size), np.flatnonzero(np.diff(is_late.astype(np.int8))) + 1):
            if not is_late[run[0]]:
                self.seen.repeated += int((time[rows[run]] == newest[run]).sum())
                self._append(history, scaled, time, rows[run], found)
                continue
            for i in run.tolist():
                if self._is_set_back(history, time[rows[i]]):
                    self.seen.set_back += 1
                    history.begin_anew()
                    return i
                self._insert(history, scaled[rows[i]], time[rows[i]], rows[i], found)
        return int(rows.size)

    def _is_set_back(self, history: SeriesHistory, time: float) -> bool:
        """Whether so many rows follow each other that are too late, or an hour late, that the clock was set back.

        One wrong time in the future would otherwise make all rows after it late, for ever; and rows of the hour that
        local time repeats in autumn do not belong among those of the first.
        """
        is_of_repeated_hour = 0 < HOUR - self.max_gap <= history.time[-1] - time <= HOUR
        if time >= history.time[0] and not is_of_repeated_hour:
            history.n_refused = 0
            return False
        follows = history.n_refused > 0 and 0 <= time - history.refused <= self.max_gap
        history.n_refused, history.refused = (history.n_refused if follows else 0) + 1, time
        return history.n_refused >= ROWS_SET_BACK

    def _append(
        self, history: SeriesHistory, scaled: np.ndarray, time: np.ndarray, rows: np.ndarray, found: list[Stretch]
    ) -> None:
        """Rows that are not older than the newest of the history."""
        history.n_refused = 0
        times = time[rows]
        steps = np.diff(times, prepend=history.time[-1] if history.time.size else times[0])
        breaks = np.flatnonzero(steps > self.max_gap)
        self.seen.gaps += breaks.size
        for first, last in pairwise([0, *breaks.tolist(), rows.size]):
            if first == last:
                continue
            if first or (breaks.size and breaks[0] == 0):
                history.begin_anew()
            before = history.readings
            of_part = slice(first, last)
            filled = self._filled(
                history, scaled[rows[of_part]], times[of_part], before[-1] if before.size else self.start
            )
            silence = self._silence(history, scaled[rows[of_part]])
            self._extend(history, filled, times[first:last], rows[first:last], silence, found)

    def _silence(self, history: SeriesHistory, scaled: np.ndarray) -> Alarms | None:
        """The silence of rows (m, D) that follow the newest of the history, NaN where missing."""
        if self.silence_limit is None:
            return None
        missing = np.isnan(scaled)
        if not missing.any():
            history.missing = None
            return None
        before = np.zeros(self.start.size, np.int64) if history.missing is None else history.missing
        runs = missing_runs(missing, before)
        history.missing = runs[-1]
        far = runs.astype(np.float32) / self.silence_limit
        far[(far <= 1) | (runs > self.silence_limit + HISTORY)] = 0
        sensor = far.argmax(1)
        far = far[np.arange(len(far)), sensor]
        return Alarms.none(len(far)).joined(far, sensor, Cause.SILENT) if far.any() else None

    def _beyond(self, history: SeriesHistory, part: np.ndarray, silence: Alarms | None) -> Alarms | None:
        """The alarms of rows (m, D) that follow the history, beside their silence."""
        if self.support is None:
            return silence
        found, history.support = self.support.alarms(history.readings, part, history.support)
        if found is None or silence is None:
            return found or silence
        return silence.joined(found.far, found.sensor, found.cause)

    def _filled(self, history: SeriesHistory, scaled: np.ndarray, times: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Rows without missing cells, which are not older than the newest of the history."""
        if self.hold is None:
            return filled_forward(scaled, before)
        reported = np.full(self.start.size, -np.inf) if history.reported is None else history.reported
        filled, history.reported, n = held_forward(scaled, times, before, reported, self.hold, self.start)
        self.seen.not_held += n
        return filled

    def _extend(
        self,
        history: SeriesHistory,
        readings: np.ndarray,
        times: np.ndarray,
        rows: np.ndarray,
        silence: Alarms | None,
        found: list[Stretch],
    ) -> None:
        """Rows without a gap and without missing cells; a spike is taken out of the history by the row after it.

        The row of the spike is scored as it is. Windows of later rows hold the mean of its neighbours instead: one
        wrong reading is one anomalous row, not a window full of them.
        """
        while rows.size:
            before = history.readings
            spike = first_spike(np.concatenate([before[-2:], readings]), self.spike_limit)
            n_rows = rows.size if spike is None else spike + 1 - min(before.shape[0], 2)
            if n_rows:
                part = readings[:n_rows]
                of_part = None if silence is None else silence[:n_rows]
                alarms = self._beyond(history, part, of_part)
                found.append(Stretch(_padded(before, part), part, rows[:n_rows], before.shape[0], alarms))
                history.time = np.concatenate([history.time, times[:n_rows]])[-HISTORY:]
                history.readings = np.concatenate([before[-HISTORY:], part[-HISTORY:]])[-HISTORY:]
                readings, times, rows = readings[n_rows:], times[n_rows:], rows[n_rows:]
                silence = None if silence is None else silence[n_rows:]
            if spike is not None:
                history.readings = without_spike(history.readings, readings[0], self.spike_limit)

    def _insert(self, history: SeriesHistory, scaled: np.ndarray, time: float, row: int, found: list[Stretch]) -> None:
        """One row that is older than the newest: scored after the rows before it, and put among them."""
        at = int(np.searchsorted(history.time, time, side="right"))
        if at == 0:
            self.seen.too_late += 1
            return
        self.seen.late += 1
        before = history.readings[:at]
        filled = filled_forward(scaled[None], before[-1])
        found.append(Stretch(_padded(before, filled), filled, np.array([row]), at))
        history.time = np.insert(history.time, at, time)[-HISTORY:]
        history.readings = np.insert(history.readings, at, filled, axis=0)[-HISTORY:]


def spike_height(readings: np.ndarray) -> np.ndarray:
    """How far each inner row of readings (n, D) stands out from both its neighbours: (n-2, D), at least 0.

    0 where it does not lie above both or below both.
    """
    rise, fall = np.diff(readings[:-1], axis=0), -np.diff(readings[1:], axis=0)
    return np.where(rise * fall > 0, np.minimum(np.abs(rise), np.abs(fall)), 0)


def first_spike(readings: np.ndarray, limit: np.ndarray) -> int | None:
    """The first inner row of readings (n, D) in which a sensor stands out by more than its limit (D,); None if none."""
    if readings.shape[0] < 3:
        return None
    rows = np.flatnonzero((spike_height(readings) > limit).any(1))
    return int(rows[0]) + 1 if rows.size else None


def without_spike(readings: np.ndarray, following: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Readings (n, D) whose last row holds the mean of its neighbours where it stands out; `following` (D,) is next."""
    around = np.stack([readings[-2], readings[-1], following])
    is_spike = spike_height(around)[0] > limit
    last = np.where(is_spike, (around[0] + around[2]) / np.float32(2), around[1])
    return np.concatenate([readings[:-1], last[None]])


def spike_limits(stretches: Sequence[Stretch]) -> np.ndarray:
    """(D,) float32: twice the highest spike of each sensor in normal stretches, and LEAST_SPIKE at least."""
    highest = np.zeros(stretches[0].readings.shape[1], np.float32)
    for stretch in stretches:
        if stretch.row.size >= 3:
            highest = np.maximum(highest, spike_height(stretch.readings).max(0))
    return np.maximum(2 * highest, np.float32(LEAST_SPIKE))


def _newest(history: SeriesHistory, times: np.ndarray) -> np.ndarray:
    """The newest time of the series before each row (m,)."""
    before = history.time[-1] if history.time.size else -np.inf
    return np.maximum.accumulate(np.append(before, times))[:-1]


def _padded(before: np.ndarray, readings: np.ndarray) -> np.ndarray:
    """HISTORY rows: those `before` the readings, the first row of all repeated in front."""
    if before.shape[0] >= HISTORY:
        return before[-HISTORY:]
    first = before[:1] if before.shape[0] else readings[:1]
    return np.concatenate([np.repeat(first, HISTORY - before.shape[0], axis=0), before])
