"""Scores of series along time, in bins that grow by merging: the least and the largest of each, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vaecli.aggregates.timeline import near_bins

MOST_BINS = 600  # of one series that hold rows
_FURTHEST = 2.0**61  # bins from time 0, beyond which all rows share a bin


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """The scores of one series in at most MOST_BINS bins that hold rows, ascending in time.

    Bin i begins at `number[i]` × `width`; `number`, `rows` and `flagged` (b,) are int64, `low` and `high` (b,) the
    least and the largest score, NaN where no row has one. `first` and `last` are the times of the first and last row.
    The width is the narrowest one, doubled until the bins are few enough: the sum of parts depends on the rows alone.
    """

    width: float
    number: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray
    flagged: np.ndarray
    first: float
    last: float

    @classmethod
    def of(cls, width: float, time: np.ndarray, score: np.ndarray, flagged: np.ndarray) -> ScoreLine:
        """The line of rows at `time` (n,) without NaN, with scores and flags (n,), in bins of at least `width`."""
        number = np.clip(np.floor(time / width), -_FURTHEST, _FURTHEST).astype(np.int64)
        ones = np.ones(number.size, np.int64)
        line = cls(width, number, score, score, ones, flagged.astype(np.int64), float(time.min()), float(time.max()))
        return line._merged()._narrowed()

    def __add__(self, later: ScoreLine) -> ScoreLine:
        """The line of these rows and the `later` ones."""
        one, other = self, later
        while one.width < other.width:
            one = one._widened()
        while other.width < one.width:
            other = other._widened()
        both = [np.concatenate([getattr(one, name), getattr(other, name)]) for name in _OF_BINS]
        first, last = min(one.first, other.first), max(one.last, other.last)
        number, low, high, rows, flagged = both
        return ScoreLine(one.width, number, low, high, rows, flagged, first, last)._merged()._narrowed()

    @property
    def highest(self) -> float:
        """The largest score; minus infinity without one."""
        return float(np.max(self.high, initial=-np.inf, where=~np.isnan(self.high)))

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return int(self.rows.sum())

    @property
    def n_flagged(self) -> int:
        """The number of flagged rows."""
        return int(self.flagged.sum())

    def near(self) -> ScoreLine:
        """The line without the bins of a few rows that lie far from all others."""
        return self._take(near_bins(self.number, self.rows))

    def _take(self, which: np.ndarray) -> ScoreLine:
        return replace(self, **{name: getattr(self, name)[which] for name in _OF_BINS})

    def _narrowed(self) -> ScoreLine:
        line = self
        while line.number.size > MOST_BINS:
            line = line._widened()
        return line

    def _widened(self) -> ScoreLine:
        return replace(self, width=2 * self.width, number=self.number // 2)._merged()

    def _merged(self) -> ScoreLine:
        """The same rows with one bin for each number, ascending."""
        line = self._take(np.argsort(self.number, kind="stable"))
        starts = np.flatnonzero(np.diff(line.number, prepend=line.number[:1] - 1))
        return replace(
            line,
            number=line.number[starts],
            low=np.fmin.reduceat(line.low, starts),
            high=np.fmax.reduceat(line.high, starts),
            rows=np.add.reduceat(line.rows, starts),
            flagged=np.add.reduceat(line.flagged, starts),
        )


_OF_BINS = ("number", "low", "high", "rows", "flagged")


def score_lines(
    width: float,
    keys: Sequence[str],
    group: np.ndarray,
    time: np.ndarray,
    score: np.ndarray,
    flagged: np.ndarray,
) -> dict[str, ScoreLine]:
    """The line of each series, of scores, flags and times (n,); row i belongs to `keys[group[i]]`.

    Rows without a time (NaN) are left out.
    """
    order = np.argsort(group, kind="stable")
    order = order[~np.isnan(time[order])]
    edges = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1)) if order.size else np.zeros(1, np.int64)
    lines = {}
    for first, last in pairwise(edges.tolist()):
        rows = order[first:last]
        lines[keys[int(group[rows[0]])]] = ScoreLine.of(width, time[rows], score[rows], flagged[rows])
    return lines


def lines_together(earlier: Mapping[str, ScoreLine], later: Mapping[str, ScoreLine]) -> dict[str, ScoreLine]:
    """The lines of the series of both."""
    both = dict(earlier)
    for key, line in later.items():
        both[key] = both[key] + line if key in both else line
    return both
