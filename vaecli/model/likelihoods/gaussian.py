"""Numbers and dates: p(x_j|z) = N(μ_j(z), σ²_j(z)) of the standardised value, with a floor under the variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.data.marginals import Marginal
from vaecli.data.per_column import per_column
from vaecli.model.array_namespace import Array, namespace, softplus
from vaecli.schema import Column, Slot

LOG_2PI = math.log(2 * math.pi)
SMALLEST_VARIANCE = 0.01  # of a column, where log-variances start
MOST_LOG_VARIANCE = 80.0  # of a drawn cell; beyond it float32 overflows, and every draw is out of range anyway
N_RANKS = 2049  # of drawn numbers, between which ranks are interpolated


def gaussian_log_prob(x: Array, mean: Array, log_variance: Array) -> Array:
    """The elementwise log N(x; mean, exp(log_variance)) in nats, (…, n, m), for arrays (…, n, m)."""
    xp = namespace(x)
    return -0.5 * (LOG_2PI + log_variance + (x - mean) ** 2 * xp.exp(-log_variance))


def floored_log_variance(raw: Array, floor: float) -> Array:
    """The decoder's log-variance (…, n, m), kept smoothly above its floor: a floorless variance overfits to zero."""
    return floor + softplus(raw - floor)


def _log_prob_in_place(x: np.ndarray, mean: np.ndarray, raw: np.ndarray, floor: float) -> np.ndarray:
    """`gaussian_log_prob` (…, n, m) at the floored log-variance of float32 `raw` (…, n, m), in half as many passes.

    With u = raw − floor the variance is exp(floor)·(1 + exp(u)). Beyond u = 80, where exp overflows in float32 soon, it
    grows by exp(u − 80) as before, while the square over it has vanished already.
    """
    one_more = raw - np.float32(floor)
    beyond = one_more - np.float32(MOST_LOG_VARIANCE)
    np.maximum(beyond, np.float32(0.0), out=beyond)
    one_more -= beyond
    np.exp(one_more, out=one_more)
    one_more += np.float32(1.0)
    log_prob = x - mean
    np.square(log_prob, out=log_prob)
    log_prob /= one_more
    log_prob *= np.float32(math.exp(-floor))
    log_prob += np.log(one_more, out=one_more)
    log_prob += beyond
    log_prob += np.float32(LOG_2PI + floor)
    log_prob *= np.float32(-0.5)
    return log_prob


def raw_log_variance(log_variance: np.ndarray, floor: float) -> np.ndarray:
    """The decoder outputs (m,) of log-variances (m,): the inverse of `floored_log_variance`."""
    above = np.maximum(log_variance - floor, 1e-3)
    return floor + above + np.log(-np.expm1(-above))


@dataclass(frozen=True, slots=True)
class Gaussian:
    """m columns of one feature each. The decoder's output for them: m means, then m log-variances.

    With `fixed` (e, 1, m), the raw log-variances of e members for every row, it is m means: only `log_prob` is defined.
    """

    n_columns: int
    min_log_variance: float
    fixed: np.ndarray | None = None

    @classmethod
    def of(cls, slots: Sequence[Slot], min_log_variance: float) -> Gaussian:
        """The distribution of the columns of m slots."""
        return cls(len(slots), min_log_variance)

    @property
    def n_parameters(self) -> int:
        """The number of decoder outputs: 2m, or m where variances are fixed."""
        return self.n_columns if self.fixed is not None else 2 * self.n_columns

    def log_prob(self, x: Array, parameters: Array) -> Array:
        """The log-probabilities log p(x_j|z) in nats, (…, n, m), for `x` (n, m) and `parameters` (…, n, 2m or m)."""
        m = self.n_columns
        if self.fixed is not None:
            log_variance = floored_log_variance(self.fixed, self.min_log_variance)
            log_prob: np.ndarray = x - parameters
            np.square(log_prob, out=log_prob)
            per_column(np.multiply, log_prob, -0.5 * np.exp(-log_variance), log_prob)
            return per_column(np.subtract, log_prob, 0.5 * (LOG_2PI + log_variance), log_prob)
        if isinstance(parameters, np.ndarray) and parameters.dtype == np.float32:
            return _log_prob_in_place(x, parameters[..., :m], parameters[..., m:], self.min_log_variance)
        log_variance = floored_log_variance(parameters[..., m:], self.min_log_variance)
        return gaussian_log_prob(x, parameters[..., :m], log_variance)

    def mean(self, parameters: Array) -> Array:
        """The expectation E[x|z] as features, (…, n, m), for `parameters` (…, n, 2m)."""
        return parameters[..., : self.n_columns]

    def independent(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """(2m,) parameters that know no latent: mean and variance of `x` (n, m) where `present` (n, m)."""
        x, n_present = x * present, np.maximum(present.sum(0), 1)
        mean = x.sum(0) / n_present
        variance = np.maximum((x**2).sum(0) / n_present - mean**2, SMALLEST_VARIANCE)
        return np.concatenate([mean, raw_log_variance(np.log(variance), self.min_log_variance)])

    def noise(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        """(n_rows, m) standard normal."""
        return rng.standard_normal((n_rows, self.n_columns), np.float32)

    def sample(self, parameters: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Features (t, m) drawn from p(x|z) with `parameters` (t, 2m) and `noise` (t, m)."""
        m = self.n_columns
        log_variance = floored_log_variance(parameters[..., m:], self.min_log_variance)
        return parameters[..., :m] + np.exp(0.5 * np.minimum(log_variance, MOST_LOG_VARIANCE)) * noise

    def fit_corrections(
        self, drawn: np.ndarray, there: np.ndarray, marginals: Sequence[Marginal], columns: Sequence[Column]
    ) -> np.ndarray:
        """(m, r) values of the drawn numbers (t, m) at evenly spaced ranks, of the cells that are `there` (t, m)."""
        del marginals, columns  # a rank is that of the draws; what training held there, `cells` looks up
        knots = [np.quantile(drawn[there[:, i], i], np.linspace(0.0, 1.0, N_RANKS)) for i in range(self.n_columns)]
        return np.array(knots)

    def cells(
        self, drawn: np.ndarray, knots: np.ndarray, marginals: Sequence[Marginal], columns: Sequence[Column]
    ) -> np.ndarray:
        """The values (t, m), as in `Cells`, of training rows at the ranks of draws (t, m) among `knots` (m, r)."""
        values, ranks = np.empty(drawn.shape), np.linspace(0.0, 1.0, N_RANKS)
        for i, (marginal, column) in enumerate(zip(marginals, columns, strict=True)):
            values[:, i] = marginal.at(np.interp(drawn[:, i], knots[i], ranks), column)
        return values
