"""The sensors of a table of series beside those of training, series by series, and its scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaecli.aggregates.series_tally import ALL, SeriesCounts
from vaecli.config.check import CheckConfig
from vaecli.decisions.drift import FAMILY_ERROR, Reference, most_by_chance
from vaecli.errors import MAX_LISTED, quoted
from vaecli.results.check import LEVELS, Finding
from vaecli.results.number_format import counted, number, per_cent
from vaecli.schema import Column
from vaecli.sensors.detector import SensorDetector
from vaecli.sensors.stretches import SHORTEST, TrainingStretches
from vaecli.tasks.check_sensors import CheckedTable
from vaecli.workflows.check_findings import category_of, level_of
from vaecli.workflows.drift_warning import DRIFT_FACTOR, nats_of_count

TESTS_PER_COLUMN = 4  # distribution; missing more and less often; unseen or another value than the only one
TESTS_OF_TABLE = 4  # scores, flagged rows, gaps, repeated times
PARTS_OF_SCORES = 6  # independent parts of training by its scores, at most: they are of models of three blocks
FEWEST_FAR = 8  # readings out of range that are named by their number alone
USUAL_PRESENCE = 0.5  # of the usual share of readings, below which a series counts as a shorter one


@dataclass(frozen=True, slots=True)
class _Part:
    """The counts of one series, or of all that are about as long as `n_rows`."""

    key: str | None
    counts: SeriesCounts
    n_rows: float


class SeriesComparison:
    """Counts of a table of series beside those of training, as findings."""

    def __init__(self, detector: SensorDetector, table: CheckedTable, config: CheckConfig) -> None:
        self.detector, self.table, self.config = detector, table, config
        self.columns, self.stretches = detector.schema.features, detector.stretches
        series = {key: one for key, one in table.tally.counts.items() if key is not ALL}
        everything, n_series = table.tally.counts[ALL], max(len(table.keys), 1)
        long = [_Part(key, one, one.rows) for key, one in series.items() if one.rows >= SHORTEST]
        self.parts = [_Part(ALL, everything, everything.rows / n_series), *(long if n_series > 1 else [])]
        clock = detector.clock
        self.worth = clock.effective_rows / max(detector.calibrations[detector.score_kind].n_rows, 1)
        n_variables = len(self.columns) + detector.companions.size
        self.family = (TESTS_PER_COLUMN * n_variables + TESTS_OF_TABLE) * len(self.parts)
        self.is_short = max(one.n_rows for one in self.parts) < SHORTEST
        self.limits = table.tally.limits

    def findings(self) -> Iterator[Finding]:
        """Every comparison of the sensors, the series and the scores, also of what is as it was."""
        for j, column in enumerate(self.columns):
            yield from self._column(j, column)
        if self.stretches is not None:
            for i, place in enumerate(self.detector.companions.tolist()):
                column = self.columns[int(self.detector.sensor_column[place])]
                found = self._distribution(len(self.columns) + i, column, self.stretches, is_cycle=True)
                yield from () if found is None else (found,)
        yield from self._series()
        yield from self._scores()

    def _column(self, j: int, column: Column) -> Iterator[Finding]:
        yield self._unseen(j, column)
        if math.isfinite(self.limits.silent[j]):
            yield self._silent(j, column)
        if math.isfinite(self.limits.equal[j]):
            yield self._stuck(j, column)
        stretches = self.stretches
        if stretches is None:
            if math.isfinite(self.limits.low[j]):
                yield self._range(j, column)
            return
        yield self._missing(j, column, stretches)
        only = _only_value(stretches.references[j])
        if stretches.references[j] is None or only is not None:
            yield self._constant(j, column, stretches, only)
            return
        if math.isfinite(self.limits.low[j]):
            yield self._range(j, column)
        found = self._distribution(j, column, stretches, is_cycle=False)
        yield from () if found is None else (found,)

    def _distribution(self, v: int, column: Column, stretches: TrainingStretches, *, is_cycle: bool) -> Finding | None:
        """How far a variable is from training in the series that is furthest; None where no series is long enough."""
        reference, best = stretches.references[v], None
        if reference is None:
            return None
        bins = slice(*stretches.edges[v : v + 2].tolist())
        usual = 1.0
        if not is_cycle:
            usual = max(1 - int(stretches.absent.rows[v]) / stretches.n_rows, 1e-9)
        for part in self.parts:
            counts = part.counts.bins[bins]
            share = float(counts.sum()) / max(part.counts.rows, 1)
            place = stretches.place(part.n_rows * min(share / (USUAL_PRESENCE * usual), 1.0))
            if place is None or not counts.sum():
                continue
            distance = float(reference.distance(counts))
            limit = stretches.limit(stretches.moved[:, v, place], place, float(stretches.worth[v]), self.family)
            level = level_of(distance, limit, self.config.warn_distance, self.config.fail_distance)
            rank = (LEVELS.index(level), distance - limit)
            if best is None or rank > best[0]:
                best = rank, level, distance, limit, counts, part.key
        if best is None:
            return None
        _, level, distance, limit, counts, key = best
        what = "cycle" if is_cycle else "distribution"
        before, after, sentence = self._moved(column, reference, counts, distance, key, is_cycle=is_cycle)
        return Finding(level, what, column.name, before, after, distance, limit, sentence, key)

    def _moved(
        self,
        column: Column,
        reference: Reference,
        counts: np.ndarray,
        distance: float,
        key: str | None,
        *,
        is_cycle: bool,
    ) -> tuple[str, str, str]:
        """(before, after, sentence) of a variable that moved."""
        name = f"{quoted(column.name, marks=False)}{_of(key)}"
        if reference.edges is None:
            now = counts / max(int(counts.sum()), 1)
            changed = int(np.abs(now - reference.share).argmax())
            value, was, is_ = category_of(column, changed), per_cent(reference.share[changed]), per_cent(now[changed])
            sentence = f"{name}: {value} is {is_} of its values, was {was}; {per_cent(distance)} of all have changed"
            return f"{value} {was}", f"{value} {is_}", sentence
        found = [
            [reference.quantile(one, rank) or 0.0 for rank in (0.5, 0.05, 0.95)] for one in (reference.share, counts)
        ]
        before, after = (f"median {middle}, 90 % from {low} to {high}" for middle, low, high in _with_digits(*found))
        moved = f"has moved by {number(distance, 2)} standard deviations"
        if is_cycle:
            assert self.detector.cycle is not None
            cycle = "day" if self.detector.cycle.period <= 86_400 else "week"
            unit = f"deviations of the same hour of the {cycle}"
            return before, after, f"{name} {moved} from what is usual at the hour of the {cycle}: {after} {unit}"
        return before, after, f"{name} {moved}: {after}; was {before}"

    def _missing(self, j: int, column: Column, stretches: TrainingStretches) -> Finding:
        n, k_rows, k_runs = stretches.n_rows, int(stretches.absent.rows[j]), int(stretches.absent.runs[j])
        was, found = k_rows / n, []
        for part in self.parts:
            missing, rows = int(part.counts.missing[j]), part.counts.rows
            share = missing / rows
            place = stretches.place(part.n_rows)
            of_stretches = 0.0
            if k_rows and place is not None:
                worth = float(stretches.worth[j])
                of_stretches = stretches.limit(stretches.missing[:, j, place], place, worth, self.family)
            runs = int(part.counts.missing_runs[j])
            of_events = self._events(k_runs, runs, missing, rows, self._worth(j)) if share > was else 0.0
            by_chance = max(of_stretches, of_events - was)
            if share < was and place is None:
                by_chance = 1.0
            effect = abs(share - was)
            level = self._share_level(effect, by_chance)
            if level == "ok" and not k_rows and share >= self.config.fail_share:
                level = "warn"  # never missing in training, but once in the table
            found.append((level, effect, by_chance, share, part.key))
        level, effect, by_chance, share, key = max(found, key=_worst)
        name = f"{quoted(column.name, marks=False)}{_of(key)}"
        sentence = f"{name} is missing in {per_cent(share)} of the rows, was {per_cent(was)}"
        return Finding(level, "missing", column.name, per_cent(was), per_cent(share), effect, by_chance, sentence, key)

    def _silent(self, j: int, column: Column) -> Finding:
        return self._too_long(
            "silent",
            column,
            lambda counts: (int(counts.silent[j]), int(counts.longest_silence[j])),
            int(self.limits.silent[j]),
            "row",
            "has no reading for",
        )

    def _stuck(self, j: int, column: Column) -> Finding:
        return self._too_long(
            "stuck",
            column,
            lambda counts: (int(counts.equal[j]), int(counts.longest_equal[j])),
            int(self.limits.equal[j]),
            "reading",
            "has not moved for",
        )

    def _too_long(
        self,
        what: str,
        column: Column,
        runs: Callable[[SeriesCounts], tuple[int, int]],
        limit: int,
        unit: str,
        words: str,
    ) -> Finding:
        """Whether a column has runs beyond its limit; `runs` gives how many rows are in such runs, and the longest."""
        part = self._largest(lambda counts: runs(counts)[0])
        rows, longest = runs(part.counts)
        share, by_chance = rows / part.counts.rows, min(limit / part.counts.rows, 1.0)
        sentence = (
            f"{quoted(column.name, marks=False)}{_of(part.key)} {words} {counted(longest, unit)} in a row; "
            f"more than {limit:,} were never usual"
        )
        level = level_of(share, 0.0, self.config.warn_share, self.config.fail_share)
        usual = f"at most {counted(limit, unit)}"
        return Finding(level, what, column.name, usual, counted(longest, unit), share, by_chance, sentence, part.key)

    def _range(self, j: int, column: Column) -> Finding:
        """Readings out of the range of training: as often as chance does not put them there, or far out of it."""
        limits, found = (self.config.warn_share, self.config.fail_share), []
        for part in self.parts:
            rows, runs, n = (int(of[j]) for of in (part.counts.beyond, part.counts.beyond_runs, part.counts.far))
            share = rows / part.counts.rows
            by_chance = self._events(0.0, runs, rows, part.counts.rows, self._worth(j))
            level = level_of(share, by_chance, *limits)
            if level != "fail" and level_of(n / part.counts.rows, 0.0, *limits) == "fail" and n >= FEWEST_FAR:
                level, by_chance = "fail", 0.0
            if level == "ok" and share >= self.config.warn_share and (rows >= FEWEST_FAR or n):
                level = "warn"
            found.append((level, share, by_chance, rows, part))
        level, share, by_chance, rows, part = max(found, key=_worst)
        ends = [column.minimum, column.maximum]
        if self.stretches is not None:
            ends = [float(self.stretches.low[j]), float(self.stretches.high[j])]
        before = f"{number(ends[0] or 0.0)} to {number(ends[1] or 0.0)}"
        after = f"{number(float(part.counts.lowest[j]))} to {number(float(part.counts.highest[j]))}"
        sentence = (
            f"{quoted(column.name, marks=False)}{_of(part.key)}: {counted(rows, 'reading')} ({per_cent(share)}) lie "
            f"well outside {before}, the range of training; all reach from {after}"
        )
        return Finding(level, "range", column.name, before, after, share, by_chance, sentence, part.key)

    def _unseen(self, j: int, column: Column) -> Finding:
        found = []
        n_once = 0.0
        if self.stretches is not None and (reference := self.stretches.references[j]) is not None:
            n_once = reference.n_once
        for part in self.parts:
            rows = int(part.counts.novel[j])
            runs = int(part.counts.novel_runs[j])
            by_chance = self._events(n_once, runs, rows, part.counts.rows, self._worth(j))
            share = rows / part.counts.rows
            level = self._share_level(share, by_chance)
            if level == "ok" and rows and share >= self.config.warn_share:
                level = "warn"
            found.append((level, share, by_chance, rows, part.key))
        level, share, by_chance, rows, key = max(found, key=_worst)
        sentence = (
            f"{quoted(column.name, marks=False)}{_of(key)}: {counted(rows, 'cell')} ({per_cent(share)}) hold a value "
            "that training never saw"
        )
        return Finding(level, "unseen", column.name, "0 %", per_cent(share), share, by_chance, sentence, key)

    def _constant(self, j: int, column: Column, stretches: TrainingStretches, only: int | None) -> Finding:
        """How often a column that never moved in training does."""
        bins, found = slice(*stretches.edges[j : j + 2].tolist()), []
        for part in self.parts:
            counts = part.counts.bins[bins]
            rows = (
                int(counts.sum() - counts[only]) if only is not None else part.counts.rows - int(part.counts.missing[j])
            )
            share = rows / part.counts.rows
            found.append((self._share_level(share, self._events(0.0, 1, rows, part.counts.rows)), share, rows, part))
        level, share, rows, part = max(found, key=lambda one: (LEVELS.index(one[0]), one[1]))
        if rows:
            level = max(level, "warn", key=LEVELS.index)
        reference = stretches.references[j]
        before = "empty"
        if reference is not None and only is not None:
            value = category_of(column, only) if reference.edges is None else number(float(reference.edges[0]))
            before = f"always {value}"
        by_chance = self._events(0.0, 1, rows, part.counts.rows)
        sentence = (
            f"{quoted(column.name, marks=False)}{_of(part.key)} was {before} in training, and is not in "
            f"{counted(rows, 'row')} ({per_cent(share)})"
        )
        return Finding(level, "constant", column.name, before, per_cent(share), share, by_chance, sentence, part.key)

    def _series(self) -> Iterator[Finding]:
        """Whether training had the series of the table."""
        group, known = self.detector.schema.group, set(self.detector.known_groups)
        if group is None or not known:
            return
        new = [key for key in self.table.keys if key not in known]
        share = len(new) / max(len(self.table.keys), 1)
        shown = ", ".join(quoted(key, marks=False) for key in new[:MAX_LISTED])
        more = f", and {len(new) - MAX_LISTED:,} more" if len(new) > MAX_LISTED else ""
        sentence = "training had all series of the table"
        if new:
            sentence = f"training did not have {len(new):,} of the series of the table: {shown}{more}"
        yield Finding(
            "warn" if new else "ok", "series", group.name, f"{len(known):,}", f"{len(self.table.keys):,}", share, None,
            sentence,
        )  # fmt: skip

    def _scores(self) -> Iterator[Finding]:
        stretches, scored = self.stretches, self.table.scored
        alpha = 1 - self.detector.threshold
        if stretches is not None and (reference := stretches.references[-1]) is not None:
            yield from self._score_distance(stretches, reference)
        if not scored:
            return
        share, worth = self.table.flagged / scored, max(scored * self.worth, 1.0)
        nats = nats_of_count(round(share * worth), max(round(worth), 1), alpha)
        is_certain = nats > -np.log(FAMILY_ERROR / self.family)
        level = "warn" if share > DRIFT_FACTOR * alpha and is_certain else "ok"
        sentence = f"{per_cent(share)} of the rows are flagged where {per_cent(alpha)} of normal rows would be"
        yield Finding(level, "flagged", None, per_cent(alpha), per_cent(share), share, None, sentence)

    def _score_distance(self, stretches: TrainingStretches, reference: Reference) -> Iterator[Finding]:
        best, bins = None, slice(*stretches.edges[-2:].tolist())
        for part in self.parts:
            counts = part.counts.bins[bins]
            n_scored = int(counts.sum()) * part.n_rows / max(part.counts.rows, 1)
            place = stretches.place(n_scored)
            if place is None:
                continue
            distance = float(reference.distance(counts))
            worth = min(float(stretches.worth[-1]), PARTS_OF_SCORES)
            limit = stretches.limit(stretches.moved[:, -1, place], place, worth, self.family)
            middle = _rank_of_middle(reference, counts)
            level = level_of(distance, limit, self.config.warn_distance, self.config.fail_distance)
            level = "ok" if middle < 0.5 else level
            if best is None or (LEVELS.index(level), distance - limit) > best[0]:
                best = (LEVELS.index(level), distance - limit), level, distance, limit, middle, part.key
        if best is None:
            return
        _, level, distance, limit, middle, key = best
        sentence = (
            f"the scores{_of(key)} have moved by {number(distance, 2)} standard deviations: half of them lie above "
            f"those of {per_cent(middle)} of normal rows, which was 50 %"
        )
        yield Finding(level, "scores", None, "50 %", per_cent(middle), distance, limit, sentence, key)

    def _worth(self, j: int) -> float:
        """How many independent rows a row is worth by the readings of a column."""
        return self.worth if self.stretches is None else float(self.stretches.worth[j]) / self.stretches.n_rows

    def _events(self, k_training: float, runs: int, cells: int, rows: int, worth: float | None = None) -> float:
        """The share of `rows` rows with something that chance exceeds hardly ever.

        It happened in `cells` of them, in `runs` runs, and `k_training` times in training. Rows are of as many
        independent events as there are runs, or as the cells are worth, if that is more: by `worth`, or by the scores.
        """
        if not cells:
            return 0.0
        events = max(runs, cells * min(self.worth if worth is None else worth, 1.0), 1.0)
        n = self.detector.schema.n_rows if self.stretches is None else self.stretches.n_rows
        return min(most_by_chance(max(n, 1), k_training, rows, self.family) * cells / events, 1.0)

    def _largest(self, of: Callable[[SeriesCounts], int]) -> _Part:
        """The part with the largest share of rows with something; all series where none has any."""
        return max(self.parts, key=lambda part: of(part.counts) / part.counts.rows)

    def _share_level(self, effect: float, by_chance: float) -> str:
        return level_of(effect, by_chance, self.config.warn_share, self.config.fail_share)


def _worst(one: tuple[Any, ...]) -> tuple[int, float]:
    """Sorts (level, effect, by_chance, …): the worst level, and of one level the largest effect beyond chance."""
    level, effect, by_chance = one[:3]
    return LEVELS.index(level), effect - by_chance


def _of(key: str | None) -> str:
    return f" of {quoted(key, marks=False)}" if key else ""  # rows without a device have no name


def _with_digits(one: list[float], other: list[float]) -> list[list[str]]:
    """Two lists of numbers as text, with so many digits that they differ where the numbers do."""
    shown = [[number(value) for value in numbers] for numbers in (one, other)]
    for digits in range(5, 16):
        if shown[0] != shown[1] or one == other:
            break
        shown = [[f"{value:.{digits}g}" for value in numbers] for numbers in (one, other)]
    return shown


def _only_value(reference: Reference | None) -> int | None:
    """The bin that holds every reading of training; None where there are several."""
    if reference is None:
        return None
    held = np.flatnonzero(reference.share)
    return int(held[0]) if held.size == 1 else None


def _rank_of_middle(reference: Reference, counts: np.ndarray) -> float:
    """The share of training that lies below the median of what is counted."""
    middle = int(np.searchsorted(np.cumsum(counts), 0.5 * counts.sum()))
    return float(reference.share[:middle].sum() + reference.share[middle] / 2)
