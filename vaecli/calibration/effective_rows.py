"""How many independent rows the calibration scores of one series, or of some groups, are worth.

Neighbouring rows of a series, and rows of one device, are anomalous together. m such scores fix a quantile as well as
n_eff independent ones, where m / n_eff is the factor by which dependence inflates the variance of a mean:

    along time    m / n_eff = tau = 1 + 2 (rho_1 + rho_2 + …)               Geyer 1992; Sokal 1997
    in groups     m / n_eff = 1 + (size - 1) rho,  rho within a group       Kish 1965

Both are estimates from the scores themselves, and both err on the side of too few. Of a series that is short for its
memory even that is not enough: the networks have seen rows just before and just after every stretch that is held out,
so its scores look calmer than those of later rows, and forget faster. The columns know: a score that depends on the
distance from what is usual forgets twice as fast as its slowest column does, and is not believed beyond twice that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

FEWEST_IN_TIME = 20  # independent rows of a series: where there are fewer, their number itself cannot be estimated
FEWEST_BEYOND = 3  # independent rows beyond a threshold, with fewer of which it is easily off by a factor of two
ROWS_PER_STRETCH = 2  # independent scores per independent value of the slowest column, at most
MOST_COLUMNS = 64  # of more features, so many are asked, evenly spaced
_Z_90 = 1.2816  # the 90 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Dependence:
    """Which rows resemble each other: by `group` (n,), codes 0…g−1, or else by `time` (n,), their place in a series."""

    time: np.ndarray | None = None
    group: np.ndarray | None = None
    most_rows: float = math.inf  # what the columns allow, of rows of one series

    def take(self, which: np.ndarray) -> Dependence:
        """The dependence of the rows `which` (k,), in that order."""
        time, group = (None if of is None else of[which] for of in (self.time, self.group))
        return Dependence(time, group)

    def limited_by(self, features: np.ndarray) -> Dependence:
        """The same, with what the slowest of the features (n, d) of these rows allows; groups limit themselves."""
        if self.group is not None or self.time is None:
            return self
        order, n_features = np.argsort(self.time, kind="stable"), features.shape[1]
        chosen = np.unique(np.linspace(0, n_features - 1, min(n_features, MOST_COLUMNS)).round().astype(int))
        n_stretches = min(along_time(_views(features[order, j].astype(np.float64))[0]) for j in chosen)
        return replace(self, most_rows=ROWS_PER_STRETCH * n_stretches)

    def effective_rows(self, scores: np.ndarray) -> EffectiveRows:
        """What the scores (n,) of these rows are worth; a NaN (a row without a score) is left out."""
        scored = np.flatnonzero(~np.isnan(scores))
        if self.group is not None:
            group = np.unique(self.group[scored], return_inverse=True)[1]
            n_effective = min(in_groups(view, group) for view in _views(scores[scored]))
            return EffectiveRows(max(int(n_effective), 1), int(group.max(initial=0)) + 1)
        if self.time is not None:
            scored = scored[np.argsort(self.time[scored], kind="stable")]
        n_effective = min(self.most_rows, *(along_time(view) for view in _views(scores[scored])))
        return EffectiveRows(max(int(n_effective), 1), 0)


@dataclass(frozen=True, slots=True)
class EffectiveRows:
    """The number `n` >= 1 of independent rows that those of a series, or of `n_groups` groups, are worth."""

    n: int
    n_groups: int  # 0 for rows of one series

    @property
    def finest_level(self) -> float:
        """The highest level that can be promised: one that 3 of n + 1 rows exceed on average; 0 where none can be.

        Of a series that is short for its memory `n` itself is a guess.
        """
        if not self.n_groups and self.n < FEWEST_IN_TIME:
            return 0.0
        return max(1 - FEWEST_BEYOND / (self.n + 1), 0.0)

    def to_array(self) -> np.ndarray:
        """(2,) int64 for the bundle: the number of rows, and that of groups; `from_array` is the inverse."""
        return np.array([self.n, self.n_groups], np.int64)

    @classmethod
    def from_array(cls, numbers: np.ndarray, n_rows: int) -> EffectiveRows:
        """What `n_rows` rows are worth, of `numbers` (2,). Raises ValueError on what `to_array` cannot have written."""
        if numbers.dtype != np.int64 or numbers.shape != (2,) or not 1 <= numbers[0] <= n_rows or numbers[1] < 0:
            raise ValueError("the effective number of calibration rows is not one that a fit gives")
        return cls(int(numbers[0]), int(numbers[1]))


def along_time(values: np.ndarray) -> float:
    """The number of independent values that the series `values` (n,) is worth, in [0, n].

    n / tau, with tau the initial monotone sequence estimate of Geyer (1992). Its relative error is about
    sqrt(10 tau / n) (Sokal 1997, with a window of five tau), and it is too small for a short series: one such error is
    added to it.
    """
    n = values.size
    centred = values - values.mean()
    variance = float(centred @ centred)
    if n < 4 or variance == 0:
        return float(n)
    padded = 1 << (2 * n - 1).bit_length()  # so that the end of the series does not meet its beginning
    spectrum = np.abs(np.fft.rfft(centred, padded)) ** 2
    correlation = np.fft.irfft(spectrum, padded)[: n - n % 2] / variance
    pairs = correlation.reshape(-1, 2).sum(1)
    negative = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: negative[0]] if negative.size else pairs)
    n_estimated = n / max(2 * float(pairs.sum()) - 1, 1.0)
    return n_estimated / (1 + math.sqrt(10 / n_estimated)) if n_estimated < n else float(n)


def in_groups(values: np.ndarray, group: np.ndarray) -> float:
    """The number of independent values that `values` (n,) of groups 0…g−1 are worth, in [1, n].

    The correlation within a group is an upper limit at 90 %, from a one-way analysis of variance: with few groups
    little is known about how much they differ.
    """
    n, sizes = values.size, np.bincount(group)
    n_groups, squares = sizes.size, float((sizes.astype(np.float64) ** 2).sum())
    if n_groups == n:
        return float(n)
    if n_groups < 2:
        return 1.0
    means = np.bincount(group, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (n_groups - 1)
    within = float(((values - means[group]) ** 2).sum()) / (n - n_groups)
    if within == 0:
        return n * n / squares if between > 0 else float(n)
    excess = max(between / (within * _low_chi_square(n_groups - 1)) - 1, 0)
    ratio = excess * (n_groups - 1) / (n - squares / n)  # variance between groups over that within them
    return n / (1 + (squares / n - 1) * ratio / (1 + ratio))


def _views(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores as ranks in (0, 1), and as surprisals of these, which weigh the tail: a heavy one hides nothing."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = ((np.cumsum(counts) - counts / 2) / scores.size)[place]
    return rank, -np.log1p(-rank)


def _low_chi_square(df: int) -> float:
    """The 10 % quantile of chi-square(df) / df, by Wilson and Hilferty (1931)."""
    return float((1 - 2 / (9 * df) - _Z_90 * math.sqrt(2 / (9 * df))) ** 3)
