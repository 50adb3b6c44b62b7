"""From read-outs to surprisals: -log of the share of normal rows that read at least as much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.scoring.ascending_lines import AscendingLines

TAIL_SHARE = 0.05  # of the held-out rows; beyond it the surprisal grows along an exponential tail
N_POINTS = 256
_LEAST_EXCESS = 0.05  # natural logarithms; a tail is not steeper than this
_SHARES = -np.log1p(-np.linspace(0, 1 - TAIL_SHARE, N_POINTS))
AT_ONCE = 2**14  # values that are looked up together, so that they stay in the processor's cache


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
    _lines: list[AscendingLines] = field(default_factory=list, init=False, repr=False, compare=False)

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
        if not self._lines:
            self._lines.append(AscendingLines.of(self.points, _SHARES))
        first, last = self.points[rows, :1], self.points[rows, -1:]
        z = np.log1p(np.maximum(values, 0).astype(np.float64) / self.median[rows, None])
        self._lines[0].at(z, rows, out)
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
