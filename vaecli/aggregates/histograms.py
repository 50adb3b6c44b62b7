"""Counts on bins that are fixed beforehand, or grow by merging: sums of integers, so no cut of a table shows in them.

    scores     bins from the calibration, the threshold one of their edges
    columns    bins over the training range; what training held of each comes from its quantiles
    time       stretches on a grid of round widths, as narrow as keeps them few; a few times far off stay outside
    sample     the rows with the smallest hashes of their numbers

NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

N_SCORE_BINS = 44
N_COLUMN_BINS = 24
MOST_STRETCHES = 150
MOST_KEPT = 8192  # stretches until the end of the table shows which rows lie far off
OUTER = 0.005  # share of the values that a far tail may hold on either side
FEWEST_ROWS = 50  # of which one may be such a tail
FAR = 2  # times as far from the other rows as they are from each other

# -- scores -------------------------------------------------------------------------------------


def score_edges(scores: np.ndarray, ranks: np.ndarray, threshold: float) -> np.ndarray:
    """Edges (b + 1,) for scores whose calibration is `scores` (r,) ascending with cumulative counts `ranks`.

    From the smallest calibration score to well beyond the threshold, which is an edge if it is among the scores.
    """
    finite = np.isfinite(scores)
    if not finite.any():
        return np.linspace(-1.0, 1.0, N_SCORE_BINS + 1)
    scores, ranks = scores[finite], ranks[finite]
    middle, high = (float(scores[np.searchsorted(ranks, q * ranks[-1])]) for q in (0.5, 0.99))
    reach = max(high, threshold if math.isfinite(threshold) else high) - middle
    least = 1e-6 * max(abs(middle), 1.0)  # normal scores that hardly differ still get bins that do
    reach = reach if least < reach < 1e300 else max(abs(middle), 1.0)
    start, stop = min(max(float(scores[0]), middle - 2 * reach), middle - 0.1 * reach), middle + 1.5 * reach
    if start < threshold < start + 0.1 * reach:
        start = threshold - 0.1 * reach
    if not start < threshold < stop:
        return np.linspace(start, stop, N_SCORE_BINS + 1)
    n_below = min(max(round(N_SCORE_BINS * (threshold - start) / (stop - start)), 1), N_SCORE_BINS - 1)
    width = (threshold - start) / n_below
    edges = threshold + width * np.arange(-n_below, N_SCORE_BINS - n_below + 1)
    edges[n_below] = threshold
    return edges


def score_counts(edges: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(b + 1,) how many scores lie in each bin [from, to), below the first in the first, beyond all in one more."""
    place = np.searchsorted(edges, scores[~np.isnan(scores)], side="right") - 1
    return np.bincount(np.maximum(place, 0), minlength=edges.size)


