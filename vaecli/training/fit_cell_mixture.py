"""Fits the mixture of Gaussians that judges single cells: k-means, then expectation maximisation.

Each covariance is shrunk towards the pooled one, as if d more rows had been seen, and gets a ridge. The number of
components and the ridge are those with the least nats of held-out cells.

Shapes: n rows, c columns, d features, K components.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.data.kinds import KINDS
from vaecli.data.training_rows import Rows
from vaecli.model.cell_mixture import LOG_2PI, CellMixture
from vaecli.schema import Layout

NUMBERS_OF_COMPONENTS = (1, 2, 4, 8, 16)
RIDGES = (1e-3, 1e-2, 1e-1)  # on features of standard deviation 1
RIDGE_OF_STEPS = 1e-2  # while the components are fitted
ROWS_PER_COMPONENT = 20
N_STEPS = 10  # of expectation maximisation
MOST_ROWS = 10_000  # that a mixture is fitted to: its cost grows with them, its quality hardly
MOST_ROWS_OF_CHOICE = 6_000
LARGEST_OF_MEANS = 6.0  # standard deviations, beyond which a feature counts as that for k-means
EXTREME = 0.999  # quantile of each column beyond which its nats count as that when mixtures are compared


@dataclass(frozen=True, slots=True)
class Choice:
    """The number of components and the ridge of a mixture, and how the features (d,) are standardised for it."""

    n_components: int
    ridge: float
    center: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, slots=True)
class _Components:
    """Log weights (K,), means (K, d) and covariances (K, d, d) without a ridge, float64."""

    log_weight: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def log_joint(self, z: np.ndarray) -> np.ndarray:
        """The log density of the rows z (n, d) with each component (n, K), with the ridge of the steps."""
        log_joint = np.empty((len(z), len(self.mean)))
        for k, covariance in enumerate(self.covariance):
            root = np.linalg.cholesky(covariance + RIDGE_OF_STEPS * np.eye(z.shape[1]))
            white = (z - self.mean[k]) @ np.linalg.inv(root).T
            constant = self.log_weight[k] - np.log(np.diag(root)).sum() - 0.5 * z.shape[1] * LOG_2PI
            log_joint[:, k] = constant - 0.5 * np.einsum("nd,nd->n", white, white)
        return log_joint


def choose_mixture(layout: Layout, rows: Rows, seed: int) -> Choice:
    """What suits the `rows` with their folds best: fitted to the other folds, judged on the first.

    Held-out cells are judged by their mean −log p given the other cells, each column cut at its 99.9 % quantile, so
    that a few wild readings do not decide.
    """
    values = rows.values.astype(np.float64)
    center, spread = values.mean(0), values.std(0)
    ordered = np.array([KINDS[slot.kind].is_ordered for slot in layout.slots])[list(layout.column_of_feature)]
    # of a 0/1 feature that was never or always 1 a deviation of half a row; of a number that never moved one of 1
    floor = np.where(ordered, 1e-6, np.sqrt(0.5 / len(values)))
    spread = np.where(spread > floor, spread, np.where(ordered, 1.0, floor))
    plain = Choice(1, RIDGE_OF_STEPS, center.astype(np.float32), spread.astype(np.float32))

    rng, first = np.random.default_rng([seed, 0xCE11]), rows.fold == rows.fold.min()
    learned = rows.take(_some(np.flatnonzero(~first), MOST_ROWS_OF_CHOICE, rng))
    judged = rows.take(_some(np.flatnonzero(first), MOST_ROWS_OF_CHOICE // 3, rng))
    z = _standardised(layout, plain, learned)
    best, least = plain, np.inf
    for n_components in NUMBERS_OF_COMPONENTS:
        if n_components > 1 and len(z) < ROWS_PER_COMPONENT * n_components:
            break
        components = _fitted(z, n_components, seed)
        for ridge in RIDGES:
            choice = Choice(n_components, ridge, plain.center, plain.spread)
            nats = _mixture(layout, choice, components).nats(judged.values, judged.state)
            cost = float(np.minimum(nats, np.quantile(nats, EXTREME, axis=0)).mean())
            if cost < least:
                best, least = choice, cost
    return best


def fit_mixtures(layout: Layout, rows: Rows, choice: Choice, seed: int) -> tuple[CellMixture, dict[int, CellMixture]]:
    """The mixture of `choice` for the `rows`, or for a sample of 10,000 of them, and one without each fold.

    The latter start from the components of the former, so that they find the same ones: mixtures that differ in more
    than the rows they have seen would not stand for it when it is calibrated.
    """
    kept = rows.take(_some(np.arange(len(rows.fold)), MOST_ROWS, np.random.default_rng([seed, 0xCE11])))
    z = _standardised(layout, choice, kept)
    components = _fitted(z, choice.n_components, seed)
    log_joint = components.log_joint(z)
    share = np.exp(log_joint - log_joint.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    without = {}
    for fold in np.unique(rows.fold):
        others = kept.fold != fold
        without[int(fold)] = _mixture(layout, choice, _improved(z[others], _of_shares(z[others], share[others])))
    return _mixture(layout, choice, components), without


def _some(number: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The row numbers (k,), or a uniform sample of `most` of them, ascending."""
    return number if number.size <= most else np.sort(rng.choice(number, most, replace=False))


