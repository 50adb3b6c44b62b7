"""Categories: p(x_j|z) = softmax(a_j(z)) over the K_j categories of a column.

Where r rare values were folded into "other", a value that is not one of those kept has an r-th of the probability of
"other": together they may be likely, each of them is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.model.array_namespace import Array, like, namespace, product
from vaecli.model.likelihoods.bernoulli import starting_share
from vaecli.schema import Column, Slot

MAX_LOGIT = 30.0  # exp stays finite in float32, and no category costs more than 60 nats
SHIFT_ROWS, SHIFT_ROUNDS, CLOSE_ENOUGH = 8192, 50, 5e-4
NEVER = -1e4  # a logit


def categorical_log_prob(one_hot: Array, logits: Array, membership: Array) -> Array:
    """The log-probability (…, n, columns) in nats of the category that is set in each of several columns.

    `one_hot` and `logits` are (…, n, K) with the categories of all columns side by side; `membership`
    (K, columns) marks the categories of each column. The result is 0 where no category is set.
    """
    xp = namespace(logits)
    logits = xp.clip(logits, -MAX_LOGIT, MAX_LOGIT)
    any_set = product(one_hot, membership)
    return product(one_hot * logits, membership) - any_set * xp.log(product(xp.exp(logits), membership))


@dataclass(frozen=True, slots=True)
class Categorical:
    """q columns with K categories altogether, one feature per category. The decoder's output for them: K logits."""

    membership: np.ndarray  # (K, q) 0/1
    log_n_folded: np.ndarray  # (K, q) nats that it takes to name one of the rare values folded into "other"

    @classmethod
    def of(cls, slots: Sequence[Slot], _min_log_variance: float) -> Categorical:
        """The distribution of the columns of q slots."""
        sizes = [slot.stop - slot.start for slot in slots]
        membership = np.repeat(np.eye(len(slots), dtype=np.float32), sizes, axis=0)
        log_n_folded = np.zeros_like(membership)
        last = np.cumsum(sizes) - 1
        log_n_folded[last, np.arange(len(slots))] = [math.log(max(slot.n_folded, 1)) for slot in slots]
        return cls(membership, log_n_folded)

    @property
    def n_columns(self) -> int:
        """The number q of columns."""
        return self.membership.shape[1]

    @property
    def n_parameters(self) -> int:
        """The number K of decoder outputs."""
        return self.membership.shape[0]

    def log_prob(self, x: Array, parameters: Array) -> Array:
        """The log-probabilities log p(x_j|z) in nats, (…, n, q), for one-hot `x` (n, K) and `parameters` (…, n, K)."""
        log_prob = categorical_log_prob(x, parameters, like(self.membership, parameters))
        return log_prob - product(x, like(self.log_n_folded, parameters))

    def mean(self, parameters: Array) -> Array:
        """The probability of each category, (…, n, K), for `parameters` (…, n, K)."""
        xp = namespace(parameters)
        weight = xp.exp(xp.clip(parameters, -MAX_LOGIT, MAX_LOGIT))
        return weight / ((weight @ like(self.membership, parameters)) @ like(self.membership.T, parameters))

    def independent(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """(K,) logits that know no latent: the log-share of each category of one-hot `x` (n, K) among all rows."""
        del present  # log-shares of all rows differ from those of present cells by a constant, which softmax drops
        return np.log(starting_share(x.mean(0)))

    def noise(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        """(n_rows, q) uniform."""
        return rng.random((n_rows, self.n_columns))

    def sample(self, parameters: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """(t, K + q) logits `parameters` (t, K), and after them the uniform `noise` (t, q) that chooses among them."""
        return np.concatenate([np.clip(parameters, -MAX_LOGIT, MAX_LOGIT), noise], axis=1)

    def fit_corrections(
        self, drawn: np.ndarray, there: np.ndarray, marginals: Sequence[np.ndarray], columns: Sequence[Column]
    ) -> np.ndarray:
        """(K,) shifts of logits by which draws (t, K + q), of cells `there` (t, q), are as frequent as by counts."""
        shift = np.zeros(self.n_parameters)
        for i, where in enumerate(self._categories()):
            logits = drawn[there[:, i], where]
            logits = logits[:: -(-len(logits) // SHIFT_ROWS)]
            shift[where] = logit_shift(logits, marginals[i], len(columns[i].categories))
        return shift

    def cells(
        self, drawn: np.ndarray, shift: np.ndarray, marginals: Sequence[np.ndarray], columns: Sequence[Column]
    ) -> np.ndarray:
        """The codes of categories (t, q), as in `Cells`, of the draws (t, K + q) with `shift` (K,)."""
        del marginals
        values = np.empty((len(drawn), self.n_columns))
        for i, where in enumerate(self._categories()):
            share = _softmax(drawn[:, where] + shift[where]).cumsum(1)
            last = len(columns[i].categories) - 1  # the sum of all shares may be a little less than 1
            values[:, i] = np.minimum((share < drawn[:, self.n_parameters + i, None]).sum(1), last)
        return values

    def _categories(self) -> Iterator[slice]:
        """Where the logits of each column are among those of all."""
        stop = 0
        for size in self.membership.sum(0).astype(int):
            start, stop = stop, stop + size
            yield slice(start, stop)


def logit_shift(logits: np.ndarray, counts: np.ndarray, n_kept: int) -> np.ndarray:
    """(K,) the shift of `logits` (t, K) by which the mean share of each category is that of `counts` (K,).

    The category "other", after `n_kept`, never comes.

    Which of the rare values folded into "other" a cell would hold is unknown. Iterative proportional fitting.
    """
    shift = np.where(np.arange(counts.size) < n_kept, 0.0, NEVER)
    kept = counts[:n_kept]
    if not kept.sum():
        return shift
    wanted = kept / kept.sum()
    shift[:n_kept][kept == 0] = NEVER
    met = np.flatnonzero(kept)
    for _ in range(SHIFT_ROUNDS):
        found = _softmax(logits + shift).mean(0)[met]
        shift[met] += np.log(wanted[met] / np.maximum(found, np.finfo(float).tiny))
        if np.abs(found - wanted[met]).max() < CLOSE_ENOUGH:
            break
    return shift


def _softmax(logits: np.ndarray) -> np.ndarray:
    weight = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray = weight / weight.sum(1, keepdims=True)
    return found
