"""The last step of a fit: the scales and calibrations of the scores, from rows that members were not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.cross_fitting import cross_fitted_scores, held_out_scores
from vaecli.calibration.effective_rows import Dependence
from vaecli.calibration.neighbour_judge import fit_neighbour_judge
from vaecli.calibration.repeated_rows import RepeatedRows
from vaecli.calibration.single_cells import CellJudges
from vaecli.calibration.string_judge import fit_string_judge
from vaecli.config import SCORE_KINDS
from vaecli.data.preprocessor import FeatureBatch, Preprocessor
from vaecli.data.training_rows import Rows
from vaecli.model.ensemble import Ensemble
from vaecli.model.tiles import TILE_ROWS
from vaecli.results import Event, OnEvent
from vaecli.runtime.parallel import map_in_order, n_cores
from vaecli.scoring.max_cell import KIND_WITH_MAX_CELL, NEVER_DECIDES, CellLimits, MaxCellScale, larger_of
from vaecli.scoring.neighbour_judge import NeighbourJudge
from vaecli.scoring.scores import (
    KINDS_OF_BOUND,
    Scorer,
    bound_scores,
    member_scores,
    score_batch,
    score_index,
)
from vaecli.scoring.single_cells import SingleCells
from vaecli.scoring.string_judge import StringJudge
from vaecli.scoring.surprisal import SurprisalScale
from vaecli.scoring.tail_scale import MIN_OWN_ROWS

BLOCK_ROWS = 8_192
MANY_COLUMNS = 100  # a sum over so many hides one cell, whatever it is: fewer rows must do to judge it alone
MIN_ROWS_OF_MANY = 50  # held out from a family, of which a fifth are beyond the limit of a column
LIMIT_TILES = 32  # about so many tiles, evenly spread over the rows, give the limits of single cells
LIMIT_CELLS = 2**24  # and about so many cells, whose nats are all in memory
FEW_HELD_OUT = 250  # rows held out from a member, below which in-sample scores cannot be raised to what they would be


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibration gives: the scale and the calibration of each score kind, and the judges beside the networks."""

    surprisal_scales: dict[str, SurprisalScale]
    calibrations: dict[str, Calibration]
    cells: SingleCells | None
    neighbours: NeighbourJudge | None
    strings: StringJudge | None


@dataclass(frozen=True, slots=True)
class _SampledLimits:
    """The limits of single cells, and from which of the rows (n,) bool they were computed."""

    limits: CellLimits
    sampled: np.ndarray


