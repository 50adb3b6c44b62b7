"""p(x|z) of a row: the distributions of all its columns, and where each stands in the decoder's output.

    log p(x | z) = Σ_j log p(x_j | z)                  one entry per row and column is kept: (n, c)

| kind                | p(x_j | z)                                                   | code          |
|---------------------|--------------------------------------------------------------|---------------|
| numeric, datetime   | N(μ_j(z), σ²_j(z)) of the standardised value, floored        | `gaussian`    |
| boolean             | Bernoulli(σ(a_j(z))), or a number's, see `Likelihood.of`     | `bernoulli`   |
| categorical         | softmax(a_j(z)) over the K_j categories; rare ones share one | `categorical` |
| missing, any kind   | Bernoulli over "is the cell there", for every cell           | `presence`    |
| novel, any kind     | a constant: 2 log(m + 1) nats after m training rows          | `presence`    |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.model.array_namespace import Array, like, namespace, product
from vaecli.model.likelihoods.bernoulli import Bernoulli
from vaecli.model.likelihoods.categorical import Categorical
from vaecli.model.likelihoods.gaussian import Gaussian
from vaecli.model.likelihoods.presence import Presence
from vaecli.model.likelihoods.soft_classes import SoftClasses
from vaecli.schema import Column, Kind, Layout, Slot


class Distribution(Protocol):
    """p(x_j|z) of several columns at once. Shapes: n rows or t drawn rows, w columns, f features, p parameters."""

    @classmethod
    def of(cls, slots: Sequence[Slot], min_log_variance: float, /) -> Distribution:
        """The distribution of the columns of w slots; log-variances stay above `min_log_variance`."""

    @property
    def n_columns(self) -> int:
        """The number w of columns."""

    @property
    def n_parameters(self) -> int:
        """The number p of decoder outputs."""

    def log_prob(self, x: Array, parameters: Array) -> Array:
        """The log-probabilities log p(x_j|z) in nats, (…, n, w), for `x` (n, f) and `parameters` (…, n, p)."""

    def mean(self, parameters: Array) -> Array:
        """The expectation E[x|z] as features, (…, n, f), for `parameters` (…, n, p)."""

    def independent(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """(p,) parameters that know no latent, from features `x` (n, f) of cells some of which are `present` (n, w)."""

    def noise(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        """Everything random in `n_rows` drawn rows, (n_rows, …)."""

    def sample(self, parameters: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Draws (t, …) of t rows, not yet values of the training columns, for `parameters` (t, p)."""

    def fit_corrections(
        self, drawn: np.ndarray, there: np.ndarray, marginals: Sequence[Any], columns: Sequence[Column]
    ) -> np.ndarray:
        """Corrections (w or p, …) by which draws (t, …), of cells `there` (t, w), are distributed as in training."""

    def cells(
        self, drawn: np.ndarray, corrections: np.ndarray, marginals: Sequence[Any], columns: Sequence[Column]
    ) -> np.ndarray:
        """The values (t, w), as in `Cells`, of draws (t, …)."""


DISTRIBUTIONS: dict[Kind, type[Distribution]] = {
    Kind.NUMERIC: Gaussian,
    Kind.DATETIME: Gaussian,
    Kind.BOOLEAN: Bernoulli,
    Kind.CATEGORICAL: Categorical,
    Kind.TEXT: SoftClasses,
}


