"""How far a batch of rows is from training, and how far chance alone would put it.

A distance is measured on counts: of each category, or of the stretches between quantiles of the training values. With
F the distribution of training, F_n that of the n rows of the batch,

    numbers, dates and scores    D = √12 ∫ |F_n − F| dF     standard deviations of the ranks
    categories and booleans      D = ½ Σ |p_n − p|          total variation

so that a normal column that moves by half a standard deviation has D = 0.49. Chance puts D at what blocks of as many
rows, drawn from the training distribution, have: their mean and variance, and a gamma distribution beyond (Wilson and
Hilferty 1931). Shares that were 0 in training or nearly so have an exact limit instead: of the K cells of a kind among
N rows of training and n of the batch, each is in the batch with probability n / (N + n), and by Hoeffding (1963)

    P(at least k of them are) <= exp(−K KL(k / K ‖ n / (N + n)))

Rows that depend on each other count as the independent ones that they are worth.

NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vaecli.data.marginals import Marginal

MOST_EDGES = 96  # quantiles of a number between which cells are counted
N_BLOCKS = 200  # drawn to learn what chance does
N_SCORE_BINS = 64
FAMILY_ERROR = 0.01  # how often at most any of all tests of one table exceeds its limit by chance
ROOT_12 = math.sqrt(12)


@dataclass(frozen=True, slots=True)
class Reference:
    """The training distribution of one column on b bins, and of how many independent rows it was learned.

    Of an ordered column bin 2i+1 holds the values equal to `edges[i]`, bin 2i those between it and the one before, the
    first and the last bin those outside the range of training. Codes have no `edges` and a bin each.
    """

    share: np.ndarray  # (b,) of training in each bin
    n_rows: float
    edges: np.ndarray | None = None  # (e,) ascending, b = 2e + 1
    n_once: float = 0.0  # rows with a code that occurred once: as many new rows would have an unseen one (Good 1953)

    @classmethod
    def of_numbers(cls, marginal: Marginal, n_rows: float) -> Reference:
        """The reference that the marginal of a number or a date is."""
        values, first = np.unique(marginal.values, return_index=True)
        upto = marginal.share[np.append(first[1:], marginal.values.size) - 1]
        below = np.concatenate([[0.0], upto[:-1]]) if marginal.is_discrete else marginal.share[first]
        kept = np.unique(np.linspace(0, values.size - 1, min(values.size, MOST_EDGES)).round().astype(np.int64))
        cumulative = np.column_stack([below[kept], upto[kept]]).ravel()
        share = np.diff(np.concatenate([[0.0], np.minimum(cumulative, 1.0), [1.0]]))
        return cls(np.maximum(share, 0.0), n_rows, values[kept])

    @classmethod
    def of_codes(cls, counts: np.ndarray, n_rows: float) -> Reference:
        """The reference that the counts (K,) of a category or a boolean are."""
        total = max(int(counts.sum()), 1)
        return cls(counts / total, n_rows, n_once=int((counts == 1).sum()) * n_rows / total)

    @classmethod
    def of_p_values(cls, n_rows: float) -> Reference:
        """The reference of the p-values of normal rows: evenly distributed, on N_SCORE_BINS bins."""
        share = np.zeros(2 * N_SCORE_BINS + 3)
        share[2:-1:2] = 1 / N_SCORE_BINS
        return cls(share, n_rows, np.linspace(0.0, 1.0, N_SCORE_BINS + 1))

    def counts(self, values: np.ndarray) -> np.ndarray:
        """(b,) int64: how many of `values` (n,), none of them NaN, lie in each bin."""
        if self.edges is None:
            return np.bincount(values.astype(np.int64), minlength=self.share.size)
        place = self.edges.searchsorted(values, "left") + self.edges.searchsorted(values, "right")
        return np.bincount(place, minlength=self.share.size)

    def distance(self, counts: np.ndarray) -> np.ndarray:
        """The distances (…) of `counts` (…, b) from training; 0 of no cells."""
        return self._between(_shares(counts), self.share)

    def shift(self, counts: np.ndarray) -> float:
        """√12 ∫ (F_n − F) dF of `counts` (b,) of numbers: positive where they lie lower than training.

        Its absolute value is at most the distance, and equal to it where all ranks have moved in one direction.
        """
        gap = np.cumsum(_shares(counts) - self.share)
        return float(ROOT_12 * (0.5 * (gap + np.concatenate([[0.0], gap[:-1]])) * self.share).sum())

    def by_chance(self, n_rows: float, family: int, seed: int) -> float:
        """The distance that a batch worth `n_rows` independent rows exceeds once in `family` / FAMILY_ERROR tables.

        The rows of training are a sample too, and its own error is part of what chance does.
        """
        rng = np.random.default_rng([seed, 0xD21F])
        weight = self.share / self.share.sum()
        batch = _shares(rng.multinomial(max(round(n_rows), 1), weight, N_BLOCKS))
        training = _shares(rng.multinomial(max(round(self.n_rows), 1), weight, N_BLOCKS))
        found = self._between(batch, training)
        mean, variance = float(found.mean()), float(found.var(ddof=1))
        if not mean or not variance:
            return mean
        ninth = variance / (9 * mean * mean)  # 1 / (9 · shape)
        z = NormalDist().inv_cdf(1 - FAMILY_ERROR / family)
        return mean * max(1 - ninth + z * math.sqrt(ninth), 1.0) ** 3

    def between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The distances (…) between counts (…, b), measured along the ranks of training; 0 of no cells."""
        return self._between(_shares(one), _shares(other))

    def _between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        if self.edges is None:
            return 0.5 * np.abs(one - other).sum(-1)
        gap = np.abs(np.cumsum(one - other, axis=-1))  # after each bin; 0 after the last
        before = np.concatenate([np.zeros((*gap.shape[:-1], 1)), gap[..., :-1]], axis=-1)
        return ROOT_12 * (0.5 * (gap + before) * self.share).sum(-1)

    def quantile(self, counts: np.ndarray, rank: float) -> float | None:
        """The edge below which a share `rank` of the `counts` (b,) lies, the nearest one inside the training range."""
        if self.edges is None or not counts.sum():
            return None
        bin_ = int(np.searchsorted(np.cumsum(counts), rank * counts.sum()))
        return float(self.edges[min(bin_ // 2, self.edges.size - 1)])


def most_by_chance(n_training: float, k_training: float, n_rows: float, family: int) -> float:
    """The share of `n_rows` rows that chance exceeds once in `family` / FAMILY_ERROR tables, in [0, 1].

    `k_training` of `n_training` rows had what is counted. All counts are of independent rows. Found by halving.
    """
    needed = -math.log(FAMILY_ERROR / family)
    low, high = 0.0, 1.0
    if _nats(n_training, k_training, n_rows, high) <= needed:
        return 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if _nats(n_training, k_training, n_rows, middle) > needed else (middle, high)
    return high


def least_by_chance(n_training: float, k_training: float, n_rows: float, family: int) -> float:
    """The share of `n_rows` rows that chance falls short of once in `family` / FAMILY_ERROR tables, in [0, 1]."""
    return 1 - most_by_chance(n_training, n_training - k_training, n_rows, family)


def _nats(n_training: float, k_training: float, n_rows: float, share: float) -> float:
    """A lower bound on −log P(at least `share` of the batch), 0 where that is what is to be expected."""
    k = share * n_rows
    total, expected = k_training + k, n_rows / (n_training + n_rows)
    if not total or k / total <= expected:
        return 0.0
    of_batch = k / total
    rest = (1 - of_batch) * math.log((1 - of_batch) / (1 - expected)) if of_batch < 1 else 0.0
    return total * (of_batch * math.log(of_batch / expected) + rest)


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / np.maximum(counts.sum(-1, keepdims=True), 1)
