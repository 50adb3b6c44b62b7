"""How good scores are against labels: six figures, and how far each might be off by chance.

With P anomalies and N normal rows, TP and FP of them flagged, and s the scores:

| figure              | definition                                                              | reference            |
|---------------------|-------------------------------------------------------------------------|----------------------|
| `auroc`             | P(s_anomaly > s_normal) + ½ P(s_anomaly = s_normal)                     | Hanley & McNeil 1982 |
| `average_precision` | Σ_k (R_k − R_{k−1}) · precision_k over the distinct scores, descending  | scikit-learn's       |
| `precision`         | TP / (TP + FP)                                                          |                      |
| `recall`            | TP / P                                                                  |                      |
| `f1`                | 2 TP / (P + TP + FP)                                                    |                      |
| `false_alarm_rate`  | FP / N                                                                  |                      |

A figure whose denominator is 0 is undefined: NaN. Intervals are those of `intervals`; they take the share of anomalies
as that of the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.evaluation.intervals import (
    auroc_interval,
    average_precision_interval,
    clopper_pearson,
    difference_interval,
    f1_interval,
)

RANKED = ("auroc", "average_precision")  # what a score is worth by itself
METRICS = (*RANKED, "precision", "recall", "f1", "false_alarm_rate")
CURVE_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between the figures of two methods on the same rows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of n rows, and their scores by each method. A row without a score has −∞: it is looked at last."""

    is_anomaly: np.ndarray  # (n,) bool
    flagged: np.ndarray  # (n,) bool, by the first method at its threshold
    scores: Mapping[str, np.ndarray]  # by method, (n,), higher is more anomalous

    def where(self, rows: np.ndarray) -> Labelled:
        """The labels and scores of the chosen `rows` (m,), indices or (n,) bool."""
        scores = {method: score[rows] for method, score in self.scores.items()}
        return Labelled(self.is_anomaly[rows], self.flagged[rows], scores)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The figures of each method, and the areas of which differences are made."""

    figures: Mapping[str, Mapping[str, Estimate]]
    areas: Mapping[str, Mapping[str, Area]]

    def difference(self, metric: str, one: str, other: str) -> Difference:
        """The metric of method `one` minus that of `other`, with its interval."""
        first, second = self.figures[one][metric], self.figures[other][metric]
        correlation = self.areas[one][metric].correlation(self.areas[other][metric])
        ends = difference_interval(
            (first.value, first.low, first.high), (second.value, second.low, second.high), correlation
        )
        return Difference(first.value - second.value, *ends)


def evaluate(rows: Labelled) -> Evaluated:
    """All figures of the first method, the ranked ones of the others, with their intervals."""
    n_anomalies, n_normals = int(rows.is_anomaly.sum()), int((~rows.is_anomaly).sum())
    n_hits, n_flagged = int((rows.flagged & rows.is_anomaly).sum()), int(rows.flagged.sum())
    areas = {
        method: dict(zip(RANKED, Ranks.of(score[rows.is_anomaly], score[~rows.is_anomaly]).areas(), strict=True))
        for method, score in rows.scores.items()
    }
    figures = {method: _ranked(**of_method, n_anomalies=n_anomalies) for method, of_method in areas.items()}
    figures[next(iter(figures))] |= _decisions(n_hits, n_flagged - n_hits, n_anomalies, n_normals)
    return Evaluated(figures, areas)


@dataclass(frozen=True, slots=True)
class Area:
    """An area under a curve, and what a row in each place of `ranks` contributes to it, up to a constant.

    For AUROC these are the placement values of DeLong et al. (1988), for average precision its influence function.
    """

    value: float
    ranks: Ranks
    of_anomaly: np.ndarray  # (p,)
    of_normal: np.ndarray  # (2p + 1,)

    @property
    def variance(self) -> float:
        """The variance by DeLong's estimate; NaN if a class has fewer than two rows."""
        return self.covariance(self)

    def covariance(self, other: Area) -> float:
        """The covariance of two areas on the same rows; NaN if a class has fewer than two."""
        ours, theirs = self.ranks, other.ranks
        anomalies = _covariance(self.of_anomaly[ours.anomaly], other.of_anomaly[theirs.anomaly])
        return anomalies + _covariance(self.of_normal[ours.normal], other.of_normal[theirs.normal])

    def correlation(self, other: Area) -> float:
        """The correlation of two areas on the same rows, in [0, 1]; 0 if it is unknown or negative.

        Drawn towards 0 by (n − 1) / (n + 1) for n anomalies: a correlation of three rows is often near 1 by chance.
        """
        both = math.sqrt(self.variance * other.variance)
        if not both > 0:
            return 0.0
        n = self.ranks.anomaly.size
        return min(max(self.covariance(other) / both, 0.0), 1.0) * (n - 1) / (n + 1)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where each row stands among the p distinct scores of the anomalies, highest first.

    More is not needed: of the normal rows it only matters how many stand above, and how many beside, an anomaly.
    """

    anomaly: np.ndarray  # (P,) 0 … p − 1
    normal: np.ndarray  # (N,) 2k + 1 beside the k-th, 2k between the (k−1)-th and the k-th, 2p below all
    n_distinct: int

    @classmethod
    def of(cls, anomaly_scores: np.ndarray, normal_scores: np.ndarray) -> Ranks:
        """The ranks by the scores (a,) of anomalies and (n,) of normal rows; higher scores are more anomalous."""
        distinct, anomaly = np.unique(anomaly_scores, return_inverse=True)
        p = distinct.size
        below = np.searchsorted(distinct, normal_scores, side="left")  # distinct scores strictly below
        below_or_beside = np.searchsorted(distinct, normal_scores, side="right")
        normal = 2 * (p - below_or_beside) + (below_or_beside - below)
        # beside the score of ascending index i = below, which is the (p − 1 − i)-th from above: 2(p − 1 − i) + 1
        return cls((p - 1 - anomaly).astype(np.int32), normal.astype(np.int32), p)

    def areas(self) -> tuple[Area, Area]:
        """AUROC and average precision; NaN where a class is missing."""
        n_anomalies, n_normals = self.anomaly.size, self.normal.size
        if not n_anomalies or not n_normals:
            undefined = Area(np.nan, self, np.empty(self.n_distinct), np.empty(self.normal_places))
            return undefined, undefined
        here = np.bincount(self.anomaly, minlength=self.n_distinct)
        normals = np.cumsum(np.bincount(self.normal, minlength=self.normal_places))
        above, false = normals[:-1:2], normals[1::2]
        true = np.cumsum(here)
        placed = 1 - (above + false) / (2 * n_normals)
        passed = np.repeat(np.append(0, true), 2)[:-1].astype(float)  # anomalies above each place of a normal row …
        passed[1::2] += here / 2  # … and half of those beside it
        pairs = int(here @ (2 * n_normals - above - false))  # twice those in which the anomaly scores higher
        auroc = Area(pairs / (2 * n_anomalies * n_normals), self, placed, passed / n_anomalies)
        precision = true / (true + false)
        # an anomaly more raises precision at every score up to its own, a normal row more lowers it
        gain = np.cumsum((here * false / (true + false) ** 2)[::-1])[::-1]
        loss = np.append(np.cumsum((here * true / (true + false) ** 2)[::-1])[::-1], 0.0)
        of_normal = -loss[np.arange(self.normal_places) // 2] * n_normals / n_anomalies
        return auroc, Area(float(np.einsum("k,k->", here, precision)) / n_anomalies, self, precision + gain, of_normal)

    @property
    def normal_places(self) -> int:
        """The number of places at which a normal row may stand."""
        return 2 * self.n_distinct + 1


def curve(score: np.ndarray, is_anomaly: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False-alarm rate, recall and precision, each (p,) in [0, 1], if every row from a distinct score on is flagged.

    `score` (n,) is higher for more anomalous rows, `is_anomaly` (n,) bool. The fewest flags come first. Thinned to
    about CURVE_POINTS. Both classes must be present.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)  # of the rows with one score
    true = np.cumsum(is_anomaly[order])[last]
    flagged = last + 1
    if last.size > CURVE_POINTS:
        kept = np.unique(np.linspace(0, last.size - 1, CURVE_POINTS).astype(np.int64))
        true, flagged = true[kept], flagged[kept]
    n_anomalies = int(is_anomaly.sum())
    return (flagged - true) / (score.size - n_anomalies), true / n_anomalies, true / flagged


def _ranked(auroc: Area, average_precision: Area, n_anomalies: int) -> dict[str, Estimate]:
    """The figures that need no threshold."""
    if np.isnan(auroc.value):
        undefined = Estimate(np.nan, np.nan, np.nan)
        return dict.fromkeys(RANKED, undefined)
    of_auroc = auroc_interval(auroc.value, auroc.variance, n_anomalies, auroc.ranks.normal.size)
    of_precision = average_precision_interval(average_precision.value, average_precision.variance, n_anomalies)
    return {
        "auroc": Estimate(auroc.value, *of_auroc),
        "average_precision": Estimate(average_precision.value, *of_precision),
    }


def _decisions(n_hits: int, n_alarms: int, n_anomalies: int, n_normals: int) -> dict[str, Estimate]:
    """The figures that depend on what is flagged: `n_hits` anomalies and `n_alarms` normal rows."""
    n_either = n_anomalies + n_alarms
    f1 = 2 * n_hits / (n_either + n_hits) if n_either else np.nan
    return {
        "precision": _share(n_hits, n_hits + n_alarms),
        "recall": _share(n_hits, n_anomalies),
        "f1": Estimate(f1, *f1_interval(n_hits, n_either)),
        "false_alarm_rate": _share(n_alarms, n_normals),
    }


def _share(part: int, whole: int) -> Estimate:
    return Estimate(part / whole if whole else np.nan, *clopper_pearson(part, whole))


def _covariance(one: np.ndarray, other: np.ndarray) -> float:
    """That of two means over the same rows."""
    n = one.size
    if n < 2:
        return np.nan
    return float((one - one.mean()) @ (other - other.mean())) / (n - 1) / n
