"""Fits the judges of single cells, and their opinions on training rows as if they had not been among the fit's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from vaecli.calibration.level_judge import fit_level_judge, scaled
from vaecli.calibration.repeated_rows import RepeatedRows
from vaecli.calibration.survival_scale import RowOpinions, SurvivalScale
from vaecli.calibration.tail import fit_pareto
from vaecli.data.cells import PRESENT
from vaecli.data.kinds import KINDS
from vaecli.data.training_rows import Rows
from vaecli.model.cell_mixture import MOST_FEATURES, CellMixture
from vaecli.runtime.blas import one_blas_thread
from vaecli.runtime.parallel import map_in_order, n_cores
from vaecli.schema import Layout
from vaecli.scoring.column_tails import N_STATES, SIDES, ColumnTails
from vaecli.scoring.level_judge import LevelJudge
from vaecli.scoring.max_cell import NEVER_DECIDES, CellLimits
from vaecli.scoring.opinion_scale import SILENT
from vaecli.scoring.single_cells import MixtureJudge, SingleCells
from vaecli.training.fit_cell_mixture import choose_mixture, fit_mixtures

TAILS_PENALTY = 3.5  # nats by which the rarest cell in its own column must exceed other opinions
FEWEST_ROWS = 200  # below which no single cell is judged
N_EXACT_RANKS, N_RANKS = 96, 160  # of outer readings: all of the outermost, then ever fewer
FEWEST_READINGS = 30  # of a column, and
FEWEST_EXCESSES = 10  # beyond the tail's beginning, below which its unit is the column's standard deviation
SMALLEST_SCALE = 0.05  # of a tail, in standard deviations
FEWEST_AT_WALL = 10  # readings that share the outermost value where a column ends in a wall, and
EXPECTED_BEYOND_WALL = 20.0  # of the next value, if counts went on as from the last but one to it
NATS_BEYOND_WALL = 10.0  # at the first step: more than what a judge pays, however many columns there are
SHAPE_BEYOND_WALL = 0.9  # then it rises by the logarithm of the steps, since a few normal rows are beyond, and far
SMALLEST_STEP = 1e-3  # of readings, in standard deviations
MOST_STRAYS = 0.001  # of the rows, that stand alone beyond walls: more are no strays
BLOCK_ROWS = 1024
MOST_CHECKED = 10_000  # rows, evenly spread
MOSTLY_ALIKE = 0.9  # of the rows, from which on a table has few different rows: to leave one out changes little
MORE_BEYOND = 2.0  # times as many training cells beyond a limit as held-out ones


@dataclass(frozen=True, slots=True)
class CellJudges:
    """The judges of single cells with their opinions on the calibration rows; they know nothing of the ensemble."""

    may_decide: np.ndarray  # (c,) bool
    tails: tuple[ColumnTails, RowOpinions]
    mixture: tuple[MixtureJudge, RowOpinions] | None
    levels: tuple[LevelJudge, RowOpinions] | None

    def beside(self, row_scores: np.ndarray) -> tuple[SingleCells, np.ndarray]:
        """The judges with their scales, and the ensemble's held-out `row_scores` (n,) raised to their opinions."""
        ensemble, raised = SurvivalScale.of(row_scores, heavy=False), row_scores
        (tails, opinions), mixture, levels = self.tails, None, None
        tails_scale = opinions.scale_beside(ensemble)
        raised = np.maximum(raised, tails_scale.of_scores(opinions.scores))
        if self.mixture is not None:
            silent, opinions = self.mixture
            mixture = replace(silent, scale=opinions.scale_beside(ensemble))
            raised = np.maximum(raised, mixture.scale.of_scores(opinions.scores))
        if self.levels is not None:
            without, opinions = self.levels
            levels = scaled(without, opinions.scale_beside(ensemble))
            raised = np.maximum(raised, levels.scale.of_scores(opinions.scores))
        return SingleCells(tails, tails_scale, self.may_decide, mixture, levels), raised


def fit_cell_judges(
    layout: Layout, rows: Rows, may_decide: np.ndarray, seed: int, *, are_independent: bool = True
) -> CellJudges | None:
    """The judges for the calibration `rows`.

    `may_decide` (c,) bool marks the columns of which one cell may decide. An opinion on a training row is that of
    judges fitted to the other folds. Tables of fewer than 200 rows, or where no column may decide, get none. Rows that
    resemble each other by time or group are not `are_independent`.
    """
    if rows.fold.size < FEWEST_ROWS or not may_decide.any() or np.unique(rows.fold).size < 2:
        return None
    fits: list[Callable[[], Any]] = [
        partial(_fit_tails, layout, rows, may_decide),
        partial(_fit_mixture, layout, rows, may_decide, seed, are_independent=are_independent),
        partial(fit_level_judge, layout, rows, may_decide, seed),
    ]
    with one_blas_thread():  # sums of several depend on their number
        tails, mixture, levels = map_in_order(lambda fit: fit(), fits, min(len(fits), n_cores()))
    return CellJudges(may_decide, tails, mixture, levels)


