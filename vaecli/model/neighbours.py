"""How far a row is from the rows of training that are most like it, in plain features.

    d(x) = (1/K) Σ_i ‖x − x_i‖          over the K = 5 nearest of N training rows

Which rows are near is read off a matrix product, ½‖x_i‖² − x·x_i. The distances are not: the product cancels most
digits of rows far from the origin, so they are computed by difference.

Shapes: n rows, c columns, d features, N rows of training.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

K = 5
BLOCK_ROWS = 256  # rows compared at once with all N, in one buffer near the processor
_FAR = np.float32(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Features of N > K rows of training (N, d) float32, and the column (d,) of each feature."""

    rows: np.ndarray
    column: tuple[int, ...]
    _augmented: np.ndarray = field(init=False, repr=False, compare=False)  # (d + 1, N)

    def __post_init__(self) -> None:
        """Lay the rows out for the product."""
        half_square = 0.5 * np.square(self.rows, dtype=np.float64).sum(1)
        object.__setattr__(self, "_augmented", np.vstack([-self.rows.T, half_square[None]]).astype(np.float32))

    def distances(self, values: np.ndarray) -> np.ndarray:
        """The mean distance (n,) float64 of rows with features (n, d) to their K nearest rows, at least 0."""
        distance = np.empty(len(values))
        for start in range(0, len(values), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            distance[block] = np.sqrt(self._squares(values[block], None).sum(2)).mean(1)
        return distance

    def distances_without(self, values: np.ndarray, replaced: np.ndarray, typical: np.ndarray) -> np.ndarray:
        """The distances (m,) of one row, features (d,), whose columns `replaced` (m, c) bool are as usual.

        The squared difference of such a column is then `typical` (c,) of it, whichever rows are nearest.
        """
        square = np.square(values.astype(np.float64) - self.rows)
        by_column = self._by_column(square[None])[0]
        others = np.maximum(square.sum(1)[:, None] - by_column @ replaced.T, 0.0)
        nearest = np.partition(others, K - 1, axis=0)[:K]
        return np.asarray(np.sqrt(nearest + replaced @ typical).mean(0))

    def squares_to_others(self, values: np.ndarray, group: np.ndarray, of_rows: np.ndarray) -> np.ndarray:
        """Squared differences (n, K, c) by column of rows (n, d) to the nearest ones of another group.

        `group` (n,) are the groups of `values`, `of_rows` (N,) those of the rows. Raises ValueError where fewer than K
        rows are of another group.
        """
        if len(of_rows) - np.unique(of_rows, return_counts=True)[1].max() < K:
            raise ValueError(f"fewer than {K} rows of another group")
        blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(values), BLOCK_ROWS)]
        return np.concatenate(
            [self._by_column(self._squares(values[block], group[block, None] == of_rows)) for block in blocks]
        )

    def _squares(self, values: np.ndarray, without: np.ndarray | None) -> np.ndarray:
        """Squared differences (n, K, d) of features to the nearest rows but those that `without` (n, N) marks."""
        product = np.concatenate([values, np.ones((len(values), 1), np.float32)], 1) @ self._augmented
        if without is not None:
            product[without] = _FAR
        nearest = np.empty((len(values), K), np.intp)
        every = np.arange(len(values))
        for k in range(K):
            nearest[:, k] = product.argmin(1)
            product[every, nearest[:, k]] = _FAR
        return np.square(values[:, None].astype(np.float64) - self.rows[nearest])

    def _by_column(self, square: np.ndarray) -> np.ndarray:
        """Sums (…, c) over the features (…, d) of each column."""
        summed = np.zeros((*square.shape[:-1], max(self.column) + 1))
        for i, j in enumerate(self.column):
            summed[..., j] += square[..., i]
        return summed
