"""What limits on every column by itself would flag: the check that a model has to beat.

The rarity of a cell among n normal rows, k of which have as unusual a cell in that column:

    log((n + 1) / (k + 1))  +  how far beyond all of them it lies, in standard deviations

A number is as unusual as x if it lies at least as far out on the side of x that is nearer to an end; a word, a gap or a
novel value if it is the same. A row is as rare as its rarest cell, so a limit on rarity is a range for every column
and a list of the words that it may hold. The limit is set to flag as many of the n rows as the detector does, each of
them seen as if it were not one of the n. Where other rows have the first gap or the first novel value of a column, that
counts as ten deviations beyond: such a check costs no false alarm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import PRESENT, Cells
from vaecli.data.kinds import KINDS
from vaecli.evaluation.faults import ReferenceRows

N_STATES = 3
UNSEEN_RARITY = 10.0  # standard deviations


@dataclass(frozen=True, slots=True)
class ColumnLimits:
    """Limits on every column, learned from normal rows."""

    normal: ReferenceRows
    ascending: tuple[np.ndarray, ...]  # the values of each column that are there
    n_in_state: np.ndarray  # (c, 3) how many rows are PRESENT, MISSING, NOVEL
    limit: float  # a row that is rarer is flagged

    @classmethod
    def of(cls, normal: ReferenceRows, n_alarms: int) -> ColumnLimits:
        """Limits that flag the `n_alarms` rarest of the normal rows, fewer where rows are equally rare."""
        c = len(normal.columns)
        ascending = tuple(np.sort(normal.present(j)) for j in range(c))
        states = np.array([np.bincount(normal.cells.state[:, j], minlength=N_STATES) for j in range(c)])
        odd = np.sort(cls(normal, ascending, states, np.inf).rarity(normal.cells, own=1))
        return cls(normal, ascending, states, float(odd[odd.size - 1 - min(n_alarms, odd.size - 1)]))

    def flags(self, cells: Cells) -> np.ndarray:
        """(n,) bool, which of other rows are rarer than the limit."""
        return self.rarity(cells) > self.limit

    def flags_own(self) -> np.ndarray:
        """(n,) bool of the normal rows themselves, each judged by the others."""
        return self.rarity(self.normal.cells, own=1) > self.limit

    def rarity(self, cells: Cells, own: int = 0) -> np.ndarray:
        """(n,) rarity of the rarest cell of each row; `own` is 1 for the normal rows themselves."""
        oddest = np.full(len(cells), -np.inf)
        for j in range(len(self.normal.columns)):
            oddest = np.maximum(oddest, self.rarity_in(j, cells, own))
        return oddest

    def rarity_in(self, j: int, cells: Cells, own: int = 0) -> np.ndarray:
        """(n,) rarity of the cells of column j; `own` as in `rarity`."""
        alike = self.n_in_state[j, cells.state[:, j]] - own
        beyond = np.where((alike == 0) & (own == 0), UNSEEN_RARITY, 0.0)
        present = cells.state[:, j] == PRESENT
        alike[present], beyond[present] = self._among_present(j, cells.values[present, j], own)
        return beyond - np.log1p(alike) + np.log1p(len(self.normal.cells))

    def _among_present(self, j: int, x: np.ndarray, own: int) -> tuple[np.ndarray, np.ndarray]:
        """(how many normal rows are as unusual, how far beyond all of them) for values of column j."""
        known = self.ascending[j]
        left, right = np.searchsorted(known, x, "left"), np.searchsorted(known, x, "right")
        if not KINDS[self.normal.columns[j].kind].is_ordered:
            return right - left - own, np.zeros(x.size)
        if known.size <= own:
            return np.zeros(x.size, np.int64), np.zeros(x.size)
        low, high = known[own], known[known.size - 1 - own]  # for the least and the greatest: those next to them
        with np.errstate(over="ignore"):
            beyond = np.maximum(np.maximum(low - x, x - high), 0.0) / self.normal.spread[j]
        alike = np.minimum(right, known.size - left) - own
        return alike, np.where(alike == 0, beyond, 0.0)
