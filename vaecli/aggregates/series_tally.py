"""Counts what each series of a table holds, row after row: readings in bins, and runs of missing and equal ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vaecli.data.series import equal_runs, missing_runs

MOST_SERIES = 1_000  # that are counted by themselves, fewer where they have many bins; later ones only together
MOST_BINS = 2**24  # of all series that are counted by themselves
ALL = None  # the key of all series together
_ADDED = ("missing", "missing_runs", "novel", "novel_runs", "silent", "equal", "beyond", "beyond_runs", "far")
_LONGEST = ("longest_silence", "longest_equal")


@dataclass(frozen=True, slots=True)
class TallyLimits:
    """The limits of runs of cells, and of readings, of each of c columns; infinite where nothing counts.

    `silent` (c,) rows without a reading, `equal` (c,) readings that equal the one before, `low` and `high` (c,) the
    readings that are not yet out of range, `far` (c,) how much further they lie where they are far out of it. `n_bins`
    is the number of bins of all variables.
    """

    silent: np.ndarray
    equal: np.ndarray
    low: np.ndarray
    high: np.ndarray
    far: np.ndarray
    n_bins: int

    def nothing(self) -> SeriesCounts:
        """The counts of no rows."""
        c = self.low.size
        counts = {name: np.zeros(c, np.int64) for name in (*_ADDED, *_LONGEST)}
        return SeriesCounts(
            0, np.zeros(self.n_bins, np.int64), **counts, lowest=np.full(c, np.inf), highest=np.full(c, -np.inf)
        )


@dataclass(slots=True)
class SeriesCounts:
    """What was counted of some rows: `bins` of all variables, and of c columns.

    Rows `silent` and `equal` are in runs beyond their limits, of which the longest are kept; rows `beyond` are out of
    range, in so many runs, and rows `far` well out of it, with the `lowest` and the `highest` readings of all rows.
    """

    rows: int
    bins: np.ndarray
    missing: np.ndarray
    missing_runs: np.ndarray
    novel: np.ndarray
    novel_runs: np.ndarray
    silent: np.ndarray
    longest_silence: np.ndarray
    equal: np.ndarray
    longest_equal: np.ndarray
    beyond: np.ndarray
    beyond_runs: np.ndarray
    far: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    def add(self, other: SeriesCounts) -> None:
        """Add the counts of other rows to these."""
        self.rows += other.rows
        for name in ("bins", *_ADDED):
            mine: np.ndarray = getattr(self, name)
            mine += getattr(other, name)
        for name in _LONGEST:
            setattr(self, name, np.maximum(getattr(self, name), getattr(other, name)))
        self.lowest = np.minimum(self.lowest, other.lowest)
        self.highest = np.maximum(self.highest, other.highest)


@dataclass(slots=True)
class _Now:
    """Where a series is: per column the last reading, for how many rows it has had none, and how often it has come."""

    last: np.ndarray
    silence: np.ndarray
    same: np.ndarray
    is_novel: np.ndarray
    is_beyond: np.ndarray


@dataclass(slots=True)
class SeriesTally:
    """The counts of the rows of a table by series, in the order in which they arrive; ALL holds those of all."""

    limits: TallyLimits
    counts: dict[str | None, SeriesCounts] = field(init=False)
    _now: dict[str, _Now] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = {ALL: self.limits.nothing()}

    def add(
        self, values: np.ndarray, novel: np.ndarray, bins: np.ndarray, keys: Sequence[str], group: np.ndarray
    ) -> None:
        """Count n rows.

        `values` (n, c) are numbers, NaN where missing or not ordered, `novel` (n, c) marks cells that training never
        saw and `bins` (n, v) are places among all bins, −1 for none; row i belongs to series `keys[group[i]]`. A cell
        without order has a value too, of which only equality is used.
        """
        order = np.argsort(group, kind="stable")
        edges = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            rows = order[first:last]
            key = keys[int(group[rows[0]])]
            found = self._counted(key, values[rows], novel[rows], bins[rows])
            self.counts[ALL].add(found)
            if key in self.counts or len(self.counts) <= min(MOST_SERIES, MOST_BINS // max(self.limits.n_bins, 1)):
                self.counts.setdefault(key, self.limits.nothing()).add(found)

    def add_bins(self, bins: np.ndarray, keys: Sequence[str], group: np.ndarray) -> None:
        """Count n more readings in `bins` (n,), −1 for none, of rows that were counted; rows as in `add`."""
        order = np.argsort(group, kind="stable")
        edges = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            own = bins[order[first:last]]
            found = np.bincount(own[own >= 0], minlength=self.limits.n_bins)
            key = keys[int(group[order[first]])]
            self.counts[ALL].bins += found
            if key in self.counts:
                self.counts[key].bins += found

    def _counted(self, key: str, values: np.ndarray, novel: np.ndarray, bins: np.ndarray) -> SeriesCounts:
        c = values.shape[1]
        found, limits = self.limits.nothing(), self.limits
        whole, no = np.zeros(c, np.int64), np.zeros(c, bool)
        now = self._now.setdefault(key, _Now(np.full(c, np.nan), whole, whole, no, no))
        missing = np.isnan(values) & ~novel
        found.rows = len(values)
        found.bins += np.bincount(bins[bins >= 0], minlength=limits.n_bins)
        found.missing, found.novel = missing.sum(0), novel.sum(0)
        found.novel_runs = _starts(novel, now.is_novel)
        if missing.any() or now.silence.any():
            silence = missing_runs(missing, now.silence)
            found.missing_runs = (silence == 1).sum(0)
            found.silent, found.longest_silence = _in_runs(silence, missing, limits.silent)
            now.silence = silence[-1]
        here = ~np.isnan(values)
        filled, same = equal_runs(values, now.last, now.same)
        found.equal, found.longest_equal = _in_runs(same, here, limits.equal)
        beyond = (values < limits.low) | (values > limits.high)
        found.beyond, found.beyond_runs = beyond.sum(0), _starts(beyond, now.is_beyond)
        found.far = ((values < limits.low - limits.far) | (values > limits.high + limits.far)).sum(0)
        if here.any():
            found.lowest = np.where(here, values, np.inf).min(0)
            found.highest = np.where(here, values, -np.inf).max(0)
        now.last, now.same, now.is_novel, now.is_beyond = filled[-1], same[-1], novel[-1], beyond[-1]
        return found


def _starts(happens: np.ndarray, before: np.ndarray) -> np.ndarray:
    """How many runs of what `happens` (n, c) begin, (c,); `before` (c,) is whether it did in the row before."""
    return np.asarray((happens & ~np.concatenate([before[None], happens[:-1]])).sum(0))


def _in_runs(length: np.ndarray, happens: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many rows (c,) are in runs longer than `limit` (c,), and the longest run (c,).

    `length` (n, c) is that of the run up to each row, in rows in which it `happens` (n, c); the rows of a run that
    reaches its limit are counted with the first beyond it.
    """
    longest = np.where(happens, length, 0).max(0)
    rows = np.zeros(limit.size, np.int64)
    for j in np.flatnonzero(longest > limit):
        own = length[happens[:, j], j]
        rows[j] = (own > limit[j]).sum() + int(limit[j]) * (own == int(limit[j]) + 1).sum()
    return rows, longest