def calibrated(
    ensemble: Ensemble,
    rows: Rows,
    may_decide_alone: np.ndarray,
    on_event: OnEvent,
    preprocessor: Preprocessor,
    n_training: int,
    cell_judges: CellJudges | None,
    dependence: Dependence | None = None,
    distrusted: np.ndarray | None = None,
) -> Calibrated:
    """The surprisal scale and the calibration of every score kind, from `rows` of `n_training` rows, with their folds.

    `may_decide_alone` (c,) bool marks the columns of which one cell may decide the score of a row. While the exemplar
    priors have row numbers, these are positions in `rows`. `cell_judges` are those for `rows`. With `dependence`, which
    of the rows resemble each other. No row is normal for being near rows that are `distrusted` (n,) bool.
    """
    unseen_scores = cross_fitted_scores
    if dependence is not None:
        unseen_scores, dependence = held_out_scores, dependence.limited_by(rows.values)
    held_out = rows.fold[:, None] == ensemble.held_out
    if held_out.sum(0).min() < FEW_HELD_OUT and held_out.any(1).all():
        unseen_scores = held_out_scores
    surprisal_scales, calibrations, judges, nearest, strings = {}, {}, None, None, None
    bounds: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    repeated = RepeatedRows.among(rows) if are_independent(rows, dependence) else None
    with threadpool_limits(1):  # of BLAS and of OpenMP: sums of several threads depend on their number
        for i, kind in enumerate(SCORE_KINDS):
            with_max_cell = kind == KIND_WITH_MAX_CELL
            cells = _cell_limits(ensemble, rows, held_out, may_decide_alone) if with_max_cell else None
            if kind in KINDS_OF_BOUND:
                bounds = bounds or _scored_bounds(ensemble, rows, held_out, (i, on_event))
                scores, largest, total_nats = bounds.pop(kind)
            else:
                scores, largest, total_nats = _scored(ensemble, rows, kind, held_out, cells, (i, on_event))
            max_cell = None
            if cells is not None:
                max_cell = MaxCellScale.of(cells.limits, largest, ensemble.family_of_member, held_out)
            mean_column_score = _mean_per_family(total_nats, held_out, ensemble)
            scale = SurprisalScale.of(scores, *score_index(ensemble, kind), held_out, mean_column_score, max_cell)
            row_scores = unseen_scores(scale.of_members(scores.T).T, held_out)
            if with_max_cell:
                judged = fit_neighbour_judge(preprocessor, rows, n_training, dependence is not None, distrusted)
                if judged is not None:
                    nearest, row_scores = judged[0], judged[1].joined(row_scores)
            if max_cell is not None:
                row_scores = larger_of(row_scores, unseen_scores(max_cell.of_members(largest.T).T, held_out))
            if with_max_cell:
                if cell_judges is not None:
                    judges, row_scores = cell_judges.beside(row_scores)
                strings, row_scores = fit_string_judge(preprocessor.layout, rows.readouts, row_scores)
            if repeated is not None:
                beside = (judges, nearest) if with_max_cell else (None, None)
                scorer = Scorer(ensemble.without_row_numbers(), kind, scale, *beside)
                row_scores = repeated.counted(row_scores, partial(_scores_of_new, scorer, rows))
            surprisal_scales[kind], calibrations[kind] = scale, Calibration.of(row_scores, dependence)
    return Calibrated(surprisal_scales, calibrations, judges, nearest, strings)


def are_independent(rows: Rows, dependence: Dependence | None) -> bool:
    """Whether rows resemble each other only by chance, and equal features are copies.

    Strings are read by models that do not know them, so equal ones may have other features.
    """
    return dependence is None and rows.readouts is None


def _scores_of_new(scorer: Scorer, rows: Rows, number: np.ndarray) -> np.ndarray:
    """The scores (g,) of new rows that are like the rows of these numbers (g,)."""
    like = rows.take(number)
    return score_batch(scorer, FeatureBatch(like.values, like.state, np.arange(number.size))).score


def _scored(
    ensemble: Ensemble,
    rows: Rows,
    kind: str,
    held_out: np.ndarray,
    cells: _SampledLimits | None,
    progress: tuple[int, OnEvent],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n, w) of all rows, their largest excesses (n, e) over `cells`, and sums (e, c) of held-out nats."""
    n_rows, (n_before, on_event) = rows.fold.size, progress

    def compute(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        number = np.arange(start, min(start + BLOCK_ROWS, n_rows))
        scores, nats = _member_scores(ensemble, rows, number, kind)
        sums = np.einsum("ne,enc->ec", held_out[number].astype(np.float64), nats)
        if cells is None:
            return scores, np.empty((number.size, 0)), sums
        return scores, cells.limits.largest(nats, (held_out[number] & cells.sampled[number, None]).T).T, sums

    scored, largest, total_nats = [], [], np.zeros((held_out.shape[1], rows.state.shape[1]))
    for scores, excess, sums in map_in_order(compute, range(0, n_rows, BLOCK_ROWS), n_cores()):
        scored.append(scores)
        largest.append(excess)
        total_nats += sums
        n_done = min(len(scored) * BLOCK_ROWS, n_rows)
        on_event(Event("calibrating", n_before * n_rows + n_done, len(SCORE_KINDS) * n_rows, "scores"))
    return np.concatenate(scored), np.concatenate(largest), total_nats


def _scored_bounds(
    ensemble: Ensemble, rows: Rows, held_out: np.ndarray, progress: tuple[int, OnEvent]
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`_scored` by kind for those whose scores are terms of one bound, which is computed once."""
    n_rows, (n_before, on_event) = rows.fold.size, progress

    def compute(start: int) -> tuple[np.ndarray, np.ndarray]:
        number = np.arange(start, min(start + BLOCK_ROWS, n_rows))
        block = rows.take(number)
        scores, nats = bound_scores(ensemble, FeatureBatch(block.values, block.state, number))
        return scores, np.einsum("ne,enc->ec", held_out[number].astype(np.float64), nats)

    scored, total_nats, n_done = [], np.zeros((held_out.shape[1], rows.state.shape[1])), 0
    for scores, sums in map_in_order(compute, range(0, n_rows, BLOCK_ROWS), n_cores()):
        scored.append(scores)
        total_nats += sums
        n_done += len(KINDS_OF_BOUND) * scores.shape[1]
        on_event(Event("calibrating", n_before * n_rows + n_done, len(SCORE_KINDS) * n_rows, "scores"))
    of_kinds = np.concatenate(scored, axis=1)
    return {
        kind: (of_kind, np.empty((n_rows, 0)), total_nats)
        for kind, of_kind in zip(KINDS_OF_BOUND, of_kinds, strict=True)
    }


