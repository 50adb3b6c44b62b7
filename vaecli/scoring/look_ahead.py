"""Scores that look ahead: each read-out averaged over the windows that hold the row."""

from __future__ import annotations

import numpy as np

from vaecli.model.window_model import WindowShape
from vaecli.scoring.window_scores import span_of


def looking_ahead(surprisals: np.ndarray, shape: WindowShape) -> np.ndarray:
    """Surprisals (7 or 8, m) of one stretch, in the order of time, with knowledge of what follows.

    A window's surprisal stands at its last row; here a row gets the mean over the windows that hold it.
    """
    return np.stack([_forward(row.astype(np.float64), span_of(j, shape)) for j, row in enumerate(surprisals)])


def _forward(row: np.ndarray, n: int) -> np.ndarray:
    """The mean of each value and the n-1 after it, of fewer at the end; NaN values are left out."""
    there = ~np.isnan(row)
    total = np.concatenate([[0.0], np.cumsum(np.where(there, row, 0))])
    count = np.concatenate([[0], np.cumsum(there)])
    first = np.arange(row.size)
    last = np.minimum(first + n, row.size)
    n_there = count[last] - count[first]
    return np.where(there, (total[last] - total[first]) / np.maximum(n_there, 1), np.nan)
