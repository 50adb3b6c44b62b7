"""Scores that look ahead: each read-out averaged over the windows that hold the row."""

from __future__ import annotations

import numpy as np

from vaecli.model.window_model import WindowShape
from vaecli.scoring.window_scores import JOINT, RESIDUAL, WORST

SMOOTHED_ROWS = 16  # shorter windows are smoothed to about so many rows


def looking_ahead(surprisals: np.ndarray, shape: WindowShape) -> np.ndarray:
    """Surprisals (6, m) of one stretch, in the order of time, with knowledge of what follows.

    A window's surprisal stands at its last row; a row gets the mean over the windows that hold it, and for short ones
    the mean over SMOOTHED_ROWS rows around it.
    """
    span = {JOINT: shape.statistics_span, WORST: shape.statistics_span, RESIDUAL: shape.window}
    out = np.empty_like(surprisals)
    for j, row in enumerate(surprisals):
        n = span.get(j, shape.window if j > RESIDUAL + 1 else 1)
        out[j] = _centred(_forward(row.astype(np.float64), n), max(1, SMOOTHED_ROWS - n))
    return out


def _forward(row: np.ndarray, n: int) -> np.ndarray:
    """The mean of each value and the n-1 after it, of fewer at the end."""
    total = np.concatenate([[0.0], np.cumsum(row)])
    first = np.arange(row.size)
    last = np.minimum(first + n, row.size)
    return (total[last] - total[first]) / (last - first)


def _centred(row: np.ndarray, n: int) -> np.ndarray:
    """The mean of n values around each, of fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(row)])
    middle = np.arange(row.size)
    first, last = np.maximum(middle - n // 2, 0), np.minimum(middle - n // 2 + n, row.size)
    return (total[last] - total[first]) / (last - first)