def _cell_limits(
    ensemble: Ensemble, rows: Rows, held_out: np.ndarray, may_decide_alone: np.ndarray
) -> _SampledLimits | None:
    """The limits, shared by the members of a family; None where too few rows are held out to compute them."""
    if not may_decide_alone.any():
        return None
    family = ensemble.family_of_member
    of_family = [np.flatnonzero(family == f) for f in range(len(ensemble.families))]
    tiles = _tiles(rows, np.stack([held_out[:, members].any(1) for members in of_family]))
    if not tiles:
        return None

    def compute(number: np.ndarray) -> list[np.ndarray]:
        _, nats = _member_scores(ensemble, rows, number, KIND_WITH_MAX_CELL)
        nats, unseen = nats.astype(np.float32), held_out[number].T
        return [np.concatenate([nats[k][unseen[k]] for k in members]) for members in of_family]

    parts = list(map_in_order(compute, tiles, n_cores()))
    limits = CellLimits.of(np.concatenate(nats) for nats in zip(*parts, strict=True))
    limit = np.where(may_decide_alone, limits.limit, NEVER_DECIDES)
    return _SampledLimits(
        CellLimits(limit[family], limits.excess[family], limits.n_beyond[family]),
        sampled=np.isin(np.arange(rows.fold.size), np.concatenate(tiles)),
    )


def _tiles(rows: Rows, unseen: np.ndarray) -> list[np.ndarray]:
    """Row numbers of some tiles, evenly spread, and of more where a family's held-out rows are unevenly distributed.

    `unseen` (families, n) marks the rows held out from a member of each family. No tiles are given when a family has
    fewer than MIN_OWN_ROWS of them, in a table of many columns fewer than MIN_ROWS_OF_MANY.
    """
    n_rows, n_columns = rows.state.shape
    starts = np.arange(0, n_rows, TILE_ROWS)
    held_out = np.add.reduceat(unseen.astype(np.int64), starts, axis=1)
    if held_out.sum(1).min() < (MIN_ROWS_OF_MANY if n_columns >= MANY_COLUMNS else MIN_OWN_ROWS):
        return []
    n_tiles = min(starts.size, LIMIT_TILES, max(LIMIT_CELLS // (TILE_ROWS * n_columns), 1))
    chosen = np.isin(np.arange(starts.size), np.linspace(0, starts.size - 1, n_tiles).round())
    for family in held_out:
        for tile in np.flatnonzero(~chosen & (family > 0)):
            if family[chosen].sum() < MIN_OWN_ROWS:
                chosen[tile] = True
    return [np.arange(start, min(start + TILE_ROWS, n_rows)) for start in starts[chosen]]


def _member_scores(ensemble: Ensemble, rows: Rows, number: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    block = rows.take(number)
    return member_scores(ensemble, FeatureBatch(block.values, block.state, number), kind)


def _mean_per_family(total: np.ndarray, held_out: np.ndarray, ensemble: Ensemble) -> np.ndarray:
    """Sums over held-out rows (e, c) as means over the rows held out from any member of the family: (e, c)."""
    mean, family = np.empty_like(total), ensemble.family_of_member
    for f in range(len(ensemble.families)):
        mean[family == f] = total[family == f].sum(0) / max(int(held_out[:, family == f].sum()), 1)
    return mean
