"""Counts over time on a grid that grows by merging, so that no cut of a table shows in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

MOST_BINS = 150
MOST_KEPT = 8192  # bins until the end of the table shows which rows lie far off
OUTER = 0.005  # share of the values that a far tail may hold on either side
FEWEST_ROWS = 50  # of which one may be such a tail
FAR = 2  # times as far from the other rows as they are from each other
CLOCK = (5, 3, 4, 5, 3, 4, 3, 2, 2, 2, 7, 4, 13)  # from one second over minutes, hours, days and weeks to a year
DECIMAL = (5, 2)


def _factor(ladder: tuple[int, ...], rung: int) -> int:
    """By how much the next width is larger."""
    return ladder[rung] if rung < len(ladder) else DECIMAL[(rung - len(ladder)) % len(DECIMAL)]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows and flagged rows in bins of one width, ascending; bins without rows are left out.

    Where a few rows lie so far off that all others would fall into few bins, those are `n_outside`. `first` and `last`
    are where the first and the last of all rows stand, in ticks, to the bin.
    """

    width: int
    number: np.ndarray  # (u,) of the bin: it starts at number × width
    rows: np.ndarray  # (u,)
    flagged: np.ndarray  # (u,)
    n_outside: int
    n_flagged_outside: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TimeBins:
    """Rows and flagged rows along a line of whole numbers, in bins of one width, at first 1.

    As soon as there would be too many that hold rows, neighbours are merged: each width of the ladder is a multiple of
    the one before, so the sum of the bins of all parts depends on the rows alone.
    """

    ladder: tuple[int, ...]
    counts: np.ndarray  # (3, u) number of the bin, ascending; its rows; its flagged rows
    n_without: int = 0  # rows without a time
    width: int = 1
    rung: int = 0  # of the ladder

    @classmethod
    def of(cls, ladder: tuple[int, ...], ticks: np.ndarray, flagged: np.ndarray, present: np.ndarray) -> TimeBins:
        """Bins of width 1 for the rows at `ticks` (n,) int64 that are `present` (n,), some of them `flagged` (n,)."""
        number = ticks[present]
        counts = np.stack([number, np.ones(number.size, np.int64), flagged[present]])
        return cls(ladder, _merged(counts), int((~present).sum()))._narrowed()

    def __add__(self, later: TimeBins) -> TimeBins:
        """The bins of these rows and the `later` ones."""
        one, other = self, later
        while one.rung < other.rung:
            one = one._widened()
        while other.rung < one.rung:
            other = other._widened()
        counts = _merged(np.concatenate([one.counts, other.counts], axis=1))
        return replace(one, counts=counts, n_without=one.n_without + other.n_without)._narrowed()

    def _narrowed(self) -> TimeBins:
        """The same rows in bins so wide that at most MOST_KEPT hold rows."""
        bins = self
        while bins.counts.shape[1] > MOST_KEPT:
            bins = bins._widened()
        return bins

    def _widened(self) -> TimeBins:
        """The same rows in bins of the next width."""
        factor = _factor(self.ladder, self.rung)
        counts = _merged(np.stack([self.counts[0] // factor, *self.counts[1:]]))
        return replace(self, counts=counts, width=self.width * factor, rung=self.rung + 1)

    def timeline(self) -> Timeline:
        """At most MOST_BINS bins, from the first that is shown to the last."""
        number, rows, flagged = self.counts
        if not number.size:
            return Timeline(self.width, number, rows, flagged, 0, 0, 0, 0)
        near = near_bins(number, rows)
        n_outside, n_flagged = int(rows.sum() - rows[near].sum()), int(flagged.sum() - flagged[near].sum())
        shown = replace(self, counts=self.counts[:, near])
        while shown.counts[0, -1] - shown.counts[0, 0] >= MOST_BINS:
            shown = shown._widened()
        first, last = (int(end) * self.width for end in number[[0, -1]])
        number, rows, flagged = shown.counts
        return Timeline(shown.width, number, rows, flagged, n_outside, n_flagged, first, last)


def _merged(counts: np.ndarray) -> np.ndarray:
    """(3, u) with one column for each number, ascending."""
    order = np.argsort(counts[0], kind="stable")
    ordered = counts[:, order]
    starts = np.flatnonzero(np.diff(ordered[0], prepend=ordered[0, :1] - 1)) if order.size else order
    return np.stack([ordered[0, starts], *np.add.reduceat(ordered[1:], starts, axis=1)]) if order.size else ordered


def near_bins(number: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(u,) which of the bins are shown: all but those of a few rows that lie far from the others."""
    n_rows = int(rows.sum())
    spare = max(1, int(OUTER * n_rows)) if n_rows >= FEWEST_ROWS else 0
    first = int(number[np.searchsorted(rows.cumsum(), spare, side="right")])
    last = int(number[::-1][np.searchsorted(rows[::-1].cumsum(), spare, side="right")])
    near: np.ndarray = np.maximum(first - number, number - last) <= FAR * (last - first + 1)
    return near
