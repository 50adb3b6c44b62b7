"""Baselines and peers for series of sensors: closed forms that every tool must beat, and detectors from PyPI.

A baseline learns from training rows (n, d) and answers with a judge of other rows: errors (m - w + 1,) or
(m - w + 1, w) of the windows of w rows that follow each other, higher is more anomalous. A peer is a detector of a
package with its usual settings; it scores a test series (m,) and may look ahead. Both see readings that `scaled` made.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

WINDOW = 32  # rows
SMOOTHING = 32  # rows of the centred mean of scores that may look ahead
BANK = 4_000  # training windows that kNN compares with
MOST_WINDOWS = 12_000  # training windows of the other baselines
MOST_PROFILE_SENSORS = 19  # the multidimensional matrix profile costs the square of the rows for each
MOST_PROFILE_ROWS = 40_000
LIMIT = 10.0  # standard deviations

Mode = Literal["causal", "offline"]
Judge = Callable[[np.ndarray], np.ndarray]
Baseline = Callable[[np.ndarray, int], Judge]
Peer = Callable[[np.ndarray, np.ndarray], np.ndarray]


def scaled(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Readings in standard deviations of training (n, d) and (m, d), float32, between ±10, gaps filled forward.

    A sensor that does not move in training counts a change of 1 % of its level as one standard deviation.
    """
    median = train.median()
    a = train.ffill().fillna(median).fillna(0).to_numpy(np.float64)
    b = test[train.columns].ffill().fillna(median).fillna(0).to_numpy(np.float64)
    centre, spread = a.mean(axis=0), a.std(axis=0)
    level = np.maximum(np.abs(centre), 0.01)
    spread = np.where(spread < 1e-4 * level, np.maximum(0.01 * np.abs(centre), 0.01), spread)
    a, b = (np.clip((x - centre) / spread, -LIMIT, LIMIT).astype(np.float32) for x in (a, b))
    return a, b


def placed(errors: np.ndarray, n_rows: int, mode: Mode) -> np.ndarray:
    """Errors of windows as scores of rows (n_rows,).

    Causal: the mean of a window stands at its last row, and rows before the first whole window get its value. Offline:
    a row gets the mean over the windows that cover it, then a centred mean of 32 rows.
    """
    width = n_rows - errors.shape[0] + 1
    if mode == "causal":
        whole = errors if errors.ndim == 1 else errors.mean(axis=1)
        return np.concatenate([np.full(width - 1, whole[0]), whole])
    total, count = np.zeros(n_rows), np.zeros(n_rows)
    for row in range(width):
        total[row : row + errors.shape[0]] += errors if errors.ndim == 1 else errors[:, row]
        count[row : row + errors.shape[0]] += 1
    smooth = pd.Series(total / count).rolling(SMOOTHING, center=True, min_periods=1).mean()
    return smooth.to_numpy()


def windows(x: np.ndarray, width: int) -> np.ndarray:
    """Windows (m - width + 1, width * d) of rows (m, d); a copy."""
    seen = np.lib.stride_tricks.sliding_window_view(x, width, axis=0)
    return seen.transpose(0, 2, 1).reshape(seen.shape[0], -1)


def drawn(x: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many rows of x, in their order."""
    if len(x) <= most:
        return x
    return x[np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))]


def width_for(n_rows: int) -> int:
    """Rows of a window: 32, fewer where fewer than 256 rows train."""
    return max(4, min(WINDOW, n_rows // 8))


@dataclass(frozen=True, slots=True)
class InParts:
    """A judge of windows that sees a limited number of them at once, as all windows of a long series fill memory."""

    width: int
    judge: Judge
    at_once: int = 8_000

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Errors of the windows of x (m, d)."""
        n = len(x) - self.width + 1
        parts = [x[start : min(start + self.at_once, n) + self.width - 1] for start in range(0, n, self.at_once)]
        return np.concatenate([self.judge(windows(part, self.width)) for part in parts])


def windowed_pca(train: np.ndarray, seed: int) -> Judge:
    """Squared residual of the principal components that hold 95 % of the variance of the windows."""
    width, d = width_for(len(train)), train.shape[1]
    seen = drawn(windows(train, width), MOST_WINDOWS, seed)
    centre = seen.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov((seen - centre).T.astype(np.float64))))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(values) / values.sum(), 0.95) + 1)
    basis = vectors[:, : max(min(kept, values.size - 1), 1)].astype(np.float32)

    def judge(seen: np.ndarray) -> np.ndarray:
        residual = seen - centre
        residual = residual - (residual @ basis) @ basis.T
        return (residual**2).reshape(len(seen), width, d).mean(axis=2)

    return InParts(width, judge)


def knn(train: np.ndarray, seed: int) -> Judge:
    """Mean distance to the five nearest of at most 4,000 training windows."""
    from sklearn.neighbors import NearestNeighbors

    width = width_for(len(train))
    bank = drawn(windows(train, width), BANK, seed)
    nearest = NearestNeighbors(n_neighbors=min(5, len(bank)), algorithm="brute").fit(bank)
    return InParts(width, lambda seen: nearest.kneighbors(seen)[0].mean(axis=1))


def isolation_forest(train: np.ndarray, seed: int) -> Judge:
    """scikit-learn's isolation forest, 100 trees, on windows."""
    from sklearn.ensemble import IsolationForest

    width = width_for(len(train))
    forest = IsolationForest(random_state=seed).fit(drawn(windows(train, width), MOST_WINDOWS, seed))
    return InParts(width, lambda seen: -forest.score_samples(seen))


