"""Fits the neighbour judge, and gives its opinion on training rows as if each had not been among the fit's."""

from __future__ import annotations

import numpy as np

from vaecli.data.plain_features import PlainFeatures
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.training_rows import Rows
from vaecli.model.neighbours import K, Neighbours
from vaecli.scoring.neighbour_judge import FULL_WEIGHT_ROWS, MOST_ROWS, SMALLEST_UNIT, Beside, NeighbourJudge
from vaecli.scoring.tail_scale import TAIL_BEGINS, fit_scales, surprisal_at

FEWEST_ROWS = 20  # whose distances give a scale
MOST_CELLS = 2_000_000  # features of the rows kept: 8 MB of a bundle, and the time that the distances take


def fit_neighbour_judge(
    preprocessor: Preprocessor,
    rows: Rows,
    n_training: int,
    dependent: bool = False,
    distrusted: np.ndarray | None = None,
) -> tuple[NeighbourJudge, Beside] | None:
    """The judge for the calibration `rows` (n) of `n_training`, and its opinion on each of them by the others.

    Where rows are `dependent`, a row is judged by those of the other folds, since rows like it are in its own. Nothing
    is normal for being near `distrusted` (n,) bool rows. Tables of fewer than 20 rows or more than 2,000, and very wide
    ones, get no judge: None.
    """
    n, layout = len(rows.fold), preprocessor.layout
    if n < FEWEST_ROWS or n_training > MOST_ROWS or n * (layout.n_features + layout.n_columns) > MOST_CELLS:
        return None
    kept = np.arange(n) if distrusted is None else np.flatnonzero(~distrusted)
    group = rows.fold if dependent else np.arange(n)
    if kept.size - np.unique(group[kept], return_counts=True)[1].max() < K:
        return None
    plain = PlainFeatures.of(preprocessor)
    values = plain.transform(rows.values, rows.state)
    neighbours = Neighbours(values[kept], plain.column)
    square = neighbours.squares_to_others(values, group, group[kept])
    distance = np.sqrt(square.sum(2)).mean(1)
    unit = _unit(distance)
    one = np.zeros(1, np.int64)
    knots, spread = fit_scales(distance[:, None] / unit, one, one, np.ones((n, 1), bool))
    weight = min(1.0, FULL_WEIGHT_ROWS / n_training)
    judge = NeighbourJudge(plain, neighbours, weight, unit, knots[0], float(spread[0]), square.mean((0, 1)))
    return judge, Beside(surprisal_at(distance / unit, judge.knots, judge.spread), weight)


def _unit(distance: np.ndarray) -> float:
    """The mean excess of the largest fifth of the distances (n,), or of all above 0, or 1."""
    excess = distance - np.quantile(distance, TAIL_BEGINS)
    for above in (excess[excess > 0], distance[distance > 0]):
        if above.size:
            return max(float(above.mean()), SMALLEST_UNIT)
    return 1.0
