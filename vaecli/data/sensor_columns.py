"""Which sensors the columns of a table become: numbers and booleans one each, categories one per value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import NOVEL, Cells
from vaecli.schema import Column, Kind


@dataclass(frozen=True, slots=True)
class SensorColumns:
    """The D sensors of c feature columns: `column` (D,) is the position of each sensor's column.

    A categorical column becomes one sensor per category, 1 where the cell holds it, and one more for values that
    training never saw.
    """

    columns: tuple[Column, ...]

    @property
    def column(self) -> np.ndarray:
        """(D,) int64: the position among the columns of each sensor's column, ascending."""
        return np.repeat(np.arange(len(self.columns)), [_n_sensors(column) for column in self.columns])

    @property
    def n_sensors(self) -> int:
        """The number D of sensors."""
        return sum(map(_n_sensors, self.columns))

    def readings(self, cells: Cells) -> np.ndarray:
        """Readings (n, D) float64 of cells (n, c); NaN where a cell is missing.

        A novel number (an infinity, a 2 among zeros and ones) is infinite: further out than any reading.
        """
        parts: list[np.ndarray] = []
        for j, column in enumerate(self.columns):
            values, state = cells.values[:, j], cells.state[:, j]
            if column.kind is Kind.CATEGORICAL:
                parts.append(_indicators(values, state, column.n_categories))
            else:
                parts.append(np.where(state == NOVEL, np.inf, values)[:, None])
        return np.concatenate(parts, axis=1) if parts else np.empty((len(cells), 0))


def _n_sensors(column: Column) -> int:
    return column.n_categories + 1 if column.kind is Kind.CATEGORICAL else 1


def _indicators(values: np.ndarray, state: np.ndarray, n_categories: int) -> np.ndarray:
    code = np.where(state == NOVEL, n_categories, np.where(np.isnan(values), -1, values)).astype(np.int64)
    indicators = (code[:, None] == np.arange(n_categories + 1)).astype(np.float64)
    indicators[code < 0] = np.nan
    return indicators
