"""p(x_j | z) for each kind of column, and what missing and novel cells cost.

    log p(x | z) = Σ_j log p(x_j | z)                  one entry per row and column is kept: (n, c)

| kind                | p(x_j | z)                                             | code            |
|---------------------|--------------------------------------------------------|-----------------|
| numeric, datetime   | N(μ_j(z), σ²_j(z)) of the standardised value, floored  | `gaussian`      |
| boolean             | Bernoulli(σ(a_j(z))), or a number's, see `Likelihood.of` | `bernoulli`   |
| categorical         | softmax(a_j(z)) over the K_j categories                | `categorical`   |
| … one of r folded   | the probability of "other", divided by r               | `log_n_folded`        |
| missing, any kind   | Bernoulli over "is the cell there", for every cell     | `presence`      |
| novel, any kind     | a constant: 2 log(m + 1) nats after m training rows    | `novelty_nats`  |

A missing cell says nothing about its value: that term is 0. *That* it is missing is an observation of
its own: where training rows had gaps, the decoder gives their probability for each row; where they
had none, the rule of succession does (Laplace 1814): 1 / (m + 2). So unexpected missingness costs
log(m + 2) nats. A value that training never saw is two events: something new turned up
(probability at most 1 / (m + 1)), and of at least m + 1 values it could have been, it was this one.
Where r rare values were folded into "other", a value that is none of the kept ones has an r-th of the
probability of "other": together they may be likely, each of them is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.model.array_namespace import Array, like, namespace, sigmoid, softplus
from vaecli.schema import Kind, Layout

LOG_2PI = math.log(2 * math.pi)
MAX_LOGIT = 30.0  # exp stays finite in float32, and no category costs more than 60 nats


def gaussian_log_prob(x: Array, mean: Array, log_variance: Array) -> Array:
    """log N(x; mean, exp(log_variance)), elementwise."""
    xp = namespace(x)
    return -0.5 * (LOG_2PI + log_variance + (x - mean) ** 2 * xp.exp(-log_variance))


def bernoulli_log_prob(x: Array, logit: Array) -> Array:
    """log p(x) for x in {0, 1} and p(1) = σ(logit), elementwise."""
    return x * logit - softplus(logit)


def categorical_log_prob(one_hot: Array, logits: Array, membership: Array) -> Array:
    """log softmax of the category that is set, for several columns at once.

    `one_hot` and `logits` are (…, n, K) with the categories of all columns side by side; `membership`
    (K, columns) says which belong together. Returns (…, n, columns); 0 where no category is set.
    """
    xp = namespace(logits)
    logits = xp.clip(logits, -MAX_LOGIT, MAX_LOGIT)
    any_set = one_hot @ membership
    return (one_hot * logits) @ membership - any_set * xp.log(xp.exp(logits) @ membership)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Reads the decoder's output (…, n, p) as the parameters of p(x|z), and evaluates it.

    The output is six blocks side by side, in the feature order of `Layout`:
    means | log-variances (numbers, dates) | logits (booleans) | logits (categories) | logits (presence).
    """

    n_numeric: int
    n_boolean: int
    membership: np.ndarray  # (categories of all columns, categorical columns) 0/1
    log_n_folded: np.ndarray  # likewise: nats that tell which of the rare values an "other" is
    order: np.ndarray  # (c,) where each schema column stands among numeric, boolean, categorical
    n_missing: np.ndarray  # (c,) empty cells a column had in training
    n_rows: int  # m training rows
    has_missing: np.ndarray  # (g,) the columns that had any
    unexpected_missing_nats: np.ndarray  # (c,) nats of a missing cell where training had none, else 0
    novelty_nats: float
    min_log_variance: float
    likelihood_offset: np.ndarray  # (d,) what `to_likelihood_space` adds to a feature
    likelihood_slope: np.ndarray  # (d,) after multiplying it by this
    as_number: np.ndarray  # the schema columns that are booleans taken as numbers
    as_number_feature: np.ndarray  # and the features that they are

    @classmethod
    def of(
        cls,
        layout: Layout,
        n_missing: np.ndarray,
        n_rows: int,
        min_log_variance: float,
        boolean_values: np.ndarray | None = None,
    ) -> Likelihood:
        """For m = `n_rows` training rows with `n_missing` (c,) empty cells a column.

        With `boolean_values` (b, 2), booleans are taken as numbers of these values, and so as Gaussian.
        """
        blocks = [
            [j for j, _ in layout.of_kind(*kinds)]
            for kinds in ((Kind.NUMERIC, Kind.DATETIME), (Kind.BOOLEAN,), (Kind.CATEGORICAL,))
        ]
        slots = [slot for _, slot in layout.of_kind(Kind.CATEGORICAL)]
        categories = [slot.stop - slot.start for slot in slots]
        membership = np.repeat(np.eye(len(categories), dtype=np.float32), categories, axis=0)
        log_n_folded = np.zeros_like(membership)
        log_n_folded[np.cumsum(categories, dtype=np.int64) - 1, np.arange(len(slots))] = [
            math.log(max(slot.n_folded, 1)) for slot in slots
        ]
        gaps = np.asarray(n_missing) > 0
        m, b = len(blocks[0]), len(blocks[1])
        offset, slope = np.zeros(layout.n_features, np.float32), np.ones(layout.n_features, np.float32)
        as_number = np.array(blocks[1] if boolean_values is not None else [], np.int64)
        as_number_feature = m + np.arange(as_number.size)
        if boolean_values is not None:
            offset[m : m + b], slope[m : m + b] = boolean_values[:, 0], boolean_values[:, 1] - boolean_values[:, 0]
            m, b = m + b, 0
        return cls(
            n_numeric=m,
            n_boolean=b,
            membership=membership,
            log_n_folded=log_n_folded,
            order=np.argsort(np.array([j for block in blocks for j in block], np.int64), kind="stable"),
            n_missing=np.asarray(n_missing, np.int64),
            n_rows=n_rows,
            has_missing=np.flatnonzero(gaps),
            unexpected_missing_nats=np.where(gaps, 0.0, math.log(n_rows + 2)).astype(np.float32),
            novelty_nats=2 * math.log(n_rows + 1),
            min_log_variance=min_log_variance,
            likelihood_offset=offset,
            likelihood_slope=slope,
            as_number=as_number,
            as_number_feature=as_number_feature,
        )

    @property
    def n_parameters(self) -> int:
        """p, the width of the decoder's output."""
        return 2 * self.n_numeric + self.n_boolean + self.membership.shape[0] + self.has_missing.size

    def to_likelihood_space(self, features: Array, state: Array | None) -> Array:
        """The features (n, d) as this likelihood and its networks take them: booleans perhaps as numbers.

        A boolean that is not there becomes 0, the mean, as a number does. `state` as in `column_log_prob`.
        """
        if not self.as_number.size:
            return features
        seen = like(self.likelihood_offset, features) + features * like(self.likelihood_slope, features)
        if state is None:
            return seen
        there = (state[..., like(self.as_number, features)] == PRESENT) * like(_ONE, features)
        place = like(np.eye(self.likelihood_slope.size, dtype=np.float32)[self.as_number_feature], features)
        return seen * (like(_ONE, features) - (like(_ONE, features) - there) @ place)

    def column_log_prob(self, output: Array, features: Array, state: Array | None) -> Array:
        """log p(x_j | z) of every cell, in nats: (…, n, c), columns in schema order.

        `output` (…, n, p) from the decoder, `features` (n, d) as `to_likelihood_space` gives them, `state` (n, c)
        as in `Cells`, or None when every cell is present and no column had gaps in training.
        """
        xp = namespace(output)
        m, b, k = self.n_numeric, self.n_boolean, self.membership.shape[0]
        mean, log_variance, yes, category, presence = _split(output, (m, m, b, k, self.has_missing.size))
        numbers, booleans, one_hot = _split(features, (m, b, k))
        kinds = []
        if m:
            kinds.append(gaussian_log_prob(numbers, mean, self.log_variance(log_variance)))
        if b:
            kinds.append(bernoulli_log_prob(booleans, yes))
        if k:
            log_prob = categorical_log_prob(one_hot, category, like(self.membership, output))
            kinds.append(log_prob - one_hot @ like(self.log_n_folded, output))
        log_prob = kinds[0] if len(kinds) == 1 else xp.concatenate(kinds, -1)[..., like(self.order, output)]
        if state is None:
            return log_prob
        present, missing, novel = (state == code for code in (PRESENT, MISSING, NOVEL))
        log_prob = xp.where(present, log_prob, like(_ZERO, output))
        # a float beside a bool would make NumPy go on in float64
        novelty = like(np.full(1, self.novelty_nats, np.float32), output)
        log_prob = log_prob - missing * like(self.unexpected_missing_nats, output) - novel * novelty
        if self.has_missing.size:
            has_missing = like(self.has_missing, output)
            there = like(_ONE, output) - missing[..., has_missing] * like(_ONE, output)
            place = like(np.eye(self.order.size, dtype=np.float32)[self.has_missing], output)
            log_prob = log_prob + bernoulli_log_prob(there, presence) @ place
        return log_prob

    def mean(self, output: Array) -> Array:
        """E[x|z] for `output` (…, n, p), in the form in which `to_likelihood_space` gives features: (…, n, d).

        Of a number its mean, of a boolean and of each category its probability.
        """
        xp = namespace(output)
        m, b, k = self.n_numeric, self.n_boolean, self.membership.shape[0]
        mean, _, yes, category, _ = _split(output, (m, m, b, k, self.has_missing.size))
        weight = xp.exp(xp.clip(category, -MAX_LOGIT, MAX_LOGIT))
        share = weight / ((weight @ like(self.membership, output)) @ like(self.membership.T, output)) if k else weight
        return xp.concatenate([mean, sigmoid(yes), share], -1)

    def log_variance(self, raw: Array) -> Array:
        """The decoder's log-variance, kept smoothly above its floor: a floorless variance overfits to zero."""
        return self.min_log_variance + softplus(raw - self.min_log_variance)


_ZERO, _ONE = np.zeros((), np.float32), np.ones((), np.float32)


def _split(array: Array, widths: tuple[int, ...]) -> list[Array]:
    """Consecutive blocks of the last axis."""
    stops = np.cumsum(widths)
    return [array[..., stop - width : stop] for width, stop in zip(widths, stops, strict=True)]
