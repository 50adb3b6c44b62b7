"""What missing and novel cells cost, whatever the kind of their column.

The value of a missing cell is unknown: that term is 0. *That* it is missing is an observation of
its own: where training rows had gaps, the decoder gives their probability for each row (a Bernoulli variable); where
they had none, the rule of succession does (Laplace 1814): 1 / (m + 2) after m training rows. So unexpected missingness
costs log(m + 2) nats. A value that training never saw is two events: something new turned up (probability at most
1 / (m + 1)), and of at least m + 1 values it could have been, it was this one: 2 log(m + 1) nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.model.array_namespace import Array, like, namespace, product
from vaecli.model.likelihoods.bernoulli import bernoulli_log_prob, cutoff, log_odds, starting_share


@dataclass(frozen=True, slots=True)
class Presence:
    """The presence of the cells of c columns. The decoder gives a logit of "the cell is there" for g that had gaps."""

    n_missing: np.ndarray  # (c,) empty cells a column had in training
    n_rows: int  # m training rows
    has_missing: np.ndarray  # (g,) the columns that had any
    unexpected_missing_nats: np.ndarray  # (c,) nats of a missing cell where training had none, else 0
    novelty_nats: float

    @classmethod
    def of(cls, n_missing: np.ndarray, n_rows: int) -> Presence:
        """The presence model after m = `n_rows` training rows with `n_missing` (c,) empty cells per column."""
        gaps = np.asarray(n_missing) > 0
        return cls(
            n_missing=np.asarray(n_missing, np.int64),
            n_rows=n_rows,
            has_missing=np.flatnonzero(gaps),
            unexpected_missing_nats=np.where(gaps, 0.0, math.log(n_rows + 2)).astype(np.float32),
            novelty_nats=2 * math.log(n_rows + 1),
        )

    @property
    def n_parameters(self) -> int:
        """The number g of decoder outputs."""
        return self.has_missing.size

    def of_cells(self, log_prob: Array, state: Array, logits: Array) -> Array:
        """The log-probability (…, n, c) in nats of all cells: `log_prob` (…, n, c) of values, or of their absence.

        `state` (n, c) is as in `Cells`, and `logits` (…, n, g) are those of presence.
        """
        xp = namespace(log_prob)
        present, missing, novel = (state == code for code in (PRESENT, MISSING, NOVEL))
        log_prob = xp.where(present, log_prob, like(_ZERO, log_prob))
        # a float beside a bool would make NumPy go on in float64
        novelty = like(np.full(1, self.novelty_nats, np.float32), log_prob)
        log_prob = log_prob - missing * like(self.unexpected_missing_nats, log_prob) - novel * novelty
        if self.has_missing.size:
            there = like(_ONE, log_prob) - missing[..., like(self.has_missing, log_prob)] * like(_ONE, log_prob)
            place = like(np.eye(self.n_missing.size, dtype=np.float32)[self.has_missing], log_prob)
            log_prob = log_prob + product(bernoulli_log_prob(there, logits), place)
        return log_prob

    def independent(self, state: np.ndarray) -> np.ndarray:
        """(g,) logits that know no latent: of the share of cells that are there, by `state` (n, c)."""
        return log_odds(starting_share((state[:, self.has_missing] != MISSING).mean(0)))

    def noise(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        """(n_rows, g) logistic."""
        return rng.logistic(size=(n_rows, self.has_missing.size))

    def sample(self, parameters: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Logits with logistic noise, (t, g), above 0 with the probability of a cell, for `parameters` (t, g)."""
        return parameters + noise

    def fit_corrections(self, drawn: np.ndarray) -> np.ndarray:
        """(g,) cutoffs above which as many of the draws (t, g) are there as training cells were."""
        missing = self.n_missing / self.n_rows
        return np.array([cutoff(drawn[:, i], missing[j]) for i, j in enumerate(self.has_missing)])

    def cells(self, drawn: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """(t, c) bool which cells are there, for the draws (t, g) and `cutoffs` (g,)."""
        there = np.ones((len(drawn), self.n_missing.size), bool)
        there[:, self.has_missing] = drawn > cutoffs
        return there


_ZERO, _ONE = np.zeros((), np.float32), np.ones((), np.float32)