def hotelling(train: np.ndarray, seed: int) -> Judge:  # noqa: ARG001 - every baseline takes a seed
    """T²: the squared Mahalanobis distance of a row, with the covariance of Ledoit and Wolf."""
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(train)
    return lambda x: fitted.mahalanobis(x)


def moving_average(train: np.ndarray, seed: int) -> Judge:  # noqa: ARG001
    """Squared distance of a row from the mean of the 32 before it, each sensor in its own standard deviations."""

    def residual(x: np.ndarray) -> np.ndarray:
        table = pd.DataFrame(x)
        return (table - table.rolling(WINDOW, min_periods=1).mean().shift(1).bfill()).to_numpy()

    spread = residual(train).std(axis=0) + 1e-3
    return lambda x: ((residual(x) / spread) ** 2).mean(axis=1)


def window_statistics(train: np.ndarray, seed: int) -> Judge:
    """Squared Mahalanobis distance of seven statistics per moving sensor over 8 and 32 rows, one shrunk Gaussian."""
    from sklearn.covariance import LedoitWolf

    moving = train.std(axis=0) > 0
    if not moving.any():
        return lambda x: np.zeros(len(x))
    widths = (8, WINDOW) if len(train) >= 8 * WINDOW else (8,)
    seen = statistics(train[:, moving], widths)
    centre, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6

    def standardised(table: np.ndarray) -> np.ndarray:
        return np.clip((table - centre) / spread, -12, 12)

    fitted = LedoitWolf().fit(drawn(standardised(seen), MOST_WINDOWS, seed))
    return lambda x: fitted.mahalanobis(standardised(statistics(x[:, moving], widths)))


def statistics(x: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Statistics (m, 7 per sensor and width) of the rows that end at each row of x (m, d).

    Mean, log standard deviation, slope, minimum, maximum, von Neumann's ratio and log mean absolute step.
    """
    table = pd.DataFrame(x.astype(np.float64))
    step = table.diff().fillna(0)
    found: list[pd.DataFrame | np.ndarray] = []
    for width in widths:
        rolling = table.rolling(width, min_periods=1)
        mean, variance = rolling.mean(), rolling.var(ddof=0).fillna(0).clip(lower=0)
        squared_step = (step**2).rolling(width, min_periods=1).mean()
        found += [
            mean,
            np.log(np.sqrt(variance) + 0.03),
            table - table.shift(width - 1).bfill(),
            rolling.min(),
            rolling.max(),
            (1 - squared_step / (2 * variance + 0.02)).clip(-3, 1),
            np.log(step.abs().rolling(width, min_periods=1).mean() + 0.03),
        ]
    return np.concatenate([np.asarray(part) for part in found], axis=1)


BASELINES: dict[str, Baseline] = {
    "pca": windowed_pca,
    "knn": knn,
    "iforest": isolation_forest,
    "t2": hotelling,
    "moving": moving_average,
    "statistics": window_statistics,
}


def matrix_profile(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """stumpy's mSTUMP: distance of each window to its nearest in training and test together, mean over the sensors."""
    import stumpy

    width = width_for(len(train))
    both = np.concatenate([train, test]).astype(np.float64).T
    if both.shape[0] == 1:
        profile = np.asarray(stumpy.stump(both[0], width)[:, 0], np.float64)
    else:
        profile = stumpy.mstump(both, width, discords=True)[0][-1]
    finite = np.where(np.isfinite(profile), profile, 0.0)
    return placed(finite, both.shape[1], "offline")[len(train) :]


def aeon_kmeans(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """aeon's KMeansAD: distance of a window to the nearest of 20 centres, mean over the windows that cover a row."""
    from aeon.anomaly_detection.series.distance_based import KMeansAD

    width = width_for(len(train))
    found = KMeansAD(window_size=width, random_state=0).fit(train.astype(np.float64), axis=0)
    return np.asarray(found.predict(test.astype(np.float64), axis=0))


def dtai_autoencoder(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """dtaianomaly's AutoEncoder: reconstruction error of windows, mean over the windows that cover a row."""
    from dtaianomaly.anomaly_detection import AutoEncoder

    found = AutoEncoder(window_size=width_for(len(train)), seed=0).fit(train.astype(np.float64))
    return np.asarray(found.decision_function(test.astype(np.float64)))


PEERS: dict[str, tuple[str, Peer]] = {  # name: (package, detector)
    "mstump": ("stumpy", matrix_profile),
    "aeon_kmeans": ("aeon", aeon_kmeans),
    "dtai_autoencoder": ("dtaianomaly", dtai_autoencoder),
}


def available() -> dict[str, Peer]:
    """The peers whose package is installed."""
    return {name: peer for name, (package, peer) in PEERS.items() if importlib.util.find_spec(package)}


def can_run(name: str, train: np.ndarray, test: np.ndarray) -> bool:
    """Whether a peer is asked for so many sensors and rows."""
    return name != "mstump" or (train.shape[1] <= MOST_PROFILE_SENSORS and len(train) + len(test) <= MOST_PROFILE_ROWS)


NAMES: dict[str, str] = {
    "vaecli": "vaecli",
    "pca": "windowed PCA, 32 rows",
    "knn": "kNN on windows",
    "iforest": "isolation forest on windows",
    "t2": "Hotelling T² on rows",
    "moving": "moving-average residual",
    "statistics": "window statistics, one Gaussian",
    "mstump": "mSTUMP (stumpy)",
    "aeon_kmeans": "KMeansAD (aeon)",
    "dtai_autoencoder": "AutoEncoder (dtaianomaly)",
}
