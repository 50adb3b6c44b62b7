"""The last step of a fit: what scores mean, found from rows that the scoring members did not learn from."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.calibration import Calibration, ensemble_scores
from vaecli.config import SCORE_KINDS
from vaecli.cores import in_order, n_cores
from vaecli.features import Rows
from vaecli.preprocess import FeatureBatch
from vaecli.results import Event, OnEvent
from vaecli.scoring import TILE_ROWS, Family, member_scores, score_owners
from vaecli.surprise import Limits, Single, Surprise, joined

BLOCK_ROWS = 8_192
LIMIT_TILES = 32  # from all over the rows, at most so many give the limits of single cells
LIMIT_CELLS = 2**24  # and at most so many cells, whose nats are all in memory
SINGLE = "combined"  # the score kind in which one cell alone may decide


def calibrated(
    families: tuple[Family, ...], rows: Rows, on_event: OnEvent
) -> tuple[dict[str, Surprise], dict[str, Calibration]]:
    """Every score kind on a common scale, and calibrated."""
    held_out = rows.fold[:, None] == np.concatenate([family.held_out for family in families])
    surprises, calibrations = {}, {}
    with threadpool_limits(1, "blas"):
        limits, known = _limits(families, rows, held_out)
        for i, kind in enumerate(SCORE_KINDS):
            scores, largest, typical = _scored(families, rows, kind, held_out, limits, known, (i, on_event))
            member, sort = score_owners(families, kind)
            single = Single.of(limits, largest, _family_of(families), held_out) if kind == SINGLE else None
            surprise = Surprise.of(scores, member, sort, held_out, _per_row(typical, held_out, families), single)
            surprises[kind] = surprise
            found = ensemble_scores(surprise.of_members(scores.T).T, held_out)
            if single is not None:
                found = joined(found, ensemble_scores(single.of_members(largest.T).T, held_out))
            calibrations[kind] = Calibration.of(found)
    return surprises, calibrations


def _scored(
    families: tuple[Family, ...],
    rows: Rows,
    kind: str,
    held_out: np.ndarray,
    limits: Limits,
    known: np.ndarray,
    progress: tuple[int, OnEvent],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n, w) of all rows and their largest excesses (n, e); sums (e, c) of the nats of held-out cells."""
    n_rows, (n_before, on_event) = rows.fold.size, progress

    def compute(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        number = np.arange(start, min(start + BLOCK_ROWS, n_rows))
        scores, columns = _of(families, rows, number, kind)
        sums = np.einsum("ne,enc->ec", held_out[number].astype(np.float64), columns)
        return scores, limits.largest(columns, (held_out[number] & known[number, None]).T).T, sums

    scored, largest, typical = [], [], np.zeros((held_out.shape[1], rows.state.shape[1]))
    for scores, excess, sums in in_order(compute, range(0, n_rows, BLOCK_ROWS), n_cores()):
        scored.append(scores)
        largest.append(excess)
        typical += sums
        n_done = min(len(scored) * BLOCK_ROWS, n_rows)
        on_event(Event("calibrating", n_before * n_rows + n_done, len(SCORE_KINDS) * n_rows, "scores"))
    return np.concatenate(scored), np.concatenate(largest), typical


def _limits(families: tuple[Family, ...], rows: Rows, held_out: np.ndarray) -> tuple[Limits, np.ndarray]:
    """The limits of single cells, one a family, as members of one kind are alike; and the rows they are from, (n,)."""
    family = _family_of(families)

    def compute(number: np.ndarray) -> list[np.ndarray]:
        columns, unseen = _of(families, rows, number, SINGLE)[1].astype(np.float32), held_out[number].T
        of_family = [np.flatnonzero(family == f) for f in range(len(families))]
        return [np.concatenate([columns[k][unseen[k]] for k in members]) for members in of_family]

    tiles = _tiles(*rows.state.shape)
    parts = list(in_order(compute, tiles, n_cores()))
    found = Limits.of(np.concatenate(nats) for nats in zip(*parts, strict=True))
    known = np.isin(np.arange(rows.fold.size), np.concatenate(tiles))
    return Limits(found.limit[family], found.excess[family], found.n_beyond[family]), known


def _tiles(n_rows: int, n_columns: int) -> list[np.ndarray]:
    """Numbers of the rows in some tiles, evenly spread; of few rows in all of them."""
    starts = np.arange(0, n_rows, TILE_ROWS)
    n_tiles = min(starts.size, LIMIT_TILES, max(LIMIT_CELLS // (TILE_ROWS * n_columns), 1))
    chosen = np.linspace(0, starts.size - 1, n_tiles).round().astype(int)
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