@dataclass(frozen=True, slots=True)
class Block:
    """The columns of one distribution: neighbours among the features and in the decoder's output."""

    distribution: Distribution
    columns: np.ndarray  # (w,) of the c columns of the schema
    features: slice  # of d
    outputs: slice  # of p


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Reads the decoder's output (…, n, p) as the parameters of p(x|z), and evaluates it.

    The output is the parameters of each block, in the feature order of `Layout`, and the logits of presence.
    """

    blocks: tuple[Block, ...]
    presence: Presence
    order: np.ndarray | None  # (c,) index of each schema column among those of all blocks; None if the same
    schema_order: bool  # whether a single block is put into the order of the schema too, see `of`
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
        *,
        schema_order: bool = True,
    ) -> Likelihood:
        """The likelihood after m = `n_rows` training rows with `n_missing` (c,) empty cells per column.

        With `boolean_values` (b, 2), booleans are taken as numbers of these values, and so as Gaussian. Without
        `schema_order` the columns of a single block stay in its order, as bundles before format 4 were fitted.
        """
        booleans = layout.of_kind(Kind.BOOLEAN) if boolean_values is not None else ()
        as_number = np.array([j for j, _ in booleans], np.int64)
        as_number_feature = np.array([slot.start for _, slot in booleans], np.int64)
        offset, slope = np.zeros(layout.n_features, np.float32), np.ones(layout.n_features, np.float32)
        if boolean_values is not None:
            offset[as_number_feature] = boolean_values[:, 0]
            slope[as_number_feature] = boolean_values[:, 1] - boolean_values[:, 0]
        blocks = _blocks(layout, set(as_number.tolist()), min_log_variance)
        return cls(
            blocks=blocks,
            presence=Presence.of(n_missing, n_rows),
            order=_order(blocks) if schema_order or len(blocks) > 1 else None,
            schema_order=schema_order,
            min_log_variance=min_log_variance,
            likelihood_offset=offset,
            likelihood_slope=slope,
            as_number=as_number,
            as_number_feature=as_number_feature,
        )

    @property
    def n_parameters(self) -> int:
        """p, the width of the decoder's output."""
        return self.blocks[-1].outputs.stop + self.presence.n_parameters

    @property
    def n_gaussian(self) -> int:
        """m, the columns taken as numbers, which are the first features: their means and log-variances come first."""
        first = self.blocks[0].distribution
        return first.n_columns if isinstance(first, Gaussian) else 0

    @property
    def has_missing(self) -> np.ndarray:
        """(g,) the columns that had gaps in training, whose presence is modelled."""
        return self.presence.has_missing

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
        return seen * (like(_ONE, features) - product(like(_ONE, features) - there, place))

    def from_likelihood_space(self, seen: np.ndarray) -> np.ndarray:
        """The inverse of `to_likelihood_space`, (…, n, d): booleans taken as numbers become probabilities again."""
        features: np.ndarray = (seen - self.likelihood_offset) / self.likelihood_slope
        taken = self.as_number_feature
        features[..., taken] = np.clip(features[..., taken], 0.0, 1.0)
        return features

    def column_log_prob(self, output: Array, features: Array, state: Array | None) -> Array:
        """The log-probability log p(x_j|z) of every cell, in nats: (…, n, c), columns in schema order.

        `output` (…, n, p) from the decoder, `features` (n, d) as `to_likelihood_space` gives them, `state` (n, c)
        as in `Cells`, or None when every cell is present and no column had gaps in training.
        """
        parts = [
            one.distribution.log_prob(features[..., one.features], output[..., one.outputs]) for one in self.blocks
        ]
        log_prob = parts[0] if len(parts) == 1 else namespace(output).concatenate(parts, -1)
        if self.order is not None:
            log_prob = log_prob[..., like(self.order, output)]
        if state is None:
            return log_prob
        return self.presence.of_cells(log_prob, state, output[..., self.presence_outputs])

    def mean(self, output: Array) -> Array:
        """E[x|z] for `output` (…, n, p), in the form in which `to_likelihood_space` gives features: (…, n, d).

        Of a number its mean, of a boolean and of each category its probability.
        """
        parts = [one.distribution.mean(output[..., one.outputs]) for one in self.blocks]
        return namespace(output).concatenate(parts, -1)

    @property
    def presence_outputs(self) -> slice:
        """Which of the decoder's p outputs are logits of presence."""
        return slice(self.blocks[-1].outputs.stop, self.n_parameters)


_ONE = np.ones((), np.float32)


def _order(blocks: tuple[Block, ...]) -> np.ndarray | None:
    columns = np.concatenate([block.columns for block in blocks])
    return None if (np.diff(columns) > 0).all() else np.argsort(columns, kind="stable")


def _blocks(layout: Layout, as_number: set[int], min_log_variance: float) -> tuple[Block, ...]:
    """Neighbouring columns of one distribution together; those in `as_number` are Gaussian."""

    def distribution_of(j: int) -> type[Distribution]:
        return Gaussian if j in as_number else DISTRIBUTIONS[layout.slots[j].kind]

    blocks, stop = [], 0
    by_feature = sorted(range(layout.n_columns), key=lambda j: layout.slots[j].start)
    for distribution, group in groupby(by_feature, key=distribution_of):
        columns = list(group)
        slots = [layout.slots[j] for j in columns]
        made = distribution.of(slots, min_log_variance)
        start, stop = stop, stop + made.n_parameters
        features = slice(slots[0].start, slots[-1].stop)
        blocks.append(Block(made, np.array(columns, np.int64), features, slice(start, stop)))
    return tuple(blocks)
