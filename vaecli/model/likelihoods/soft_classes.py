"""Strings: log p(text | z) − log p0(text) = log Σ_k softmax(a(z))_k r_k / ρ_k, a category whose evidence is soft.

r_k is how probably a string is of class k, ρ_k the share of the class: r_k / ρ_k = p_k(text) / p0(text). Where a
string may be of any class, the term is 0. A string may always be of each class, a little: one of a class that does not
suit the row costs at most log(1 / LEAST_RESPONSIBILITY) nats. How improbable the string itself is, −log p0(text), is
not the networks' part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.model.array_namespace import Array, like, namespace, product
from vaecli.model.likelihoods.categorical import MAX_LOGIT, Categorical
from vaecli.schema import Slot

LEAST_RESPONSIBILITY = 1e-5  # of a class, in its share


@dataclass(frozen=True, slots=True)
class SoftClasses(Categorical):
    """t columns with K classes altogether, one feature per class. The decoder's output for them: K logits."""

    of_share: np.ndarray  # (K,) 1 / ρ

    @classmethod
    def of(cls, slots: Sequence[Slot], min_log_variance: float) -> SoftClasses:
        """The distribution of the columns of t slots."""
        plain = Categorical.of(slots, min_log_variance)
        shares = np.concatenate([slot.class_shares for slot in slots])
        return cls(plain.membership, plain.log_n_folded, (1 / shares).astype(np.float32))

    def log_prob(self, x: Array, parameters: Array) -> Array:
        """The nats that z adds to log p0(text), (…, n, t), for responsibilities `x` (n, K), `parameters` (…, n, K).

        0 where all responsibilities are 0.
        """
        xp = namespace(parameters)
        membership, one = like(self.membership, parameters), like(_ONE, parameters)
        weight = xp.exp(xp.clip(parameters, -MAX_LOGIT, MAX_LOGIT))
        least = like(_LEAST, parameters)
        evidence = (one - least) * x * like(self.of_share, parameters) + least
        log_ratio = xp.log(product(weight * evidence, membership)) - xp.log(product(weight, membership))
        return product(x, membership) * log_ratio


_ONE = np.ones((), np.float32)
_LEAST = np.full((), LEAST_RESPONSIBILITY, np.float32)
