"""Volumes under the ROC and the precision-recall surface: how well scores rank the rows of labelled events.

The label of an event rarely begins and ends with the row where the fault does. So each event gets a buffer of up to
ℓ/2 rows on either side, in which a high score counts in part: y = √(1 − d/ℓ) at d rows from the event, and 1 where the
buffers of two events meet. With pred the rows that score at least a threshold, P labelled rows of n, and B = Σ y·pred
over buffers:

    TP = Σ label·pred + B       P_ℓ = P + B/2        existence = share of the buffered events with a row of pred
    TPR = min(TP/P_ℓ, 1) · existence       FPR = (Σ pred − TP) / (n − P_ℓ)       precision = TP / Σ pred

AUC-ROC and AUC-PR are taken over 250 thresholds at evenly spaced ranks of the scores, VUS is their mean over
ℓ = 0 … 100 (Paparrizos et al., Volume under the surface, PVLDB 15(11), 2022; the figures equal those of TSB-AD 1.5).
Random scores reach 0.5 to 0.95 in VUS-ROC, more where events are short, so a volume means something only beside that of
random scores on the same labels. Events and buffers end with their series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.evaluation.runs import Runs

LONGEST_BUFFER = 100
N_THRESHOLDS = 250
N_DRAWS = 5  # of random scores; their mean varies by about a hundredth


@dataclass(frozen=True, slots=True)
class Volumes:
    """VUS-ROC and VUS-PR; NaN where a class is missing."""

    roc: float
    pr: float


def volumes(is_anomaly: np.ndarray, score: np.ndarray, series: np.ndarray) -> Volumes:
    """The volumes of `score` (n,), higher is more anomalous, against `is_anomaly` (n,) bool.

    Rows are in the order of time within a series; `series` (n,) has equal codes for the rows of one, side by side.
    """
    n_anomalies = int(is_anomaly.sum())
    if not 0 < n_anomalies < is_anomaly.size:
        return Volumes(np.nan, np.nan)
    step = _step_of_prediction(score)
    events = Runs.of(is_anomaly, series)
    first_row, end_row = _bounds(series, events)
    near = _Buffers.of(is_anomaly, events, first_row, end_row)
    n_predicted = _cumulative(step)
    hits = _cumulative(step[is_anomaly])
    in_turn = np.stack([events.first, events.last + 1], axis=1).ravel()  # events and what is between them
    earliest = np.minimum.reduceat(np.append(step, N_THRESHOLDS), in_turn)[::2]  # first threshold that finds each event
    areas = []
    for length in range(LONGEST_BUFFER + 1):
        half = length // 2
        if length and length % 2 == 0:  # the buffers grew by a row on either side
            for row in (events.first - half, events.last + half):
                inside = (row >= first_row) & (row < end_row)
                earliest = np.where(inside, np.minimum(earliest, step[np.where(inside, row, 0)]), earliest)
        rows, weight = near.weights(length)
        partly = _cumulative(step[rows], weight)
        found = _found(earliest, events, series, half)
        areas.append(_areas(n_predicted, hits + partly, n_anomalies + partly / 2, found, is_anomaly.size))
    roc, pr = np.mean(areas, axis=0)
    return Volumes(float(roc), float(pr))


def random_volumes(is_anomaly: np.ndarray, series: np.ndarray, seed: int) -> Volumes:
    """The volumes of noise against `is_anomaly` (n,) bool, rows as in `volumes`: the mean over N_DRAWS draws."""
    rng = np.random.default_rng([seed, 0x5EED])
    drawn = [volumes(is_anomaly, rng.random(is_anomaly.size), series) for _ in range(N_DRAWS)]
    return Volumes(*(float(np.mean([getattr(one, name) for one in drawn])) for name in Volumes.__slots__))


@dataclass(frozen=True, slots=True)
class _Buffers:
    """The rows outside events that the longest buffers reach, with how far the nearest two events are."""

    row: np.ndarray  # (m,)
    nearest: np.ndarray  # (m,) rows
    second: np.ndarray  # (m,) rows; beyond any buffer where one event alone is near

    @classmethod
    def of(cls, is_anomaly: np.ndarray, events: Runs, first_row: np.ndarray, end_row: np.ndarray) -> _Buffers:
        half = LONGEST_BUFFER // 2
        nearest, second = (np.full(is_anomaly.size, half + 1, np.int64) for _ in range(2))
        for distance in range(1, half + 1):  # ascending: a row that has its nearest event keeps it
            for row in (events.first - distance, events.last + distance):
                reached = row[(row >= first_row) & (row < end_row)]
                again = reached[nearest[reached] <= half]
                second[again] = np.minimum(second[again], distance)
                nearest[reached] = np.minimum(nearest[reached], distance)
        row = np.flatnonzero((nearest <= half) & ~is_anomaly)
        return cls(row, nearest[row], second[row])

    def weights(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows within buffers of that length, and how much of an anomaly each of them is."""
        reached = self.nearest <= length // 2
        one = np.sqrt(1 - self.nearest[reached] / max(length, 1))
        return self.row[reached], np.where(self.second[reached] <= length // 2, 1.0, one)


def _step_of_prediction(score: np.ndarray) -> np.ndarray:
    """Which of the descending thresholds is the first that each row reaches, (n,)."""
    descending = -np.sort(-score)
    thresholds = descending[np.linspace(0, score.size - 1, N_THRESHOLDS).astype(np.int64)]
    return np.searchsorted(-thresholds, -score, side="left")


def _cumulative(step: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """The number, or weight, of rows that are predicted at each threshold, (N_THRESHOLDS,)."""
    return np.cumsum(np.bincount(step, weights=weight, minlength=N_THRESHOLDS), dtype=np.float64)


def _bounds(series: np.ndarray, events: Runs) -> tuple[np.ndarray, np.ndarray]:
    """The first row of the series of each event, and the row after its last, (k,) each."""
    starts = np.append(0, np.flatnonzero(np.diff(series)) + 1)
    ends = np.append(starts[1:], series.size)
    which = np.searchsorted(starts, events.first, side="right") - 1
    return starts[which], ends[which]


def _found(earliest: np.ndarray, events: Runs, series: np.ndarray, half: int) -> np.ndarray:
    """The share of events with buffers, those that overlap taken as one, with a predicted row, (N_THRESHOLDS,)."""
    apart = events.first[1:] - half > events.last[:-1] + half
    apart |= series[events.first[1:]] != series[events.last[:-1]]
    of_merged = np.minimum.reduceat(earliest, np.append(0, np.flatnonzero(apart) + 1))
    return _cumulative(of_merged) / of_merged.size


def _areas(
    predicted: np.ndarray, true: np.ndarray, positive: np.ndarray, found: np.ndarray, n: int
) -> tuple[float, float]:
    """AUC-ROC by trapezoids and AUC-PR by steps, from values at each threshold."""
    recall = np.concatenate([[0.0], np.minimum(true / positive, 1) * found, [1.0]])
    false = np.concatenate([[0.0], (predicted - true) / (n - positive), [1.0]])
    roc = np.diff(false) @ (recall[1:] + recall[:-1]) / 2
    return float(roc), float(np.diff(recall[:-1]) @ (true / predicted))
