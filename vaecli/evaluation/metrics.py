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

A figure whose denominator is 0 is undefined: NaN. Intervals are percentile intervals of a bootstrap (Efron 1979) that
draws anomalies from the anomalies and normal rows from the normal rows. Stratified, because a table with five anomalies
would otherwise give draws without any, for which most figures do not exist; the price is that the share of anomalies is
taken as that of the table. All methods are judged on the same draws, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

RANKED = ("auroc", "average_precision")  # what a score is worth by itself
METRICS = (*RANKED, "precision", "recall", "f1", "false_alarm_rate")
CONFIDENCE = 0.95
MOST_DRAWN = 100_000  # rows of a class in one draw
DRAWN_AT_ONCE = 2**20  # rows of all draws that are in memory together
CURVE_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one method's figure from another's, on paired draws; positive where the first is larger."""

    value: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval holds 0, so that other rows of the same kind might turn the order round."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of n rows, and their scores by each method. A row without a score has −∞: it is looked at last."""

    is_anomaly: np.ndarray  # (n,) bool
    flagged: np.ndarray  # (n,) bool, by the first method at its threshold
    scores: Mapping[str, np.ndarray]  # by method, (n,), higher is more anomalous

    def where(self, rows: np.ndarray) -> Labelled:
        """The labels and scores of the chosen rows."""
        scores = {method: score[rows] for method, score in self.scores.items()}
        return Labelled(self.is_anomaly[rows], self.flagged[rows], scores)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The figures of each method, and those of each draw: (draws,) by method and metric."""

    figures: Mapping[str, Mapping[str, Estimate]]
    draws: Mapping[str, Mapping[str, np.ndarray]]

    def difference(self, metric: str, one: str, other: str) -> Difference:
        """The figure of `one` minus that of `other`, with its interval."""
        value = self.figures[one][metric].value - self.figures[other][metric].value
        low, high = _interval(self.draws[one][metric] - self.draws[other][metric])
        return Difference(value, low, high)


def evaluate(
    rows: Labelled, n_draws: int, seed: int, on_draws: Callable[[int], None] = lambda _n_done: None
) -> Evaluated:
    """All figures of the first method, the ranked ones of the others, with intervals from `n_draws` draws (0: none)."""
    anomalies, normals = rows.is_anomaly, ~rows.is_anomaly
    ranks = {method: Ranks.of(score[anomalies], score[normals]) for method, score in rows.scores.items()}
    flags = (rows.flagged[anomalies], rows.flagged[normals])
    n_anomalies, n_normals = flags[0].size, flags[1].size
    values = _figures(ranks, flags, Draws.everything(n_anomalies, n_normals))
    parts = []
    n_done = 0
    for draws in drawn(n_anomalies, n_normals, n_draws, seed):
        parts.append(_figures(ranks, flags, draws))
        n_done += draws.anomalies.shape[0]
        on_draws(n_done)
    resampled = {
        method: {
            metric: np.concatenate([np.empty(0), *(part[method][metric] for part in parts)]) for metric in of_method
        }
        for method, of_method in values.items()
    }
    figures = {
        method: {
            metric: Estimate(float(value[0]), *_interval(resampled[method][metric]))
            for metric, value in of_method.items()
        }
        for method, of_method in values.items()
    }
    return Evaluated(figures, resampled)


@dataclass(frozen=True, slots=True)
class Draws:
    """b draws: which of the anomalies, which of the normal rows. A drawn row stands for `weight` rows of its class."""

    anomalies: np.ndarray  # (b, rows drawn) indices
    normals: np.ndarray
    anomaly_weight: float = 1.0
    normal_weight: float = 1.0

    @classmethod
    def everything(cls, n_anomalies: int, n_normals: int) -> Draws:
        """The one draw that holds every row once."""
        return cls(np.arange(n_anomalies)[None], np.arange(n_normals)[None])


def drawn(n_anomalies: int, n_normals: int, n_draws: int, seed: int) -> Iterator[Draws]:
    """Draw as many rows of each class as there are, with replacement, `n_draws` times in all.

    Of a class with more than MOST_DRAWN rows that many are drawn and weighted up: its part of an interval is then as
    wide as if there were no more rows, wider than need be and never narrower.
    """
    rng = np.random.default_rng([seed, 0xB007])
    sizes = [min(n, MOST_DRAWN) for n in (n_anomalies, n_normals)]
    weights = [n / max(size, 1) for n, size in zip((n_anomalies, n_normals), sizes, strict=True)]
    at_once = max(1, DRAWN_AT_ONCE // max(sum(sizes), 1))
    for start in range(0, n_draws, at_once):
        b = min(at_once, n_draws - start)
        anomalies = rng.integers(0, max(n_anomalies, 1), (b, sizes[0]))
        normals = rng.integers(0, max(n_normals, 1), (b, sizes[1]))
        yield Draws(anomalies, normals, *weights)


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
        """The ranks by scores, of which higher ones are more anomalous."""
        distinct, anomaly = np.unique(anomaly_scores, return_inverse=True)
        p = distinct.size
        below = np.searchsorted(distinct, normal_scores, side="left")  # distinct scores strictly below
        below_or_beside = np.searchsorted(distinct, normal_scores, side="right")
        normal = 2 * (p - below_or_beside) + (below_or_beside - below)
        # beside the score of ascending index i = below, which is the (p − 1 − i)-th from above: 2(p − 1 − i) + 1
        return cls((p - 1 - anomaly).astype(np.int32), normal.astype(np.int32), p)

    def areas(self, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """(AUROC, average precision) of each draw, (b,)."""
        b, n_anomalies = draws.anomalies.shape
        n_normals = draws.normals.shape[1]
        if not n_anomalies or not n_normals:
            return np.full(b, np.nan), np.full(b, np.nan)
        anomalies = _counted(self.anomaly[draws.anomalies], self.n_distinct)
        normals = np.cumsum(_counted(self.normal[draws.normals], 2 * self.n_distinct + 1), 1)
        above, above_or_beside = normals[:, :-1:2], normals[:, 1::2]
        pairs = np.einsum("bk,bk->b", anomalies, 2 * n_normals - above - above_or_beside)
        auroc = pairs / (2 * n_anomalies * n_normals)
        true = np.cumsum(anomalies, 1) * draws.anomaly_weight
        false = above_or_beside * draws.normal_weight
        precision = true / np.maximum(true + false, np.finfo(float).tiny)
        return auroc, np.einsum("bk,bk->b", anomalies, precision) / n_anomalies


def curve(score: np.ndarray, is_anomaly: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(false-alarm rate, recall, precision) when every row from each distinct score on is flagged, fewest flags first.

    Thinned to about CURVE_POINTS. Both classes must be there.
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


def _figures(
    ranks: Mapping[str, Ranks], flags: tuple[np.ndarray, np.ndarray], draws: Draws
) -> dict[str, dict[str, np.ndarray]]:
    """The figures by method and metric, (b,) each."""
    found = {method: dict(zip(RANKED, of_method.areas(draws), strict=True)) for method, of_method in ranks.items()}
    first = next(iter(found))
    found[first] |= _decisions(flags, draws)
    return found


def _decisions(flags: tuple[np.ndarray, np.ndarray], draws: Draws) -> dict[str, np.ndarray]:
    """The figures that depend on what is flagged, (b,) each."""
    true = flags[0][draws.anomalies].sum(1) * draws.anomaly_weight
    false = flags[1][draws.normals].sum(1) * draws.normal_weight
    n_anomalies = draws.anomalies.shape[1] * draws.anomaly_weight
    n_normals = draws.normals.shape[1] * draws.normal_weight
    return {
        "precision": _share(true, true + false),
        "recall": _share(true, n_anomalies),
        "f1": _share(2 * true, n_anomalies + true + false),
        "false_alarm_rate": _share(false, n_normals),
    }


def _share(part: np.ndarray, whole: np.ndarray | float) -> np.ndarray:
    whole = np.broadcast_to(np.asarray(whole, np.float64), part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _counted(places: np.ndarray, n_places: int) -> np.ndarray:
    """How often each place stands in each row of `places` (b, n): (b, places)."""
    b = places.shape[0]
    flat = places + np.arange(b, dtype=np.int64)[:, None] * n_places
    return np.bincount(flat.ravel(), minlength=b * n_places).reshape(b, n_places)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the draws in which the figure exists."""
    exists = draws[~np.isnan(draws)]
    if not exists.size:
        return np.nan, np.nan
    low, high = np.quantile(exists, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)
