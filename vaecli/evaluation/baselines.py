"""Simple detectors to measure against: fitted on the features of normal rows, higher scores are more anomalous.

They see what the networks see (`FeatureBatch.values`), so a difference is one of method and not of preparation. None of
them is part of a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

MOST_ROWS = 20_000  # to fit on; all distances to more would take minutes
N_NEIGHBOURS = 5

Scorer = Callable[[np.ndarray], np.ndarray]  # features (n, d) → scores (n,); a value that can be pickled


def fitted(values: np.ndarray, seed: int) -> Mapping[str, Scorer]:
    """Every baseline by name, fitted on `values` (m, d) by scikit-learn; higher scores are more anomalous."""
    return {"isolation forest": isolation_forest(values, seed), "ECOD": ecod(values), "kNN": nearest(values)}


def isolation_forest(values: np.ndarray, seed: int) -> Scorer:
    """How few random cuts isolate a row, in [0, 1], by 100 trees on `values` (m, d): Liu, Ting & Zhou 2008."""
    from sklearn.ensemble import IsolationForest

    return partial(_forest_scores, IsolationForest(random_state=seed % 2**32).fit(values))


def _forest_scores(forest: Any, new: np.ndarray) -> np.ndarray:
    return -forest.score_samples(new)


def nearest(values: np.ndarray) -> Scorer:
    """The mean distance to the five nearest of the rows `values` (m, d) (Ramaswamy, Rastogi & Shim 2000)."""
    from sklearn.neighbors import NearestNeighbors

    return partial(_mean_distances, NearestNeighbors(n_neighbors=min(N_NEIGHBOURS, len(values))).fit(values))


def _mean_distances(index: Any, new: np.ndarray) -> np.ndarray:
    return index.kneighbors(new)[0].mean(1)


def ecod(values: np.ndarray) -> Scorer:
    """How far out in a tail each feature is, in nats: Σ_j max(−log F_j(x_j), −log G_j(x_j)), ECOD (Li et al. 2022).

    F_j(x) is the share of rows of `values` (m, d) with a feature of at most x, G_j(x) that of at least x, the row
    itself among them. In the paper the maximum is over the sums Σ_j −log F_j, Σ_j −log G_j and Σ_j of the tail on the
    side of the skewness; in PyOD, by the paper's authors, it is within each feature. This is PyOD's, which published
    comparisons used.
    """
    return partial(_tail_scores, np.sort(values, axis=0))


def _tail_scores(columns: np.ndarray, new: np.ndarray) -> np.ndarray:
    total, m = np.zeros(len(new)), len(columns)
    for j in range(columns.shape[1]):
        at_most = np.searchsorted(columns[:, j], new[:, j], side="right")
        at_least = m - np.searchsorted(columns[:, j], new[:, j], side="left")
        total += np.log((m + 1) / (1 + np.minimum(at_most, at_least)))
    return total
