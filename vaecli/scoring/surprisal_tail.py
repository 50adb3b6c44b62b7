"""From read-outs to surprisals: -log of the share of normal rows that read at least as much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

TAIL_SHARE = 0.05  # of the held-out rows; beyond it the surprisal grows along an exponential tail
N_POINTS = 256
_LEAST_EXCESS = 0.05  # natural logarithms; a tail is not steeper than this
_SHARES = -np.log1p(-np.linspace(0, 1 - TAIL_SHARE, N_POINTS))
N_CELLS = 1024  # of a grid over the points, by which the points around a value are found
AT_ONCE = 2**14  # values that are looked up together, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Steps:
    """What finds the two points around values, for J read-outs: the same as a search among the points, but sooner.

    Cell i of read-out j begins at `points[j, 0] + i / per_unit[j]`. The last point that is not above a value in it is
    the one that `cell` (J, N_CELLS) names or the next, unless the cell is `crowded` (J, N_CELLS): those hold several
    points. `point`, the point that is `following`, and the `slope` of the surprisal between the two are (J N_POINTS,),
    one read-out after the other.
    """

    per_unit: np.ndarray
    cell: np.ndarray
    crowded: np.ndarray
    point: np.ndarray
    following: np.ndarray
    slope: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> Steps:
        """The steps between points (J, N_POINTS), ascending in each row."""
        span = np.maximum(points[:, -1:] - points[:, :1], 1e-12)
        edges = points[:, :1] + np.arange(N_CELLS + 1) / N_CELLS * span
        slack = 1e-9 * span + 1e-14 * np.abs(points[:, -1:])  # far more than rounding moves an edge by
        first = [np.searchsorted(row, at, "right") - 1 for row, at in zip(points, edges[:, :-1] - slack, strict=True)]
        last = [np.searchsorted(row, at, "right") - 1 for row, at in zip(points, edges[:, 1:] + slack, strict=True)]
        start, width = np.maximum(first, 0), np.diff(points, axis=1)
        of_row = np.arange(len(points))[:, None] * points.shape[1]
        slope = np.divide(np.diff(_SHARES), width, out=np.zeros_like(width), where=width > 1e-300)
        return cls(
            N_CELLS / span,
            (start + of_row).astype(np.int32),
            np.asarray(last) - start > 1,
            points.ravel(),
            np.append(points[:, 1:], np.full((len(points), 1), np.inf), axis=1).ravel(),
            np.append(slope, np.zeros((len(points), 1)), axis=1).ravel(),
        )


@dataclass(frozen=True, slots=True)
class SurprisalTails:
    """Surprisal scales of J read-outs, each by its own held-out values of normal rows.

    With z = log(1 + value / median): up to the 95 % quantile of z the surprisal is -log of the share of values that are
    at least as large; beyond it grows by (z - quantile) / mean excess. `median` (J,), `points` (J, N_POINTS) ascending
    z at evenly spaced shares up to the quantile, `excess` (J,): all float64.
    """

    median: np.ndarray
    points: np.ndarray
    excess: np.ndarray
    _steps: list[Steps] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, values: np.ndarray) -> SurprisalTails:
        """The scales by held-out values (J, n), at least 0; columns with NaN are left out."""
        values = values[:, np.isfinite(values).all(0)].astype(np.float64)
        median = np.maximum(np.median(values, axis=1), 1e-9)
        z = np.sort(np.log1p(np.maximum(values, 0) / median[:, None]), axis=1)
        points = np.quantile(z, np.linspace(0, 1 - TAIL_SHARE, N_POINTS), axis=1).T
        points = np.maximum.accumulate(points, axis=1)
        excess = np.empty(len(z))
        for j, row in enumerate(z):
            beyond = row[row > points[j, -1]] - points[j, -1]
            excess[j] = max(beyond.mean() if beyond.size > 3 else 0.1 * (row.std() + 1e-6), _LEAST_EXCESS)
        return cls(median, points, excess)

    def surprisals(self, values: np.ndarray) -> np.ndarray:
        """The surprisals in nats (J, n) of values (J, n), at least 0, float64; NaN of NaN."""
        out = np.empty(values.shape)
        most = max(AT_ONCE // max(values.shape[1], 1), 1)
        for start in range(0, len(values), most):
            rows = slice(start, start + most)
            self._surprisals(values[rows], rows, out[rows])
        return out

    def _surprisals(self, values: np.ndarray, rows: slice, out: np.ndarray) -> None:
        if not self._steps:
            self._steps.append(Steps.of(self.points))
        steps, points = self._steps[0], self.points[rows]
        first, last = points[:, :1], points[:, -1:]
        z = np.log1p(np.maximum(values, 0).astype(np.float64) / self.median[rows, None])
        inside = np.clip(np.nan_to_num(z), first, last)
        cell = ((inside - first) * steps.per_unit[rows]).astype(np.intp)
        np.minimum(cell, N_CELLS - 1, out=cell)
        cell += np.arange(rows.start, rows.start + len(values))[:, None] * N_CELLS
        at = steps.cell.ravel()[cell]
        at += steps.following[at] <= inside
        if steps.crowded[rows].any():
            j, i = np.nonzero(steps.crowded.ravel()[cell])
            for row in np.unique(j):
                mine = i[j == row]
                at[row, mine] = np.searchsorted(points[row], inside[row, mine], "right") - 1
                at[row, mine] += (rows.start + row) * N_POINTS
        np.subtract(inside, steps.point[at], out=out)
        out *= steps.slope[at]
        out += _SHARES[at % N_POINTS]
        out[z < first] = 0
        out += np.maximum(z - last, 0) / self.excess[rows, None]

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {f"{prefix}.median": self.median, f"{prefix}.points": self.points, f"{prefix}.excess": self.excess}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str, n_readouts: int) -> SurprisalTails:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
        tails = cls(*(arrays[f"{prefix}.{name}"] for name in ("median", "points", "excess")))
        shapes = ((n_readouts,), (n_readouts, N_POINTS), (n_readouts,))
        for array, shape in zip((tails.median, tails.points, tails.excess), shapes, strict=True):
            if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
                raise ValueError(f"{prefix} does not hold finite float64 of the shapes {shapes}")
        if (tails.median <= 0).any() or (tails.excess <= 0).any() or (np.diff(tails.points, axis=1) < 0).any():
            raise ValueError(f"{prefix}: medians, excesses or points are out of range")
        return tails
