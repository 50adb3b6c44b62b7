"""Runs of marked rows within a series: what is labelled as one event, what is raised as one alarm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Runs:
    """k runs of rows: `first` and `last` (k,), both included, ascending."""

    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, marked: np.ndarray, series: np.ndarray) -> Runs:
        """The runs of `marked` (n,) bool; `series` (n,) has equal codes for the rows of one series, side by side."""
        rows = np.flatnonzero(marked)
        if not rows.size:
            return cls(rows, rows)
        is_new = (np.diff(rows) > 1) | (np.diff(series[rows]) != 0)
        return cls(rows[np.append(True, is_new)], rows[np.append(is_new, True)])

    @property
    def n(self) -> int:
        """The number of runs."""
        return self.first.size

    def cover(self, n_rows: int) -> np.ndarray:
        """Which of `n_rows` rows lie in a run, (n_rows,) bool."""
        steps = np.zeros(n_rows + 1, np.int64)
        np.add.at(steps, self.first, 1)
        np.add.at(steps, self.last + 1, -1)
        covered: np.ndarray = np.cumsum(steps)[:-1] > 0
        return covered

    def contain(self, marked: np.ndarray) -> np.ndarray:
        """Whether a row of `marked` (n,) bool lies in each run, (k,) bool."""
        before = np.append(0, np.cumsum(marked))
        found: np.ndarray = before[self.last + 1] > before[self.first]
        return found
