"""Products of whitening matrices with many columns, in tiles of one size, so that no bit depends on the tile.

BLAS rounds a column by the kernel that computes it. In a product of TILE columns all but GUARD at either end are
computed by the same one, wherever they stand. So tiles overlap, and the columns at their ends are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

TILE = 256  # columns of one product
GUARD = 8  # columns at either end whose result is not used
INNER = TILE - 2 * GUARD
_PARTS, _LEAST_PART = 5, 24  # of a triangular matrix, and the fewest rows of one; more parts save little more


class ReadoutTiles:
    """The tiles of `n` columns: arrays that hold them have GUARD columns more at either end, and fill whole tiles."""

    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        self.n = n

    def empty(self, *shape: int) -> np.ndarray:
        """An array (…, columns) for `rows` to be written to, float32; zeros outside of them."""
        width = -(-self.n // INNER) * INNER + 2 * GUARD
        out = np.empty((*shape, width), np.float32)
        out[..., :GUARD] = 0
        out[..., GUARD + self.n :] = 0
        return out

    def rows(self, columns: np.ndarray) -> np.ndarray:
        """The part (…, n) of an array of `empty` that holds the n columns."""
        return columns[..., GUARD : GUARD + self.n]

    def each(self) -> Iterator[tuple[slice, slice]]:
        """For each tile: which of the n columns it gives, and where they are in it."""
        for start in range(0, self.n, INNER):
            stop = min(start + INNER, self.n)
            yield slice(start, stop), slice(GUARD, GUARD + stop - start)

    def mean_squares(self, whitening: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
        """Write the mean squared whitened statistic of each sensor into `out` (d, n); `whitening` (d, F, F).

        `z` (d, F, columns) is an array of `empty`.
        """
        for columns, within in self.each():
            whitened = np.matmul(whitening, z[:, :, columns.start : columns.start + TILE])
            out[:, columns] = _mean_square(whitened, 1)[:, within]

    def mean_squares_of_all(self, whitening: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
        """Write the mean squared whitened statistic of all sensors into `out` (n,); `whitening` (dF, dF).

        `whitening` is lower triangular, and the products leave most of its zeros out.
        """
        flat = z.reshape(-1, z.shape[-1])
        size = len(whitening)
        n_parts = min(_PARTS, max(size // _LEAST_PART, 1))
        edges = [size * i // n_parts for i in range(n_parts + 1)]
        parts = [(slice(a, b), b, np.ascontiguousarray(whitening[a:b, :b])) for a, b in pairwise(edges)]
        whitened = np.empty((size, TILE), np.float32)
        for columns, within in self.each():
            tile = flat[:, columns.start : columns.start + TILE]
            for rows, n_inputs, part in parts:
                np.matmul(part, tile[:n_inputs], out=whitened[rows])
            out[columns] = _mean_square(whitened, 0)[within]


def _mean_square(whitened: np.ndarray, axis: int) -> np.ndarray:
    """The mean along an axis of squares, which take the place of what they are of."""
    total = np.add.reduce(np.square(whitened, out=whitened), axis=axis)
    total /= np.float32(whitened.shape[axis])
    return np.asarray(total)
