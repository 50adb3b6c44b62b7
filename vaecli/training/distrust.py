"""Finds the training rows that look least normal: they are distrusted, and stand for nothing in the exemplar prior.

A row is as normal as the nearest exemplar is near. One anomaly among the exemplars hides all that resemble it, while
the networks, which average over rows, hardly notice a few. An isolation forest (Liu, Ting & Zhou 2008) finds them
before anything is learned: each of its trees sees 256 rows, among which a few anomalies have little company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.data.training_rows import Rows

N_TREES = 200
BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Judge:
    """A fitted isolation forest, and the isolation beyond which a row is distrusted."""

    forest: Any
    limit: float

    def isolation(self, values: np.ndarray) -> np.ndarray:
        """How isolated the rows with features (n, d) are: (n,) in (0, 1), higher is more anomalous."""
        parts = [values[start : start + BLOCK_ROWS] for start in range(0, len(values), BLOCK_ROWS)]
        with threadpool_limits(1):
            return np.concatenate([np.empty(0), *(-self.forest.score_samples(part) for part in parts)])


@dataclass(frozen=True, slots=True)
class Distrust:
    """Which of the rows that calibrate are distrusted, (n,) bool, and the judge of others."""

    judge: Judge
    distrusted: np.ndarray

    @classmethod
    def of(cls, rows: Rows, share: float, trusted: np.ndarray, seed: int) -> Distrust:
        """The most isolated of `rows`, a `share` of them; those `trusted` (n,) bool by a person are left out.

        Of rows that are equally isolated all or none are distrusted, as one that is left would hide the others: all as
        long as twice the share suffices.
        """
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(n_estimators=N_TREES, random_state=seed % 2**32).fit(rows.values)
        isolation = Judge(forest, 1.0).isolation(rows.values)
        n_most = int(share * isolation.size)
        limit = float(np.sort(isolation)[-n_most]) if n_most else np.inf
        if (isolation >= limit).sum() <= 2 * n_most:
            limit = float(np.nextafter(limit, 0))
        return cls(Judge(forest, limit), (isolation > limit) & ~trusted)