def _standardised(layout: Layout, choice: Choice, rows: Rows) -> np.ndarray:
    d = layout.n_features
    plain = CellMixture(
        layout,
        choice.center,
        choice.spread,
        np.zeros(1),
        np.zeros((1, d), np.float32),
        np.eye(d, dtype=np.float32)[None],
    )
    return plain.standardised(rows.values, rows.state).astype(np.float64)


def _mixture(layout: Layout, choice: Choice, components: _Components) -> CellMixture:
    precision = np.linalg.inv(components.covariance + choice.ridge * np.eye(layout.n_features))
    precision = 0.5 * (precision + precision.transpose(0, 2, 1))
    parts = (components.log_weight, components.mean, precision)
    return CellMixture(layout, choice.center, choice.spread, *(part.astype(np.float32) for part in parts))


def _fitted(z: np.ndarray, n_components: int, seed: int) -> _Components:
    """The components fitted to the rows z (n, d)."""
    return _improved(z, _of_shares(z, _first_shares(z, n_components, seed)))


def _improved(z: np.ndarray, components: _Components) -> _Components:
    """The components after some steps of expectation maximisation on the rows z (n, d)."""
    for _ in range(N_STEPS if len(components.mean) > 1 else 0):
        log_joint = components.log_joint(z)
        share = np.exp(log_joint - log_joint.max(1, keepdims=True))
        components = _of_shares(z, share / share.sum(1, keepdims=True))
    return components


def _of_shares(z: np.ndarray, share: np.ndarray) -> _Components:
    """The components of the rows z (n, d), each belonging to component k by `share` (n, K)."""
    (n, d), size = z.shape, share.sum(0) + 1e-9
    mean = (share.T @ z) / size[:, None]
    scatter = np.empty((size.size, d, d))
    for k in range(size.size):
        centred = z - mean[k]
        scatter[k] = (centred * share[:, k, None]).T @ centred
    covariance = (scatter + d * scatter.sum(0) / n) / (size + d)[:, None, None]
    return _Components(np.log(size / n), mean, covariance)


def _first_shares(z: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """How much of each row z (n, d) belongs to each component at first (n, K)."""
    if n_components == 1:
        return np.ones((len(z), 1))
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    near = np.clip(z, -LARGEST_OF_MEANS, LARGEST_OF_MEANS).astype(np.float32)
    # sums of several threads depend on their number; a limit of OpenMP holds only in the thread that sets it
    with threadpool_limits(1, "openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than components: some stay empty
        label = KMeans(n_components, n_init=1, max_iter=15, random_state=seed % 2**32).fit_predict(near)
    share = np.full((len(z), n_components), 1e-3 / n_components)
    share[np.arange(len(z)), label] += 1.0
    return np.asarray(share / share.sum(1, keepdims=True))
