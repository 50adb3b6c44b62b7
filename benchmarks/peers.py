"""The detectors a user would pick instead of vaecli, each with its usual settings.

A peer is a function `(train, test, seed) -> Answer`. `train` (n, d) holds normal rows only, `test` (m, d)
rows to score; both are plain float arrays without missing cells, the numbers standardised on the training rows
(`standardised` makes them from numbers, `encode` from a table). Scores are (m,), higher is more anomalous.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

MAX_SVM_ROWS = 5_000  # a one-class SVM costs the square of its training rows


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores of the test rows, (m,), higher is more anomalous, and what they cost."""

    scores: np.ndarray
    fit_seconds: float
    score_seconds: float


Peer = Callable[[np.ndarray, np.ndarray, int], Answer]


def available() -> dict[str, Peer]:
    """Every peer that can run here; the PyOD ones only where pyod is installed."""
    peers: dict[str, Peer] = {
        "knn5": knn(5),
        "knn5_far": knn(5, farthest=True),
        "knn1": knn(1),
        "lof": lof,
        "iforest": iforest,
        "ocsvm": ocsvm,
    }
    if importlib.util.find_spec("pyod"):
        peers["ecod"] = pyod("ecod", "ECOD")
        peers["pyod_vae"] = pyod("vae", "VAE")
        peers["pyod_ae"] = pyod("auto_encoder", "AutoEncoder")
    return peers


DETERMINISTIC = ("knn5", "knn5_far", "knn1", "lof", "ecod")  # one seed suffices

NAMES = {
    "vaecli": "vaecli",
    "knn5": "kNN, k = 5",
    "knn5_far": "kNN, 5th distance",
    "knn1": "kNN, k = 1",
    "lof": "LOF, k = 20",
    "iforest": "isolation forest",
    "ocsvm": "one-class SVM",
    "ecod": "ECOD (PyOD)",
    "pyod_vae": "PyOD VAE",
    "pyod_ae": "PyOD AutoEncoder",
}


def knn(k: int, *, farthest: bool = False) -> Peer:
    """Mean Euclidean distance to the k nearest training rows, or the distance to the farthest of them.

    The mean is the stronger one; the farthest is the default of PyOD's KNN.
    """

    def peer(train: np.ndarray, test: np.ndarray, seed: int) -> Answer:  # noqa: ARG001 - every peer takes a seed
        from sklearn.neighbors import NearestNeighbors

        summary = np.max if farthest else np.mean
        return _timed(
            lambda: NearestNeighbors(n_neighbors=min(k, len(train))).fit(train),
            lambda model: summary(model.kneighbors(test)[0], axis=1),
        )

    return peer


def lof(train: np.ndarray, test: np.ndarray, seed: int) -> Answer:  # noqa: ARG001 - every peer takes a seed
    """Local outlier factor (Breunig et al. 2000) as a novelty detector, 20 neighbours."""
    from sklearn.neighbors import LocalOutlierFactor

    neighbours = min(20, len(train) - 1)
    return _timed(
        lambda: LocalOutlierFactor(n_neighbors=neighbours, novelty=True).fit(train),
        lambda model: -model.score_samples(test),
    )


def iforest(train: np.ndarray, test: np.ndarray, seed: int) -> Answer:
    """Isolation forest (Liu et al. 2008), 100 trees."""
    from sklearn.ensemble import IsolationForest

    return _timed(
        lambda: IsolationForest(random_state=seed).fit(train),
        lambda model: -model.score_samples(test),
    )


def ocsvm(train: np.ndarray, test: np.ndarray, seed: int) -> Answer:
    """One-class SVM with an RBF kernel, nu = 0.5, on at most 5,000 training rows drawn with the seed."""
    from sklearn.svm import OneClassSVM

    if len(train) > MAX_SVM_ROWS:
        train = train[np.random.default_rng(seed).choice(len(train), MAX_SVM_ROWS, replace=False)]
    return _timed(
        lambda: OneClassSVM(gamma="scale").fit(train),
        lambda model: -model.score_samples(test),
    )


def pyod(module: str, name: str) -> Peer:
    """A PyOD detector with its own defaults."""

    def peer(train: np.ndarray, test: np.ndarray, seed: int) -> Answer:
        detector = _pyod_class(module, name)
        _seed_everything(seed)
        arguments: dict[str, Any] = {} if module == "ecod" else {"random_state": seed, "verbose": 0}
        return _timed(
            lambda: detector(**arguments).fit(train),
            lambda model: model.decision_function(test),
        )

    return peer


def _pyod_class(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"pyod.models.{module}"), name)


def _seed_everything(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)  # PyOD draws from the global generator


def _timed(fit: Callable[[], Any], score: Callable[[Any], np.ndarray]) -> Answer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        model = fit()
        fitted = time.perf_counter()
        scores = np.asarray(score(model), dtype=np.float64).ravel()
        done = time.perf_counter()
    return Answer(_finite(scores), fitted - start, done - fitted)


def _finite(scores: np.ndarray) -> np.ndarray:
    """The same ranking where a peer overflowed: such a row scores as high as the most anomalous finite one."""
    # PyOD's VAE works in float32 and returns infinities for rows far outside the training range
    return np.nan_to_num(scores, nan=np.inf, posinf=np.inf).clip(max=scores[np.isfinite(scores)].max())


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean 0 and standard deviation 1 on the training rows; a constant column keeps its scale."""
    centre, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return (train - centre) / scale, (test - centre) / scale


def encode(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """A table with categories and missing cells as the numbers that the peers need.

    Numbers are standardised; a missing one becomes the training median, with one more column that says so
    when training or test have any. Categories become one column of zeros and ones for each value seen in training (a
    new value is all zeros, an empty cell is a value of its own), left unscaled: standardised, rare values rule the
    distances, which costs kNN 0.011 and LOF 0.036 AUROC on nslkdd (and gives the one-class SVM 0.031).
    """
    parts = [_encoded_column(train[name], test[name]) for name in train.columns]
    return tuple(np.column_stack([part[side] for part in parts]) for side in (0, 1))  # type: ignore[return-value]


def _encoded_column(train: pd.Series, test: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    if not pd.api.types.is_numeric_dtype(train):
        values = train.astype(object).where(train.notna(), "")
        known = sorted(values.unique())
        other = test.astype(object).where(test.notna(), "")
        return _one_hot(values, known), _one_hot(other, known)
    middle = train.median()
    filled = standardised(*(side.fillna(middle).to_numpy(np.float64)[:, None] for side in (train, test)))
    if train.notna().all() and test.notna().all():
        return filled
    gaps = [side.isna().to_numpy(np.float64)[:, None] for side in (train, test)]
    return np.hstack([filled[0], gaps[0]]), np.hstack([filled[1], gaps[1]])


def _one_hot(values: pd.Series, known: list[Any]) -> np.ndarray:
    return (values.to_numpy()[:, None] == np.array(known, dtype=object)[None, :]).astype(np.float64)
