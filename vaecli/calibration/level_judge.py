"""Fits the judge of levels, and its opinions on training rows as if they had not been among the fit's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaecli.calibration.survival_scale import RowOpinions
from vaecli.data.training_rows import Rows
from vaecli.schema import Layout
from vaecli.scoring.level_judge import LevelJudge
from vaecli.scoring.max_cell import LIMIT, MIN_BEYOND, NEVER_DECIDES
from vaecli.scoring.opinion_scale import SILENT, OpinionScale
from vaecli.scoring.tail_scale import TAIL_BEGINS
from vaecli.training.fit_level_regression import choose_levels, fit_level_regressions

BLOCK_ROWS = 1024
SMALLEST_LIMIT = 3.0  # nats: a level twenty times less probable than usual
LEAST_GAIN = 0.1  # of the nats of a level by its share, that the other columns must know of it
SMALLEST_EXCESS = 1.0  # nats: probabilities have a unit of their own
N_ALIKE = 10  # cells of such an excess that count beside those beyond a limit, which may be few
LEVELS_PENALTY = 2.0  # nats by which the most improbable level must exceed other opinions


def fit_level_judge(
    layout: Layout, rows: Rows, may_decide: np.ndarray, seed: int
) -> tuple[LevelJudge, RowOpinions] | None:
    """The judge, still silent, for the columns that `may_decide` (c,) bool; None without levels.

    Its opinions are the largest excess of each row by regressions on the other folds.
    """
    levels = choose_levels(layout, rows)
    if levels is None:
        return None
    regression, without = fit_level_regressions(levels, rows, seed)
    nats = np.empty((len(rows.fold), levels.starts.size), np.float32)
    for fold, other in without.items():
        own = np.flatnonzero(rows.fold == fold)
        for start in range(0, own.size, BLOCK_ROWS):
            block = own[start : start + BLOCK_ROWS]
            nats[block] = other.nats(rows.values[block], rows.state[block])
    shares = np.exp(regression.usual)
    entropy = np.add.reduceat(-shares * regression.usual, levels.starts)
    may_decide = may_decide[levels.columns] & (-nats.mean(0) >= LEAST_GAIN * entropy)
    if not may_decide.any():
        return None
    nats = nats.astype(np.float64)
    level = min(max(1 - MIN_BEYOND / len(nats), TAIL_BEGINS), LIMIT)
    limit = np.where(may_decide, np.maximum(np.quantile(nats, level, axis=0), SMALLEST_LIMIT), NEVER_DECIDES)
    beyond = np.maximum(nats - limit, 0.0)
    n_beyond = (beyond > 0).sum(0)
    unit = np.maximum((beyond.sum(0) + N_ALIKE * SMALLEST_EXCESS) / (n_beyond + N_ALIKE), SMALLEST_EXCESS)
    excess = ((nats - limit) / unit).max(1)
    return LevelJudge(regression, limit, unit, SILENT), RowOpinions(excess, LEVELS_PENALTY)


def scaled(judge: LevelJudge, scale: OpinionScale) -> LevelJudge:
    """The judge with what its opinions are worth where a cell is beyond a limit; there is none within."""
    is_beyond = scale.judged >= 0
    return replace(judge, scale=OpinionScale(scale.judged[is_beyond], scale.score[is_beyond], scale.slope))
