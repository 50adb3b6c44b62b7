"""The clock of a table of series beside that of training: steps, gaps, repeated times, order and zone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np

from vaecli.config.check import CheckConfig
from vaecli.data.clock_units import has_moments
from vaecli.decisions.drift import most_by_chance
from vaecli.errors import quoted
from vaecli.results.check import LEVELS, Finding
from vaecli.results.number_format import bin_width, counted, number, per_cent, times
from vaecli.runtime.moments import EPOCH
from vaecli.schema import Column
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.fit_stretches import LONG_STEP
from vaecli.sensors.history import Late
from vaecli.sensors.stretches import SHORTEST
from vaecli.tasks.check_sensors import CheckedTable
from vaecli.workflows.check_findings import level_of

WARN_STEP, FAIL_STEP = 0.1, 0.5  # how much longer or shorter, as a share of the shorter, a step is
BEYOND_LARGEST = 1.5  # times the largest ratio of the steps of training is what chance does


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps (m,) between the rows of one series, in the order of time; `n_rows` are the rows that have a time."""

    key: str
    n_rows: int
    steps: np.ndarray


class ClockComparison:
    """The times of a table beside those of training, as findings; none for a model without a clock."""

    def __init__(
        self, detector: SensorDetector, table: CheckedTable, late: Late, config: CheckConfig, family: int
    ) -> None:
        self.detector, self.table, self.late, self.config, self.family = detector, table, late, config, family
        self.time, self.group = table.time, table.group
        there = np.flatnonzero(~np.isnan(self.time))
        self.sorted = there[np.lexsort((self.time[there], self.group[there]))]
        self.series = list(self._series())
        self.all = _Steps("", self.sorted.size, np.concatenate([np.empty(0), *(one.steps for one in self.series)]))

    def findings(self) -> Iterator[Finding]:
        """Every comparison of the clock, also of what is as it was."""
        column = self.detector.schema.time
        if column is None:
            return
        yield self._course(column)
        yield from self._missing(column)
        if not self.all.steps.size:
            return
        yield from self._step(column)
        yield self._gaps(column)
        yield self._repeated(column)
        yield self._order(column)
        if self.table.zones:
            yield self._zone(column)

    def _series(self) -> Iterator[_Steps]:
        group, time = self.group[self.sorted], self.time[self.sorted]
        edges = np.flatnonzero(np.diff(group, prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            yield _Steps(self.table.keys[int(group[first])], last - first, np.diff(time[first:last]))

    def _candidates(self) -> list[_Steps]:
        """The steps of all series together, and of each that is long enough, where there are several."""
        long = [one for one in self.series if one.n_rows > SHORTEST]
        return [self.all, *(long if len(self.series) > 1 else [])]

    def _course(self, column: Column) -> Finding:
        """Whether time passes as it did: from when to when, and without standing still."""
        clock, name, level = self.detector.clock, quoted(column.name, marks=False), "ok"
        seen, span = self.time[self.sorted], self.detector.clock.last - self.detector.clock.first
        before = f"{self._moment(clock.first)} to {self._moment(clock.last)}"
        if not seen.size:
            return Finding("fail", "clock", column.name, before, "", None, None, f"{name} has no time in any row")
        low, high = float(seen.min()), float(seen.max())
        after = f"{self._moment(low)} to {self._moment(high)}"
        sentence, steps = f"{name} goes from {after}", self.all.steps
        if steps.size and not steps.any() and span > 0:
            level, sentence = (
                "fail",
                f"{name} stands still: all rows of a series have one time, such as {self._moment(low)}",
            )
        elif steps.size and steps.max() > span > 0:
            level = "fail"
            sentence = f"{name} jumps by {self._long(float(steps.max()))}, further than all of training is long"
        elif low < clock.first - span and span > 0:
            level = "warn"
            sentence = f"{name} begins at {self._moment(low)}, long before training, from {before}"
        return Finding(level, "clock", column.name, before, after, None, None, sentence)

    def _missing(self, column: Column) -> Iterator[Finding]:
        share = 1 - self.sorted.size / self.time.size
        sentence = f"{quoted(column.name, marks=False)} has no time in {per_cent(share)} of the rows: they get no score"
        level = level_of(share, 0.0, self.config.warn_share, self.config.fail_share)
        yield Finding(level, "missing", column.name, "0 %", per_cent(share), share, 0.0, sentence)

    def _step(self, column: Column) -> Iterator[Finding]:
        """The usual step beside that of training, of the series that differs most."""
        usual, found = self.detector.clock.step, []
        for one in self._candidates():
            positive = one.steps[one.steps > 0]
            if positive.size < 2 or usual <= 0:
                continue
            step = float(np.median(positive))
            effect = max(step / usual, usual / step) - 1
            by_chance = self._step_by_chance(self._rows_of(one))
            level = level_of(effect, by_chance or 0.0, WARN_STEP, FAIL_STEP)
            if by_chance is None and level == "fail":
                level = "warn"  # how even the clock of training was is not known
            found.append((level, effect, by_chance, step, one.key))
        if not found:
            return
        level, effect, by_chance, step, key = max(found, key=lambda one: (LEVELS.index(one[0]), one[1]))
        change = f"{times(max(step / usual, usual / step))} times as {'long' if step > usual else 'short'}"
        of = f" of {self._named(key)}" if key else ""
        sentence = (
            f"{quoted(column.name, marks=False)}: the usual step{of} is {self._long(step)}, was {self._long(usual)}"
        )
        sentence += f": {change}" if effect >= WARN_STEP else ""
        yield Finding(
            level, "step", column.name, self._long(usual), self._long(step), effect, by_chance, sentence, key or None
        )

    def _step_by_chance(self, n_rows: float) -> float | None:
        stretches = self.detector.stretches
        if stretches is None or not stretches.length.size:
            return None
        place = stretches.place(n_rows)
        return math.exp(BEYOND_LARGEST * float(stretches.step[0 if place is None else place])) - 1

    def _gaps(self, column: Column) -> Finding:
        """The share of the time that is without rows, beside that of training, of the worst series."""
        clock, stretches, found = self.detector.clock, self.detector.stretches, []
        for one in self._candidates():
            total = float(one.steps.sum())
            if total <= 0:
                continue
            step = max(clock.step, float(np.median(one.steps)))  # a wrong step is not a gap after each row
            long = one.steps > LONG_STEP * step
            share, n_gaps = float((one.steps[long] - step).sum()) / total, int((one.steps > clock.max_gap).sum())
            was = 0.0 if stretches is None else stretches.lost_share
            effect, by_chance = max(share - was, 0.0), self._lost_by_chance(one, long, total)
            level = level_of(effect, by_chance, self.config.warn_share, self.config.fail_share)
            if stretches is None or (level == "ok" and n_gaps and effect >= self.config.fail_share):
                level = min(
                    level_of(effect, 0.0, self.config.warn_share, self.config.fail_share), "warn", key=LEVELS.index
                )
            found.append((level, effect, by_chance, share, n_gaps, was, one.key))
        if not found:
            return Finding("ok", "gaps", column.name, "", "", 0.0, 0.0, "no time passes")
        level, effect, by_chance, share, n_gaps, was, key = max(found, key=lambda one: (LEVELS.index(one[0]), one[1]))
        of = f" of {self._named(key)}" if key else ""
        sentence = (
            f"{quoted(column.name, marks=False)}: {per_cent(share)} of the time{of} is without rows, was "
            f"{per_cent(was)}; windows begin anew after {counted(n_gaps, 'gap')}"
        )
        return Finding(
            level, "gaps", column.name, per_cent(was), per_cent(share), effect, by_chance, sentence, key or None
        )

    def _lost_by_chance(self, one: _Steps, long: np.ndarray, total: float) -> float:
        """What chance does to the share of lost time: as many long steps more often, or a stretch of training."""
        stretches = self.detector.stretches
        if stretches is None or not long.any():
            return 0.0
        n = self._rows_of(one)
        events = most_by_chance(stretches.n_rows, stretches.long_steps, n, self.family) * n
        of_events = min(
            events * float((one.steps[long] - self.detector.clock.step).mean()) * one.n_rows / n / total, 1.0
        )
        place = stretches.place(n)
        if place is None or not stretches.long_steps:
            return of_events
        return max(of_events, stretches.limit(stretches.lost[:, place], place, math.inf, self.family))

    def _repeated(self, column: Column) -> Finding:
        """The share of the rows with the time of another of their series."""
        same, n = self.all.steps == 0, self.all.n_rows
        starts = sum(int((np.diff((one.steps == 0).astype(np.int8), prepend=0) == 1).sum()) for one in self.series)
        share, stretches = int(same.sum()) / n, self.detector.stretches
        n_before, k_rows, k = n, 0, 0
        if stretches is not None:
            before = stretches.repeated
            n_before, k_rows, k = stretches.n_rows, int(before.rows[0]), int(before.runs[0])
        effect = max(share - k_rows / n_before, 0.0)
        events = most_by_chance(n_before, k, n, self.family) * n
        by_chance = min(events * int(same.sum()) / max(starts, 1) / n, 1.0)
        level = level_of(effect, by_chance, self.config.warn_share, self.config.fail_share)
        if level == "ok" and effect >= self.config.fail_share:
            level = "warn"
        was, sentence = per_cent(k_rows / n_before), "have the time of another row of their series"
        sentence = (
            f"{quoted(column.name, marks=False)}: {counted(int(same.sum()), 'row')} ({per_cent(share)}) {sentence}"
        )
        return Finding(
            level, "repeated", column.name, was, per_cent(share), effect, by_chance, f"{sentence}, was {was}"
        )

    def _order(self, column: Column) -> Finding:
        """The share of the rows that came too late to be scored."""
        n, late, set_back = self.time.size, self.late.too_late, self.late.set_back
        share = late / n
        level = level_of(share, 0.0, self.config.warn_share, self.config.fail_share)
        found = []
        if late or not set_back:
            be = "is" if late == 1 else "are"
            found.append(
                f"{counted(late, 'row')} ({per_cent(share)}) {be} older than 128 rows of their series before them in "
                "the table: they get no score"
            )
        if set_back:
            level = max(level, "warn", key=LEVELS.index)
            found.append(f"the clock was set back {counted(set_back, 'time')}, after which windows begin anew")
        sentence = f"{quoted(column.name, marks=False)}: {'; '.join(found)}"
        return Finding(level, "order", column.name, "0 %", per_cent(share), share, 0.0, sentence)

    def _zone(self, column: Column) -> Finding:
        """Whether moments name a zone as they did; an offset that changes with summer time is the same clock."""
        was, now = bool(column.zone), {bool(zone) for zone in self.table.zones}
        shown = ", ".join(sorted(zone or "none" for zone in self.table.zones)[:3])
        level, sentence = "ok", f"{quoted(column.name, marks=False)} names a zone as it did"
        if now != {was}:
            level = "warn" if self.detector.cycle is None else "fail"
            sentence = (
                f"{quoted(column.name, marks=False)} is written in the zone {shown}, was {column.zone or 'none'}: "
                "its hours may be other ones"
            )
        return Finding(level, "zone", column.name, column.zone or "none", shown, None, None, sentence)

    def _rows_of(self, one: _Steps) -> float:
        """How many rows a series has, in the mean where several are taken together."""
        return one.n_rows if one.key or not self.series else one.n_rows / len(self.series)

    def _moment(self, seconds: float) -> str:
        if not has_moments(self.detector.schema.time):
            return number(seconds, 10)
        try:
            return (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(" ", "seconds")
        except OverflowError:
            return f"{number(seconds)} s"

    def _long(self, seconds: float) -> str:
        return bin_width(seconds) if has_moments(self.detector.schema.time) else number(seconds)

    def _named(self, key: str) -> str:
        return quoted(key, marks=False)