def calibration_counts(edges: np.ndarray, scores: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The same of the calibration rows."""
    below = np.concatenate([[0], ranks])[np.searchsorted(scores, edges, side="left")]
    below[0] = 0
    return np.diff(np.append(below, ranks[-1]))


# -- columns ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NumberBins:
    """Bins of one column, and the share of its training values in each of them and outside."""

    edges: np.ndarray  # (b + 1,)
    training: np.ndarray  # (b + 2,)
    is_whole: bool  # edges lie half-way between whole numbers

    @classmethod
    def of(cls, quantiles: np.ndarray, whole: bool) -> NumberBins:
        """From evenly spaced quantiles (q,) of the training values; bins of whole numbers have edges between them."""
        low, high = float(quantiles[0]), float(quantiles[-1])
        inner_low, inner_high = np.interp((OUTER, 1 - OUTER), np.linspace(0, 1, quantiles.size), quantiles)
        if inner_low < inner_high and high - low > 3 * (inner_high - inner_low):
            low, high = float(inner_low), float(inner_high)
        is_whole = whole and high - low < 2**52
        if is_whole:
            width = max(1, math.ceil((high - low + 1) / N_COLUMN_BINS))
            n_bins = max(1, math.ceil((high - low + 1) / width))
            edges = math.floor(low) - 0.5 + width * np.arange(n_bins + 1.0)
        else:
            margin = max(1e-9 * (high - low), 1e-9 * abs(low), 1e-12)
            edges = np.linspace(low - margin, high + margin, N_COLUMN_BINS + 1)
        at_most = np.array([share_at_most(quantiles, edge) for edge in edges])
        return cls(edges, np.diff(np.concatenate([[0.0], at_most, [1.0]])), is_whole)

    def counts(self, values: np.ndarray) -> np.ndarray:
        """(b + 2,) how many values lie in each bin (from, to], and outside."""
        return np.bincount(np.searchsorted(self.edges, values, side="left"), minlength=self.edges.size + 1)


def share_at_most(quantiles: np.ndarray, value: float) -> float:
    """P(X <= value) where X lies with equal probability between any two neighbouring `quantiles`, evenly there."""
    place = int(np.searchsorted(quantiles, value, side="right"))
    if place == 0:
        return 0.0
    if place == quantiles.size:
        return 1.0
    below, above = float(quantiles[place - 1]), float(quantiles[place])
    return (place - 1 + (value - below) / (above - below)) / (quantiles.size - 1)


def moved(training: np.ndarray, scored: np.ndarray) -> float:
    """The share that would have to change bins for `scored` to be `training`: half the sum of differences."""
    return 0.5 * float(np.abs(training - scored).sum())


# -- time ---------------------------------------------------------------------------------------

CLOCK = (5, 3, 4, 5, 3, 4, 3, 2, 2, 2, 7, 4, 13)  # from one second over minutes, hours, days and weeks to a year
DECIMAL = (5, 2)


def _factor(ladder: tuple[int, ...], rung: int) -> int:
    """By how much the next width is larger."""
    return ladder[rung] if rung < len(ladder) else DECIMAL[(rung - len(ladder)) % len(DECIMAL)]


@dataclass(frozen=True, slots=True)
class Line:
    """Rows and flagged rows in stretches of one width, ascending; stretches without rows are not there.

    Where a few rows lie so far off that all others would fall into few stretches, those are `n_outside`. `first` and
    `last` are where the first and the last of all rows stand, in ticks, to the stretch.
    """

    width: int
    number: np.ndarray  # (u,) of the stretch: it starts at number × width
    rows: np.ndarray  # (u,)
    flagged: np.ndarray  # (u,)
    n_outside: int
    n_flagged_outside: int
    first: int
    last: int


@dataclass(slots=True)
class Stretches:
    """Rows and flagged rows along a line of whole numbers, in stretches of one width that starts at 1.

    As soon as there would be too many that hold rows, neighbours are merged: each width of the ladder is a multiple of
    the one before, so what comes out depends on the rows alone.
    """

    ladder: tuple[int, ...]
    n_without: int = 0
    _width: int = 1
    _rung: int = 0
    _counts: np.ndarray = field(default_factory=lambda: np.zeros((3, 0), np.int64))  # number, rows, flagged

    def add(self, ticks: np.ndarray, flagged: np.ndarray, present: np.ndarray) -> None:
        """Rows at `ticks` (n,) int64 where they are `present`."""
        self.n_without += int((~present).sum())
        number = ticks[present] // self._width
        self._counts = _merged(
            np.concatenate([self._counts, [number, np.ones(number.size, np.int64), flagged[present]]], axis=1)
        )
        while self._counts.shape[1] > MOST_KEPT:
            self._widen()

    def _widen(self) -> None:
        factor = _factor(self.ladder, self._rung)
        self._width, self._rung = self._width * factor, self._rung + 1
        self._counts[0] //= factor
        self._counts = _merged(self._counts)

    def line(self) -> Line:
        """At most `MOST_STRETCHES` of them, from the first that is shown to the last."""
        number, rows, flagged = self._counts
        if not number.size:
            return Line(self._width, number, rows, flagged, 0, 0, 0, 0)
        shown = _near(number, rows)
        n_outside, n_flagged = int(rows.sum() - rows[shown].sum()), int(flagged.sum() - flagged[shown].sum())
        width, rung, counts = self._width, self._rung, self._counts[:, shown]
        while counts[0, -1] - counts[0, 0] >= MOST_STRETCHES:
            factor = _factor(self.ladder, rung)
            width, rung = width * factor, rung + 1
            counts = _merged(np.stack([counts[0] // factor, *counts[1:]]))
        first, last = (int(end) * self._width for end in number[[0, -1]])
        return Line(width, counts[0], counts[1], counts[2], n_outside, n_flagged, first, last)


def _merged(counts: np.ndarray) -> np.ndarray:
    """(3, u) with one column for each number, ascending."""
    order = np.argsort(counts[0], kind="stable")
    ordered = counts[:, order]
    starts = np.flatnonzero(np.diff(ordered[0], prepend=ordered[0, :1] - 1)) if order.size else order
    return np.stack([ordered[0, starts], *np.add.reduceat(ordered[1:], starts, axis=1)]) if order.size else ordered


def _near(number: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(u,) which of the stretches are shown: all but those of a few rows that lie far from the others."""
    n_rows = int(rows.sum())
    spare = max(1, int(OUTER * n_rows)) if n_rows >= FEWEST_ROWS else 0
    first = int(number[np.searchsorted(rows.cumsum(), spare, side="right")])
    last = int(number[::-1][np.searchsorted(rows[::-1].cumsum(), spare, side="right")])
    near: np.ndarray = np.maximum(first - number, number - last) <= FAR * (last - first + 1)
    return near


# -- a sample -----------------------------------------------------------------------------------


def row_hash(row: np.ndarray) -> np.ndarray:
    """(n,) uint64, as good as random and the same for the same row number: SplitMix64 of Steele et al. 2014."""
    with np.errstate(over="ignore"):
        z = (row.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts as shares of their sum; zeros where there is nothing."""
    total = counts.sum()
    return counts / total if total else np.zeros(counts.shape)
