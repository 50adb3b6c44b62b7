"""How rare a score is among normal rows, and so what one judge's score is worth in the unit of another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.calibration.tail import MIN_PARETO, fit_pareto
from vaecli.scoring.opinion_scale import SILENT, OpinionScale

DECIDES_FROM = float(np.log(100))  # nats: a judge decides where fewer than one normal row in a hundred score as much
STEEPNESS = 4.0  # of milder opinions
N_TOP = 20  # largest scores, whose mean excess is the unit of an exponential tail
N_KNOTS = 200
FARTHEST = 30.0  # nats beyond the beginning of a tail, up to which its bend is followed
SMALLEST_SPREAD = 1e-6  # of scores beyond the last quantile


@dataclass(frozen=True, slots=True)
class SurvivalScale:
    """How probable a normal row scores as much, as nats of surprisal: −log P(S ≥ s), from its scores in calibration.

    `scores` (m,) and `nats` (m,) ascend, both float64, and are joined by straight lines. Beyond the last a generalised
    Pareto tail of `scale` and `shape` takes over; of shape 0 it is exponential.
    """

    scores: np.ndarray
    nats: np.ndarray
    scale: float
    shape: float

    @classmethod
    def of(cls, scores: np.ndarray, *, heavy: bool) -> SurvivalScale:
        """The scale of held-out scores (n,) of normal rows, n >= 1, finite or −inf.

        A tail that may be `heavy` is fitted to the ⌈min(n/5, 3√n)⌉ largest (Vehtari et al. 2024), an exponential one to
        the 20 largest.
        """
        ascending = np.sort(scores.astype(np.float64))
        n = ascending.size
        n_top = min(int(np.ceil(min(n / 5, 3 * np.sqrt(n)))) if heavy else N_TOP, n - 1)
        top = ascending[n - 1 - n_top]
        excess = ascending[ascending > top] - top if np.isfinite(top) else np.empty(0)
        shape, scale = 0.0, float(excess.mean()) if excess.size else 0.0
        if heavy and excess.size >= MIN_PARETO:
            shape, scale = fit_pareto(excess)
        nats = np.linspace(0.0, np.log((n + 1) / (n_top + 1)), N_KNOTS)
        place = np.clip(np.ceil(n - (n + 1) * np.exp(-nats)).astype(np.int64), 0, n - 1 - n_top)
        known, first = np.unique(ascending[place], return_index=True)
        is_finite = np.isfinite(known)
        return cls(known[is_finite], nats[first][is_finite], max(scale, SMALLEST_SPREAD), shape)

    def at(self, nats: np.ndarray) -> np.ndarray:
        """The scores (n,) at surprisals (n,) in nats: −inf below the first, or where no score is finite."""
        if not self.scores.size:
            return np.full(nats.shape, -np.inf)
        hazard = np.maximum(nats - self.nats[-1], 0.0)
        excess = hazard if self.shape == 0 else np.expm1(self.shape * hazard) / self.shape
        between = np.interp(nats, self.nats, self.scores, left=-np.inf)
        return np.where(nats > self.nats[-1], self.scores[-1] + excess * self.scale, between)


@dataclass(frozen=True, slots=True)
class RowOpinions:
    """A judge's scores (n,) of training rows, given as if they had not been among the fit's; higher is rarer."""

    scores: np.ndarray
    penalty: float  # nats by which the rarest must exceed other opinions

    def scale_beside(self, ensemble: SurvivalScale) -> OpinionScale:
        """What the judge's scores are worth beside those of the ensemble."""
        return opinion_scale(SurvivalScale.of(self.scores, heavy=True), ensemble, self.penalty)


def opinion_scale(judge: SurvivalScale, ensemble: SurvivalScale, penalty: float) -> OpinionScale:
    """What scores of the `judge` are worth beside those of the `ensemble`: as much as is as rare, less `penalty` nats.

    Opinions below 4.6 nats, one normal row in a hundred, count four times less: all share one budget of false alarms.
    """
    if not judge.scores.size:
        return SILENT
    begins = DECIDES_FROM * (1 - 1 / STEEPNESS) + penalty
    knees = np.array([begins, DECIDES_FROM + penalty, judge.nats[-1], ensemble.nats[-1] + penalty])
    nats = np.unique(np.concatenate([knees[knees >= begins], np.linspace(begins, knees.max() + FARTHEST, N_KNOTS)]))
    worth = nats - penalty
    worth = np.where(worth < DECIDES_FROM, DECIDES_FROM - STEEPNESS * (DECIDES_FROM - worth), worth)
    judged, score = judge.at(nats), ensemble.at(np.maximum(worth, 0.0))
    known = np.isfinite(judged) & np.isfinite(score)
    judged, first = np.unique(judged[known], return_index=True)
    score = score[known][first]
    slope = (score[-1] - score[-2]) / (judged[-1] - judged[-2]) if judged.size > 1 else 0.0
    return OpinionScale(judged, score, float(slope))
