"""The most extreme single cell of a row, on the scale of surprisal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vaecli.data.per_column import per_column
from vaecli.data.transforms import distinct
from vaecli.scoring.tail_scale import SMALLEST_SPREAD, TAIL_BEGINS, TailScales, fit_scales

LIMIT = 0.99  # the quantile of a column's nats beyond which a single cell counts; lower for few rows, so that
MIN_BEYOND = 100  # cells are beyond it: the mean excess of fewer is too noisy to be a unit
NEVER_DECIDES = 1e100  # nats: the limit of a column of which no cell decides; differences from it must be finite
_SLICE_ROWS = 1024  # whose excesses are in memory at once
KIND_WITH_MAX_CELL = "combined"  # the score kind in which one cell alone may decide
ROUNDING = 1e-6  # of nats and limits: several times as much as float32 rounds a relative excess by
MAX_CELL_PENALTY = 2.0  # nats of surprisal by which a single cell must exceed its row


@dataclass(frozen=True, slots=True)
class CellLimits:
    """Per member and column (e, c): the limit of a cell's nats, the mean excess beyond it, how many cells exceed it."""

    limit: np.ndarray  # (e, c)
    excess: np.ndarray  # (e, c)
    n_beyond: np.ndarray  # (e, c)

    @classmethod
    def of(cls, columns: Iterable[np.ndarray]) -> CellLimits:
        """The limits in each member's nats (n, c) of held-out cells."""
        of_members = []
        for nats in columns:
            level = max(min(1 - MIN_BEYOND / len(nats), LIMIT), TAIL_BEGINS)
            limit = np.quantile(nats, level, axis=0).astype(np.float64)
            beyond = nats > limit
            n_beyond = np.maximum(beyond.sum(0), 1)
            of_members.append((limit, np.where(beyond, nats - limit, 0.0).sum(0) / n_beyond, n_beyond))
        limits, excesses, numbers = map(np.stack, zip(*of_members, strict=True))
        return cls(limits, np.maximum(excesses, SMALLEST_SPREAD), numbers)

    def largest(self, column_score: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The largest excess of each row by each member (e, n), from nats (e, n, c).

        `own` (e, n) bool marks the rows that the limits came from. These rows are scored leave-one-out, as new rows
        are; otherwise the most extreme cell would be compared with itself.
        """
        largest = np.empty(column_score.shape[:2])
        for k, nats in enumerate(column_score):
            total, n_others = self.excess[k] * self.n_beyond[k], np.maximum(self.n_beyond[k] - 1, 1)
            for start in range(0, len(nats), _SLICE_ROWS):
                rows = slice(start, start + _SLICE_ROWS)
                over = nats[rows] - self.limit[k]
                mine, excess = own[k, rows], over / self.excess[k]
                of_others = np.maximum((total - over[mine]) / n_others, SMALLEST_SPREAD)
                excess[mine] = np.where(over[mine] > 0, over[mine] / of_others, excess[mine])
                largest[k, rows] = excess.max(-1)
        return largest


@dataclass(frozen=True, slots=True)
class MaxCellScale:
    """The scale of the most extreme single cell of a row, for e members and c columns, float64.

    The excess of a cell over its column's limit is divided by the mean excess of normal cells beyond that limit. A
    member's score of a row is the largest of these relative excesses.
    """

    limit: np.ndarray  # (e, c) nats of held-out cells at a quantile from 80 % to LIMIT
    excess: np.ndarray  # (e, c) mean nats beyond it of those that are beyond
    knots: np.ndarray  # (e, 65) largest excess of held-out rows at LEVELS, ascending
    spread: np.ndarray  # (e,) mean excess over the last knot
    _scales: TailScales = field(init=False, repr=False, compare=False)
    _per_excess: np.ndarray = field(init=False, repr=False, compare=False)  # (2, e, c) float32: nats · [0] + [1]
    _floors: list[np.ndarray] = field(default_factory=list, init=False, repr=False, compare=False)  # see `may_decide`

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows."""
        object.__setattr__(self, "_scales", TailScales(self.knots, self.spread))
        with np.errstate(over="ignore"):  # a column that never decides
            per_excess = np.stack([1 / self.excess, -self.limit / self.excess]).astype(np.float32)
        object.__setattr__(self, "_per_excess", per_excess)

    @classmethod
    def of(cls, limits: CellLimits, largest: np.ndarray, score_type: np.ndarray, held_out: np.ndarray) -> MaxCellScale:
        """The scale of the `largest` excess (n, e) per training row; others, and errors, as in `SurprisalScale.of`."""
        knots, spread = fit_scales(largest, np.arange(len(limits.limit)), score_type, held_out)
        return cls(limits.limit, limits.excess, knots, spread)

    def largest(self, column_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest excess of each row by each member, and the column it is in, both (e, n), from nats (e, n, c)."""
        largest, where = np.empty(column_score.shape[:2]), np.empty(column_score.shape[:2], np.int64)
        first = np.arange(column_score.shape[1]) * column_score.shape[2]
        for k, nats in enumerate(column_score):  # one member after the other: its cells stay in the processor's cache
            excess = self._excess(k, nats)
            where[k] = excess.argmax(-1)
            largest[k] = excess.take(first + where[k])
        return largest, where

    def may_decide(self, column_score: np.ndarray, together: np.ndarray) -> np.ndarray:
        """The rows (m,) whose most extreme cell may exceed their surprisal `together` (n,), from nats (e, n, c).

        All rows that it decides are among them, and few others.
        """
        if not self._floors:
            tried = distinct(np.append(self.knots, 0.0))
            found = self.of_members(np.broadcast_to(tried, (len(self.limit), tried.size))).mean(0)
            too_little = np.flatnonzero(found <= MAX_CELL_PENALTY)
            never = float(tried[too_little[-1]]) if too_little.size else -np.inf
            floor = self.limit + never * self.excess
            with np.errstate(over="ignore"):  # a column that never decides
                self._floors.append((floor - ROUNDING * (np.abs(floor) + np.abs(self.limit))).astype(np.float32))
        may = ~(together >= 0)
        for nats, floor in zip(column_score, self._floors[0], strict=True):
            beyond = np.flatnonzero(per_column(np.greater, nats, floor))
            beyond //= nats.shape[1]
            may[beyond] = True
        return np.flatnonzero(may)

    def _excess(self, k: int, nats: np.ndarray) -> np.ndarray:
        """The relative excesses (n, c) of cells of `nats` (n, c) by member `k`, float32."""
        excess = np.multiply(nats, self._per_excess[0, k], dtype=np.float32, casting="same_kind")
        excess += self._per_excess[1, k]
        return excess

    def of_members(self, largest: np.ndarray) -> np.ndarray:
        """The surprisal (e, n) of each member in nats at the largest excess (e, n); higher is more anomalous."""
        return self._scales.at(largest)


def larger_of(together: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """The larger surprisal (n,) in nats: `together` (n,) of all cells, or `alone` (n,) of one less the penalty."""
    return np.maximum(together, alone - MAX_CELL_PENALTY)