def _fit_mixture(
    layout: Layout, rows: Rows, may_decide: np.ndarray, seed: int, *, are_independent: bool
) -> tuple[MixtureJudge, RowOpinions] | None:
    """The mixture as a silent judge, and the largest excess of each row by mixtures of the other folds.

    Codes in rows that are known, being like several others, are judged by the mixture of all rows: how dense a Gaussian
    is at a rare combination of codes depends on how many of its few rows a fold holds. None for very many features.
    """
    if layout.n_features > MOST_FEATURES:
        return None
    known = RepeatedRows.alike(rows).of_row >= 0
    if not are_independent or known.mean() < MOSTLY_ALIKE:
        known[:] = False
    mixture, without = fit_mixtures(layout, rows, choose_mixture(layout, rows, seed), seed)
    nats = np.empty(rows.state.shape, np.float32)
    for fold, other in without.items():
        own = np.flatnonzero(rows.fold == fold)
        for start in range(0, own.size, BLOCK_ROWS):
            block = own[start : start + BLOCK_ROWS]
            nats[block] = other.nats(rows.values[block], rows.state[block])
    codes = np.array([not KINDS[slot.kind].is_ordered for slot in layout.slots])
    if codes.any():
        numbers = np.flatnonzero(known)
        for start in range(0, numbers.size, BLOCK_ROWS):
            block = numbers[start : start + BLOCK_ROWS]
            nats[np.ix_(block, codes)] = mixture.nats(rows.values[block], rows.state[block])[:, codes]
    limits = CellLimits.of([nats])
    may_decide = may_decide & _may_be_calibrated(mixture, rows, limits)
    limits = CellLimits(np.where(may_decide, limits.limit, NEVER_DECIDES), limits.excess, limits.n_beyond)
    excess = limits.largest(nats[None], np.ones((1, len(nats)), bool))[0]
    return MixtureJudge(mixture, limits.limit[0], limits.excess[0], SILENT), RowOpinions(excess, 0.0)


