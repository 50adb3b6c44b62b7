"""Booleans: p(x_j = 1 | z) = σ(a_j(z))."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.model.array_namespace import Array, sigmoid, softplus
from vaecli.schema import Column, Slot

SMALLEST_SHARE = 1e-4  # of a value, where logits start


def bernoulli_log_prob(x: Array, logit: Array) -> Array:
    """The elementwise log p(x) in nats, (…, n, b), for `x` in {0, 1} and p(1) = σ(`logit`), both (…, n, b)."""
    return x * logit - softplus(logit)


def starting_share(share: np.ndarray) -> np.ndarray:
    """The shares (b,) as probabilities that have a logit: within [0.0001, 0.9999]."""
    return np.clip(share, SMALLEST_SHARE, 1 - SMALLEST_SHARE)


def log_odds(probability: np.ndarray) -> np.ndarray:
    """The logits (b,) of probabilities (b,) within (0, 1): the inverse of the sigmoid function."""
    odds: np.ndarray = np.log(probability / (1 - probability))
    return odds


def cutoff(drawn: np.ndarray, share: float) -> float:
    """The value that this share of (t,) values does not exceed."""
    return float(np.quantile(drawn, share)) if 0 < share < 1 else (-np.inf if share <= 0 else np.inf)


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """b columns of one feature each. The decoder's output for them: b logits."""

    n_columns: int

    @classmethod
    def of(cls, slots: Sequence[Slot], _min_log_variance: float) -> Bernoulli:
        """The distribution of the columns of b slots."""
        return cls(len(slots))

    @property
    def n_parameters(self) -> int:
        """The number b of decoder outputs."""
        return self.n_columns

    def log_prob(self, x: Array, parameters: Array) -> Array:
        """The log-probabilities log p(x_j|z) in nats, (…, n, b), for `x` (n, b) and `parameters` (…, n, b)."""
        return bernoulli_log_prob(x, parameters)

    def mean(self, parameters: Array) -> Array:
        """The probability of True, (…, n, b), for `parameters` (…, n, b)."""
        return sigmoid(parameters)

    def independent(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """(b,) logits that know no latent: of the share of True among cells `present` (n, b) of `x` (n, b)."""
        return log_odds(starting_share((x * present).sum(0) / np.maximum(present.sum(0), 1)))

    def noise(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        """(n_rows, b) logistic."""
        return rng.logistic(size=(n_rows, self.n_columns))

    def sample(self, parameters: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Logits with logistic noise, (t, b), above 0 with the probability of True, for `parameters` (t, b)."""
        return parameters + noise

    def fit_corrections(
        self, drawn: np.ndarray, there: np.ndarray, marginals: Sequence[np.ndarray], columns: Sequence[Column]
    ) -> np.ndarray:
        """(b,) cutoffs above which as many draws (t, b), of cells `there` (t, b), are True as by counts (2,)."""
        del columns
        shares = [counts[0] / max(counts.sum(), 1) for counts in marginals]
        return np.array([cutoff(drawn[there[:, i], i], share) for i, share in enumerate(shares)])

    def cells(
        self, drawn: np.ndarray, cutoffs: np.ndarray, marginals: Sequence[np.ndarray], columns: Sequence[Column]
    ) -> np.ndarray:
        """The values 0 and 1, (t, b), as in `Cells`, of the draws (t, b) with `cutoffs` (b,)."""
        del marginals, columns
        return (drawn > cutoffs).astype(np.float64)
