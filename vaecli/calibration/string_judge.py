"""Fits the judge of strings, from read-outs of rows by string models that do not know them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaecli.calibration.survival_scale import DECIDES_FROM, FARTHEST, STEEPNESS, SurvivalScale, opinion_scale
from vaecli.data.string_features import READOUTS
from vaecli.schema import Layout
from vaecli.scoring.opinion_scale import OpinionScale
from vaecli.scoring.string_judge import StringJudge, text_columns

FEWEST_STRINGS = 50  # of a column, below which its tails are not known
LEAST_SLOPE = 0.5  # nats of a row's score per nat of surprisal
N_BEYOND = 50  # knots beyond the beginning of a tail
ALONE = -3.0  # nats that the judge's opinion is worth more where a string is all that a row has
MILDER = {"whole": 2.0, "stretch": 2.0, "symbol": 0.0, "long": 3.0, "short": 2.0}  # nats, that surprisals count less


def fit_string_judge(
    layout: Layout, readouts: np.ndarray | None, row_scores: np.ndarray
) -> tuple[StringJudge | None, np.ndarray]:
    """The judge by held-out `readouts` (n, t, 5), and the held-out `row_scores` (n,) raised to its opinions.

    Tables without text, or of fewer than 50 rows, get none.
    """
    if readouts is None or len(readouts) < FEWEST_STRINGS:
        return None, row_scores
    tails = [
        replace(tail, score=tail.score - MILDER[name])
        for t in range(readouts.shape[1])
        for name, tail in zip(READOUTS, map(tail_of, readouts[:, t].T), strict=True)
    ]
    known = StringJudge(text_columns(layout), tuple(tails), OpinionScale(np.empty(0), np.empty(0), 0.0))
    largest = known.surprisals(readouts).reshape(len(readouts), -1).max(1)
    ensemble = _rising(SurvivalScale.of(row_scores, heavy=False))
    penalty = ALONE if layout.n_columns == 1 else 0.0
    scale = opinion_scale(SurvivalScale.of(largest, heavy=True), ensemble, penalty)
    return StringJudge(known.columns, known.tails, scale), np.maximum(row_scores, scale.of_scores(largest))


def _rising(ensemble: SurvivalScale) -> SurvivalScale:
    """The scale with a slope of at least LEAST_SLOPE where judges have opinions.

    In a table of one text column the scores of the networks are all the same, and would press opinions together.
    """
    steps, rises = np.diff(ensemble.scores), np.diff(ensemble.nats)
    least = np.where(ensemble.nats[1:] > DECIDES_FROM * (1 - 1 / STEEPNESS), LEAST_SLOPE * rises, 0.0)
    scores = np.cumsum(np.concatenate([ensemble.scores[:1], np.maximum(steps, least)]))
    return SurvivalScale(scores, ensemble.nats, max(ensemble.scale, LEAST_SLOPE), ensemble.shape)


def tail_of(values: np.ndarray) -> OpinionScale:
    """The surprisal in nats of a read-out, by its held-out values (n,), NaN where there is none."""
    values = values[np.isfinite(values)]
    if values.size < FEWEST_STRINGS:
        return OpinionScale(np.empty(0), np.empty(0), 0.0)
    survival = SurvivalScale.of(values, heavy=True)
    beyond = survival.nats[-1] + np.linspace(0.0, FARTHEST, N_BEYOND + 1)
    known, nats = survival.at(beyond), beyond
    judged = np.concatenate([survival.scores[:-1], known])
    judged, first = np.unique(judged, return_index=True)
    score = np.concatenate([survival.nats[:-1], nats])[first]
    slope = (score[-1] - score[-2]) / (judged[-1] - judged[-2]) if judged.size > 1 else 0.0
    return OpinionScale(judged, np.maximum.accumulate(score), float(slope))
