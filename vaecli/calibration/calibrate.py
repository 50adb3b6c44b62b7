"""The last step of a fit: what scores mean, found from rows that the scoring members did not learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.cross_fitting import cross_fitted_scores
from vaecli.config import SCORE_KINDS
from vaecli.data.preprocessor import FeatureBatch
from vaecli.data.training_rows import Rows
from vaecli.model.ensemble import Family
from vaecli.model.tiles import TILE_ROWS
from vaecli.results import Event, OnEvent
from vaecli.runtime.parallel import map_in_order, n_cores
from vaecli.scoring.max_cell import NEVER_DECIDES, CellLimits, MaxCellScale, larger_of
from vaecli.scoring.scores import member_scores, score_owners
from vaecli.scoring.surprisal import SurprisalScale
from vaecli.scoring.tail_scale import MIN_OWN_ROWS

BLOCK_ROWS = 8_192
LIMIT_TILES = 32  # from all over the rows, about so many give the limits of single cells
LIMIT_CELLS = 2**24  # and about so many cells, whose nats are all in memory
BY_CELLS = "combined"  # the score kind in which one cell alone may decide


@dataclass(frozen=True, slots=True)
class _Known:
    """The limits of single cells, and which rows (n,) they are from."""

    limits: CellLimits
    rows: np.ndarray


def calibrated(
    families: tuple[Family, ...], rows: Rows, may_decide_alone: np.ndarray, on_event: OnEvent
) -> tuple[dict[str, SurprisalScale], dict[str, Calibration]]:
    """Every score kind on the scale of surprisal, and calibrated.

    `may_decide_alone` (c,) bool: the columns of which one cell may decide the score of a row.
    """
    held_out = rows.fold[:, None] == np.concatenate([family.held_out for family in families])
    surprisal_scales, calibrations = {}, {}
    with threadpool_limits(1, "blas"):
        for i, kind in enumerate(SCORE_KINDS):
            cells = _known(families, rows, held_out, may_decide_alone) if kind == BY_CELLS else None
            scores, largest, mean_column_score = _scored(families, rows, kind, held_out, cells, (i, on_event))
            member, score_type = score_owners(families, kind)
            max_cell = None if cells is None else MaxCellScale.of(cells.limits, largest, _family_of(families), held_out)
            surprisal = SurprisalScale.of(
                scores, member, score_type, held_out, _per_row(mean_column_score, held_out, families), max_cell
            )
            surprisal_scales[kind] = surprisal
            found = cross_fitted_scores(surprisal.of_members(scores.T).T, held_out)
            if max_cell is not None:
                found = larger_of(found, cross_fitted_scores(max_cell.of_members(largest.T).T, held_out))
            calibrations[kind] = Calibration.of(found)
    return surprisal_scales, calibrations


def _scored(
    families: tuple[Family, ...],
    rows: Rows,
    kind: str,
    held_out: np.ndarray,
    cells: _Known | None,
    progress: tuple[int, OnEvent],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n, w) of all rows, with `cells` their largest excesses (n, e), sums (e, c) of nats of held-out cells."""
    n_rows, (n_before, on_event) = rows.fold.size, progress

    def compute(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        number = np.arange(start, min(start + BLOCK_ROWS, n_rows))
        scores, columns = _of(families, rows, number, kind)
        sums = np.einsum("ne,enc->ec", held_out[number].astype(np.float64), columns)
        if cells is None:
            return scores, np.empty((number.size, 0)), sums
        return scores, cells.limits.largest(columns, (held_out[number] & cells.rows[number, None]).T).T, sums

    scored, largest, mean_column_score = [], [], np.zeros((held_out.shape[1], rows.state.shape[1]))
    for scores, excess, sums in map_in_order(compute, range(0, n_rows, BLOCK_ROWS), n_cores()):
        scored.append(scores)
        largest.append(excess)
        mean_column_score += sums
        n_done = min(len(scored) * BLOCK_ROWS, n_rows)
        on_event(Event("calibrating", n_before * n_rows + n_done, len(SCORE_KINDS) * n_rows, "scores"))
    return np.concatenate(scored), np.concatenate(largest), mean_column_score


def _known(
    families: tuple[Family, ...], rows: Rows, held_out: np.ndarray, may_decide_alone: np.ndarray
) -> _Known | None:
    """Limits, one a family, as members of one kind are alike; None where too few rows are held out to draw them."""
    if not may_decide_alone.any():
        return None
    family = _family_of(families)
    of_family = [np.flatnonzero(family == f) for f in range(len(families))]
    tiles = _tiles(rows, np.stack([held_out[:, members].any(1) for members in of_family]))
    if not tiles:
        return None

    def compute(number: np.ndarray) -> list[np.ndarray]:
        columns, unseen = _of(families, rows, number, BY_CELLS)[1].astype(np.float32), held_out[number].T
        return [np.concatenate([columns[k][unseen[k]] for k in members]) for members in of_family]

    parts = list(map_in_order(compute, tiles, n_cores()))
    found = CellLimits.of(np.concatenate(nats) for nats in zip(*parts, strict=True))
    known = np.isin(np.arange(rows.fold.size), np.concatenate(tiles))
    limit = np.where(may_decide_alone, found.limit, NEVER_DECIDES)
    return _Known(CellLimits(limit[family], found.excess[family], found.n_beyond[family]), known)


def _tiles(rows: Rows, unseen: np.ndarray) -> list[np.ndarray]:
    """Numbers of the rows in some tiles, evenly spread, and in more of them where groups or times come in order.

    `unseen` (families, n) tells which rows are held out; no tiles where these are below MIN_OWN_ROWS for a family.
    """
    n_rows, n_columns = rows.state.shape
    starts = np.arange(0, n_rows, TILE_ROWS)
    held_out = np.add.reduceat(unseen.astype(np.int64), starts, axis=1)
    if held_out.sum(1).min() < MIN_OWN_ROWS:
        return []
    n_tiles = min(starts.size, LIMIT_TILES, max(LIMIT_CELLS // (TILE_ROWS * n_columns), 1))
    chosen = np.isin(np.arange(starts.size), np.linspace(0, starts.size - 1, n_tiles).round())
    for family in held_out:
        for tile in np.flatnonzero(~chosen & (family > 0)):
            if family[chosen].sum() < MIN_OWN_ROWS:
                chosen[tile] = True
    return [np.arange(start, min(start + TILE_ROWS, n_rows)) for start in starts[chosen]]


def _of(families: tuple[Family, ...], rows: Rows, number: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    block = rows.take(number)
    return member_scores(families, FeatureBatch(block.values, block.state, number), kind)


def _family_of(families: tuple[Family, ...]) -> np.ndarray:
    """(e,) the number of each member's family."""
    return np.repeat(np.arange(len(families)), [len(family.held_out) for family in families])


def _per_row(total: np.ndarray, held_out: np.ndarray, families: tuple[Family, ...]) -> np.ndarray:
    """Sums over held-out rows (e, c) as means over the rows held out from any member of the family: (e, c)."""
    means = []
    for part in np.split(np.arange(held_out.shape[1]), np.cumsum([len(family.held_out) for family in families])[:-1]):
        mean = total[part].sum(0) / max(int(held_out[:, part].sum()), 1)
        means += [mean] * part.size
    return np.stack(means)
