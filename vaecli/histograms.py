"""Counts on bins that are fixed beforehand, or grow by merging: sums of integers, so no cut of a table shows in them.

    scores     bins from the calibration, the threshold one of their edges
    columns    bins over the training range; what training held of each comes from its quantiles
    time       stretches on a grid of round widths, as narrow as keeps them few
    sample     the rows with the smallest hashes of their numbers

NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

N_SCORE_BINS = 44
N_COLUMN_BINS = 24
MOST_STRETCHES = 150
OUTER = 0.005  # share of the training values that a far tail may hold on either side

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


def _factors(ladder: tuple[int, ...]) -> Iterator[int]:
    yield from ladder
    while True:
        yield from DECIMAL


@dataclass(slots=True)
class Stretches:
    """Rows and flagged rows along a line of whole numbers, in stretches of one width that starts at 1.

    As soon as there would be too many, neighbours are merged: each width of the ladder is a multiple of the one before,
    so what comes out depends on the rows alone.
    """

    ladder: tuple[int, ...]
    width: int = 1
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)  # number of the stretch: rows, flagged
    n_without: int = 0
    _factors: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._factors = _factors(self.ladder)

    def add(self, ticks: np.ndarray, flagged: np.ndarray, present: np.ndarray) -> None:
        """Rows at `ticks` (n,) int64 where they are `present`."""
        self.n_without += int((~present).sum())
        ticks, flagged = ticks[present], flagged[present]
        if not ticks.size:
            return
        ends = [int(ticks.min()), int(ticks.max())]
        while self._span(ends) > MOST_STRETCHES:
            self._widen()
        number = ticks // self.width
        first = int(number.min())
        for offset, (n, m) in enumerate(
            zip(np.bincount(number - first), np.bincount(number - first, weights=flagged), strict=True)
        ):
            if n:
                before = self.counts.get(first + offset, (0, 0))
                self.counts[first + offset] = before[0] + int(n), before[1] + int(m)

    def _span(self, ticks: list[int]) -> int:
        numbers = [*(tick // self.width for tick in ticks), *self.counts]
        return max(numbers) - min(numbers) + 1

    def _widen(self) -> None:
        factor = next(self._factors)
        before, self.counts, self.width = self.counts, {}, self.width * factor
        for number, (n, m) in before.items():
            known = self.counts.get(number // factor, (0, 0))
            self.counts[number // factor] = known[0] + n, known[1] + m


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
