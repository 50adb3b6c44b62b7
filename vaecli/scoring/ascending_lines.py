"""Values on lines through ascending points, found without a search: many values at once, a few operations for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.transforms import distinct

N_CELLS = 1024  # of a grid over the points, by which the points around a value are found


@dataclass(frozen=True, slots=True)
class AscendingLines:
    """J functions, each of straight lines through P points of one sequence of heights: `np.interp`, but sooner.

    Cell i of function j begins at `points[j, 0] + i / per_unit[j]`. The last point that is not above a value in it is
    the one that `cell` (J, N_CELLS) names or the next, unless the cell is `crowded` (J, N_CELLS): those hold several
    points. `point`, the point that is `following`, and the `slope` of the line between the two are (J P,), one function
    after the other.
    """

    points: np.ndarray
    per_unit: np.ndarray
    cell: np.ndarray
    crowded: np.ndarray
    point: np.ndarray
    following: np.ndarray
    slope: np.ndarray
    height: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, heights: np.ndarray) -> AscendingLines:
        """The lines through points (J, P), ascending in each row, at ascending heights (P,)."""
        span = np.maximum(points[:, -1:] - points[:, :1], 1e-12)
        edges = points[:, :1] + np.arange(N_CELLS + 1) / N_CELLS * span
        slack = 1e-9 * span + 1e-14 * np.abs(points).max(1, keepdims=True)  # far more than rounding moves an edge by
        first = [np.searchsorted(row, at, "right") - 1 for row, at in zip(points, edges[:, :-1] - slack, strict=True)]
        last = [np.searchsorted(row, at, "right") - 1 for row, at in zip(points, edges[:, 1:] + slack, strict=True)]
        start, width = np.maximum(first, 0), np.diff(points, axis=1)
        of_row = np.arange(len(points))[:, None] * points.shape[1]
        slope = np.divide(np.diff(heights), width, out=np.zeros_like(width), where=width > 1e-300)
        return cls(
            points,
            N_CELLS / span,
            (start + of_row).astype(np.intp),
            np.asarray(last) - start > 1,
            points.ravel(),
            np.append(points[:, 1:], np.full((len(points), 1), np.inf), axis=1).ravel(),
            np.append(slope, np.zeros((len(points), 1)), axis=1).ravel(),
            np.tile(heights, len(points)),
        )

    def at(self, values: np.ndarray, rows: slice, out: np.ndarray) -> None:
        """Write the heights at `values` (j, n), float64, on the functions `rows` into `out` (j, n), float64.

        Before the first point it is the first height, beyond the last, and of NaN, some height.
        """
        points = self.points[rows]
        first, n_points = points[:, :1], points.shape[1]
        inside = np.fmin(np.fmax(values, first), points[:, -1:])  # of NaN and a point, the point
        place = np.subtract(inside, first, out=out)
        place *= self.per_unit[rows]
        cell = place.astype(np.intp)
        np.minimum(cell, N_CELLS - 1, out=cell)
        cell += np.arange(rows.start, rows.start + len(values))[:, None] * N_CELLS
        at = self.cell.ravel()[cell]
        at += self.following[at] <= inside
        if self.crowded[rows].any():
            j, i = np.nonzero(self.crowded.ravel()[cell])
            for row in distinct(j):
                mine = i[j == row]
                at[row, mine] = np.searchsorted(points[row], inside[row, mine], "right") - 1
                at[row, mine] += (rows.start + row) * n_points
        np.subtract(inside, self.point[at], out=out)
        out *= self.slope[at]
        out += self.height[at]
