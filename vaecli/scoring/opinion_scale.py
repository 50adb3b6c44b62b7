"""What a judge's scores are worth beside those of the ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SMALLEST_SPREAD = 1e-6  # of scores beyond the last knot
LARGEST_NUMBER = 1e100  # of a knot or a limit in a bundle: differences of such numbers are finite


@dataclass(frozen=True, slots=True)
class OpinionScale:
    """A judge's scores in the unit of the ensemble's: knots `judged` and `score` (m,), float64, both ascending.

    They are joined by straight lines. There is no opinion below the first knot; beyond the last the line has `slope`.
    """

    judged: np.ndarray
    score: np.ndarray
    slope: float

    def of_scores(self, judged: np.ndarray) -> np.ndarray:
        """The opinion (n,) on rows that the judge gave the scores `judged` (n,); −inf where it has none."""
        if not self.judged.size:
            return np.full(judged.shape, -np.inf)
        with np.errstate(invalid="ignore"):
            beyond = self.score[-1] + self.slope * (judged - self.judged[-1])
        return np.where(judged > self.judged[-1], beyond, np.interp(judged, self.judged, self.score, left=-np.inf))

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {f"{prefix}.knots": np.stack([self.judged, self.score]), f"{prefix}.slope": np.array([self.slope])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> OpinionScale:
        """The scale in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        knots, slope = arrays[f"{prefix}.knots"], arrays[f"{prefix}.slope"]
        if knots.dtype != np.float64 or slope.dtype != np.float64 or knots.ndim != 2 or len(knots) != 2:
            raise ValueError(f"{prefix}.knots is not (2, m) of float64")
        if slope.shape != (1,) or not 0 <= slope[0] <= LARGEST_NUMBER or not (np.abs(knots) <= LARGEST_NUMBER).all():
            raise ValueError(f"{prefix} holds numbers that no fit gives")
        if (np.diff(knots[0]) <= 0).any() or (np.diff(knots[1]) < 0).any():
            raise ValueError(f"{prefix}.knots do not ascend")
        return cls(knots[0], knots[1], float(slope[0]))


SILENT = OpinionScale(np.empty(0), np.empty(0), 0.0)  # has no opinion on any row


def require_limits(limit: np.ndarray, excess: np.ndarray, n_columns: int, of: str) -> None:
    """Raise ValueError unless limits and units of excess are (n_columns,) float64 that a fit can give; `of` a judge."""
    for name, array in (("limit", limit), ("excess", excess)):
        is_one_each = array.dtype == np.float64 and array.shape == (n_columns,)
        if not is_one_each or not (np.abs(array) <= LARGEST_NUMBER).all():
            raise ValueError(f"{name} of {of} is not one finite number per column")
    if (excess < SMALLEST_SPREAD).any():
        raise ValueError(f"excess of {of} is not positive")
