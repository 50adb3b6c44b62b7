"""Fits the regressions that predict the level of each cell: by L-BFGS, all columns at once.

Each regression has a ridge, which a normal prior of standard deviation 1 on its weights is, and takes few steps, so it
is near its optimum and no nearer. Those without a fold calibrate; the mean of their logits, which is that of their
weights, judges new rows.

Shapes: n rows, c columns, d features, L levels, T columns that have levels, f inputs, o ordered columns.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.training_rows import Rows
from vaecli.model.level_regression import (
    ABSENT,
    LARGEST_LOGIT,
    MOST_INPUTS,
    MOST_PRODUCTS,
    N_EDGES,
    OTHER,
    SAME_VALUE,
    VALUE,
    LevelRegression,
    Levels,
    n_other_inputs,
    ordered_columns,
)
from vaecli.runtime.parallel import map_in_order, n_cores
from vaecli.schema import Kind, Layout

FEWEST_ROWS = 30  # of a level, and of the rest of its column
LEAST_SHARE = 0.005  # of the rows, that a value must have to be a level
FEW_VALUES = 8  # of a number, which are all levels
N_NEXT = 3  # values to either side of one of many are next to it
STANDS_OUT = 4.0  # times as often as these such a value comes
MOST_VALUES = (8, 4, 2, 1)  # of one number that are levels: fewer in tables of many columns
MOST_ROWS = 10_000  # that the regressions are fitted to
MOST_WORK = 6 * 10**8  # multiplications per pass, beyond which they are fitted to fewer rows
N_STEPS = 40
N_CORRECTIONS = 6  # of L-BFGS


def choose_levels(layout: Layout, rows: Rows) -> Levels | None:
    """The levels of the columns of a table, from its training rows; None where no column has two, or all too many."""
    n_others = n_other_inputs(layout)
    counted = [_count(layout, rows, j) for j in range(layout.n_columns)]
    for most in MOST_VALUES:
        found = [one for j, column in enumerate(counted) for one in _levels_of(j, column, most)]
        n_inputs = len(found) + n_others
        if not found or n_others > MOST_INPUTS:
            return None
        if n_inputs <= MOST_INPUTS and len(found) * n_inputs <= MOST_PRODUCTS:
            column, kind, value = zip(*found, strict=True)
            arrays = np.array(column, np.int64), np.array(kind, np.int64), np.array(value, np.float32)
            return Levels(layout, *arrays, _edges(layout, rows))
    return None


def _edges(layout: Layout, rows: Rows) -> np.ndarray:
    """The quantiles (o, 7) float32 of each ordered column."""
    edges = np.zeros((ordered_columns(layout).size, N_EDGES), np.float32)
    for i, j in enumerate(ordered_columns(layout).tolist()):
        readings = rows.values[rows.state[:, j] == PRESENT, layout.slots[j].start]
        if readings.size:
            edges[i] = np.quantile(readings, np.arange(1, N_EDGES + 1) / (N_EDGES + 1))
    return edges


class _Counted(NamedTuple):
    """What one column holds: how many cells are present and missing, and its values that come often."""

    n_present: int
    n_missing: int
    often: list[tuple[float, int]]  # each with its count, the most frequent one first


def _count(layout: Layout, rows: Rows, j: int) -> _Counted:
    """Count column `j`; a column of words has nothing that could be a level."""
    slot = layout.slots[j]
    if slot.kind in (Kind.CATEGORICAL, Kind.TEXT):
        return _Counted(0, 0, [])  # new company of a category is not rare in later rows (docs/adr/0057-levels.md)
    present = rows.state[:, j] == PRESENT
    values, counts = np.unique(rows.values[present, slot.start], return_counts=True)
    often = _stand_out(counts, np.flatnonzero(counts >= max(FEWEST_ROWS, LEAST_SHARE * len(rows.state))))
    often = often[np.argsort(-counts[often], kind="stable")]
    n_missing = int((rows.state[:, j] == MISSING).sum())
    return _Counted(int(present.sum()), n_missing, [(float(values[i]), int(counts[i])) for i in often])


def _levels_of(j: int, column: _Counted, most: int) -> list[tuple[int, int, float]]:
    """The levels of column `j`, each as (column, kind, value); none where there are not two."""
    found: list[tuple[int, int, float]] = []
    n_known = 0
    for value, count in column.often:
        apart = 4 * SAME_VALUE * max(abs(value), 1)
        if len(found) < most and all(abs(value - other) > apart for _, _, other in found):
            found.append((j, VALUE, value))
            n_known += count
    found.sort(key=lambda level: level[2])
    if column.n_missing >= FEWEST_ROWS:
        found.append((j, ABSENT, 0.0))
    if column.n_present - n_known >= FEWEST_ROWS:
        found.append((j, OTHER, 0.0))
    return found if len(found) > 1 else []


def _stand_out(counts: np.ndarray, often: np.ndarray) -> np.ndarray:
    """Those of the values `often` (k,) of a number that come far more often than the values next to them.

    `counts` (v,) are those of all its values, in their order; `often` are places among these.

    A whole number that ranges from 0 to 100 has many values that come often, and none that stands for a state. Where
    there are few values in all, each does.
    """
    if counts.size <= FEW_VALUES:
        return often
    near = [np.median(np.delete(counts[max(i - N_NEXT, 0) : i + N_NEXT + 1], min(i, N_NEXT))) for i in often.tolist()]
    return often[counts[often] >= STANDS_OUT * np.array(near)]


def fit_level_regressions(levels: Levels, rows: Rows, seed: int) -> tuple[LevelRegression, dict[int, LevelRegression]]:
    """Regressions for the `rows`, or for a sample of them: the mean of those without each fold, and these."""
    n_inputs, n_levels = levels.column_of_input.size, levels.column.size
    folds = np.unique(rows.fold).tolist()  # also one so small that a sample has none of it
    most = min(MOST_ROWS, max(MOST_WORK // (n_inputs * n_levels), MOST_ROWS // 5))
    if len(rows.fold) > most:
        rng = np.random.default_rng([seed, 0x1E7E1])
        rows = rows.take(np.sort(rng.choice(len(rows.fold), most, replace=False)))
    at = levels.of_cells(rows.values, rows.state).astype(np.float32)
    center = levels.inputs(rows.values, rows.state, at, np.zeros(n_inputs, np.float32)).mean(0)
    inputs = levels.inputs(rows.values, rows.state, at, center) - center

    def usual(of: np.ndarray) -> np.ndarray:
        counts = at[of].sum(0, dtype=np.float64) + 0.5
        return np.log(counts / np.add.reduceat(counts, levels.starts)[levels.place]).astype(np.float32)

    def fitted(fold: int) -> LevelRegression:
        of = rows.fold != fold
        return LevelRegression(levels, center, *_fitted(levels, inputs[of], at[of], usual(of)), usual(of))

    importlib.import_module("scipy.optimize")  # whose BLAS has limits only once it is loaded
    with threadpool_limits(1, "blas"):
        without = dict(zip(folds, map_in_order(fitted, folds, n_cores()), strict=True))
    weight, bias = (np.mean([getattr(one, part) for one in without.values()], axis=0) for part in ("weight", "bias"))
    return LevelRegression(levels, center, weight, bias, usual(np.ones(len(at), bool))), without


def _fitted(levels: Levels, inputs: np.ndarray, at: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (f, L) and biases (L,) for inputs (n, f) less their means; levels `at` (n, L) have log shares `usual`."""
    from scipy.optimize import minimize

    n, (n_inputs, n_levels) = len(inputs), (inputs.shape[1], levels.column.size)
    own = levels.column_of_input[:, None] == levels.column
    known = levels.sums(at)[:, levels.place]

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Nats per row with the ridge, and the gradient, both of parameters (f L + L,)."""
        weight = parameters[: n_inputs * n_levels].reshape(n_inputs, n_levels).astype(np.float32)
        logits = inputs @ weight
        logits += parameters[n_inputs * n_levels :].astype(np.float32)
        np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT, out=logits)
        logits -= np.log(levels.sums(np.exp(logits)))[:, levels.place]
        nats = -float(np.einsum("nl,nl->", logits, at, dtype=np.float64))
        ridge = 0.5 * float(np.einsum("fl,fl->", weight, weight, dtype=np.float64))
        error = np.exp(logits, out=logits)
        error *= known
        error -= at
        gradient = inputs.T @ error
        gradient[own] = 0
        gradient += weight
        slope = np.concatenate([gradient.ravel(), error.sum(0)])
        return (nats + ridge) / n, slope.astype(np.float64) / n

    start = np.zeros(n_inputs * n_levels + n_levels)
    start[n_inputs * n_levels :] = usual
    options = {"maxiter": N_STEPS, "maxcor": N_CORRECTIONS, "ftol": 1e-7}
    best = minimize(cost, start, jac=True, method="L-BFGS-B", options=options).x.astype(np.float32)
    return best[: n_inputs * n_levels].reshape(n_inputs, n_levels), best[n_inputs * n_levels :]