def _may_be_calibrated(mixture: CellMixture, rows: Rows, limits: CellLimits) -> np.ndarray:
    """(c,) bool: the columns whose training cells the mixture of all `rows` finds as likely as other folds' found them.

    It has seen these cells, so fewer of them should be beyond the limits. In a column of many rare categories a density
    over their features depends on which of them a fold holds, so that nats of one mixture mean nothing to another.
    """
    some = rows.take(np.arange(0, len(rows.fold), -(-len(rows.fold) // MOST_CHECKED)))
    beyond = (mixture.nats(some.values, some.state) > limits.limit).mean(0)
    return np.asarray(beyond <= MORE_BEYOND * limits.n_beyond[0] / len(rows.fold))


def _fit_tails(layout: Layout, rows: Rows, may_decide: np.ndarray) -> tuple[ColumnTails, RowOpinions]:
    """The tails of all columns, and the largest rarity of each row among the rows of the other folds."""
    rarest = np.empty(len(rows.fold))
    for fold in np.unique(rows.fold):
        own = np.flatnonzero(rows.fold == fold)
        others = column_tails(layout, rows.take(np.flatnonzero(rows.fold != fold)))
        limits = others.limits(0.0)
        for start in range(0, own.size, BLOCK_ROWS):
            block = own[start : start + BLOCK_ROWS]
            rarest[block], _ = others.rarest(rows.values[block], rows.state[block], limits, ~may_decide[None])
    return column_tails(layout, rows, strays_beyond_walls(layout, rows)), RowOpinions(rarest, TAILS_PENALTY)


def strays_beyond_walls(layout: Layout, rows: Rows) -> np.ndarray:
    """(c, 2) bool: on which sides of which columns one of the `rows` stands alone beyond a wall.

    One row at 0 of a counter that else is 1 or more, often 1, is no reason to expect others there. No side is marked
    where more than one row in a thousand is such a stray (docs/adr/0054-strays-beyond-walls.md).
    """
    strays, row = np.zeros((layout.n_columns, len(SIDES)), bool), set()
    for j, slot in enumerate(layout.slots):
        if not KINDS[slot.kind].is_ordered:
            continue
        present = np.flatnonzero(rows.state[:, j] == PRESENT)
        for side, sign in enumerate(SIDES):
            outwards = sign * rows.values[present, slot.start]
            if _is_stray(outwards):
                strays[j, side] = True
                row.add(int(present[outwards.argmax()]))
    return strays if len(row) <= MOST_STRAYS * len(rows.fold) else np.zeros_like(strays)


def _is_stray(outwards: np.ndarray) -> bool:
    """Whether the largest reading (p,) is one, where counts that went on as before it would have shown 40 or more."""
    counts = []
    for _ in range(3):
        if not outwards.size:
            return False
        inner = outwards[outwards < outwards.max()]
        counts.append(outwards.size - inner.size)
        outwards = inner
    n_beyond, at_wall, before = counts
    enough = min(at_wall, before) >= FEWEST_AT_WALL  # to know how counts go on
    return n_beyond == 1 and enough and at_wall**2 >= (1 + n_beyond) * EXPECTED_BEYOND_WALL * before


def column_tails(layout: Layout, rows: Rows, strays: np.ndarray | None = None) -> ColumnTails:
    """The outer readings and tails of every column in `rows`.

    Where `strays` (c, 2) bool marks one, its reading counts as one at the wall, and what lies beyond as rare as once.
    """
    n, c = rows.state.shape
    more = np.geomspace(N_EXACT_RANKS + 1, max(n, N_EXACT_RANKS + 2), N_RANKS - N_EXACT_RANKS).astype(np.int64)
    ranks = np.union1d(np.arange(1, N_EXACT_RANKS + 1), more)
    ranks = ranks[ranks <= max(n, 1)]
    outer = np.full((c, len(SIDES), ranks.size), -np.inf, np.float32)
    scale, shape = np.ones((c, len(SIDES))), np.zeros((c, len(SIDES)))
    present = rows.state == PRESENT
    for j, slot in enumerate(layout.slots):
        if not KINDS[slot.kind].is_ordered:
            continue
        readings = np.sort(rows.values[present[:, j], slot.start])
        for side, outwards in enumerate((readings[::-1], -readings)):
            kept = ranks[ranks <= outwards.size]
            ascending = outwards[::-1].astype(np.float64)
            is_stray = strays is not None and bool(strays[j, side])
            if is_stray:
                ascending[-1] = ascending[-2]
            outer[j, side, : kept.size] = ascending[-kept]
            scale[j, side], shape[j, side] = _tail_of(ascending, 1 if is_stray else 0)
    return ColumnTails(
        layout,
        np.array([n], np.int64),
        ranks,
        outer,
        scale,
        shape,
        present.sum(0, dtype=np.int64),
        _codes(layout, rows.values, present),
        np.stack([(rows.state == state).sum(0, dtype=np.int64) for state in range(N_STATES)], axis=1),
    )


def _codes(layout: Layout, values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """How many rows (d,) have the category of a feature, or true; 0 of numbers."""
    counts = np.zeros(layout.n_features, np.int64)
    for j, slot in enumerate(layout.slots):
        if not KINDS[slot.kind].is_ordered:
            counts[slot.start : slot.stop] = (values[present[:, j], slot.start : slot.stop] > 0.5).sum(0)
    return counts


def _tail_of(ascending: np.ndarray, n_strays: int = 0) -> tuple[float, float]:
    """Scale and shape of the tail beyond the largest of the readings `ascending` (p,), `n_strays` beyond left out.

    Where many share the largest, the column ends in a wall: an empty counter, a rate of 1. Nothing drifts through it,
    so the tail beyond is as steep as steps between readings are short (docs/adr/0025-two-judges-of-cells.md).
    """
    spread = float(ascending.std()) if ascending.size else 0.0
    if spread == 0 or ascending.size < FEWEST_READINGS:
        return spread or 1.0, 0.0
    values, counts = np.unique(ascending, return_counts=True)
    if counts[-1] >= max(FEWEST_AT_WALL, np.sqrt(EXPECTED_BEYOND_WALL * counts[-2])):
        step = float(np.diff(values).min())
        nats = NATS_BEYOND_WALL - np.log1p(n_strays)
        first = np.expm1(SHAPE_BEYOND_WALL * nats) / SHAPE_BEYOND_WALL
        return float(max(step, SMALLEST_STEP * spread) / first), SHAPE_BEYOND_WALL
    n_outer = int(np.ceil(min(ascending.size / 5, 3 * np.sqrt(ascending.size))))
    excess = ascending[-n_outer:] - ascending[-n_outer - 1]
    excess = excess[excess > 0]
    if excess.size < FEWEST_EXCESSES:
        return spread, 0.0
    shape, scale = fit_pareto(excess)
    return max(scale + shape * float(excess[-1]), SMALLEST_SCALE * spread), shape
