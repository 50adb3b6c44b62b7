"""Counts on bins that are fixed beforehand, or grow by merging: sums of integers, so no cut of a table shows in them.

    scores     bins from the calibration, the threshold one of their edges
    columns    bins over the training range; what training held of each comes from its quantiles

NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaecli.aggregates.timeline import OUTER

N_SCORE_BINS = 44
N_COLUMN_BINS = 24


def score_edges(scores: np.ndarray, ranks: np.ndarray, threshold: float) -> np.ndarray:
    """Edges (b + 1,) for scores whose calibration is `scores` (r,) ascending with cumulative counts `ranks` (r,).

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
    """(b + 1,) how many `scores` (n,) lie in each bin [from, to), below the first in it, beyond `edges` in one more."""
    bins = np.searchsorted(edges, scores[~np.isnan(scores)], side="right") - 1
    return np.bincount(np.maximum(bins, 0), minlength=edges.size)


def calibration_counts(edges: np.ndarray, scores: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """(b + 1,) how many calibration rows, `scores` (r,) with `ranks` (r,), lie in each bin, as in `score_counts`."""
    below = np.concatenate([[0], ranks])[np.searchsorted(scores, edges, side="left")]
    below[0] = 0
    return np.diff(np.append(below, ranks[-1]))


@dataclass(frozen=True, slots=True)
class NumberBins:
    """Bins of one column, and the share of its training values in each of them and outside."""

    edges: np.ndarray  # (b + 1,)
    training: np.ndarray  # (b + 2,)
    is_whole: bool  # edges lie half-way between whole numbers

    @classmethod
    def of(cls, quantiles: np.ndarray, whole: bool) -> NumberBins:
        """The bins for evenly spaced quantiles (q,) of the training values; whole numbers get edges between them."""
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
        """(b + 2,) how many `values` (n,) lie below the first bin, in each bin (from, to], and above the last."""
        return np.bincount(np.searchsorted(self.edges, values, side="left"), minlength=self.edges.size + 1)


def share_at_most(quantiles: np.ndarray, value: float) -> float:
    """P(X <= value) if X lies with equal probability between any two neighbouring `quantiles` (q,), evenly there."""
    n_at_most = int(np.searchsorted(quantiles, value, side="right"))
    if n_at_most == 0:
        return 0.0
    if n_at_most == quantiles.size:
        return 1.0
    below, above = float(quantiles[n_at_most - 1]), float(quantiles[n_at_most])
    return (n_at_most - 1 + (value - below) / (above - below)) / (quantiles.size - 1)


def moved(training: np.ndarray, scored: np.ndarray) -> float:
    """The share, in [0, 1], that would have to change bins for `scored` (b,) to be `training` (b,)."""
    return 0.5 * float(np.abs(training - scored).sum())


def shares(counts: np.ndarray) -> np.ndarray:
    """The counts (b,) as shares of their sum, (b,); zeros if all counts are 0."""
    total = counts.sum()
    return counts / total if total else np.zeros(counts.shape)
