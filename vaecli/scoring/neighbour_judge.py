"""A judge that needs no fit: how far a row is from its nearest rows of training, beside the networks in small tables.

    score = (s + w · k) / (1 + w),   s the ensemble's surprisal, k the surprisal of the distance, w = min(1, 300/n)

A network has little to learn from in a few hundred noisy rows, and the distance to the nearest of them is then the
better judge. Its weight falls with the number n of training rows; beyond 2,000 it is not asked.
See docs/adr/0037-neighbours-in-small-tables.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.named_arrays import arrays_within
from vaecli.data.plain_features import PlainFeatures
from vaecli.data.preprocessor import Preprocessor
from vaecli.model.neighbours import K, Neighbours
from vaecli.scoring.tail_scale import LEVELS, checked_scale, surprisal_at

MOST_ROWS = 2_000
FULL_WEIGHT_ROWS = 300
SMALLEST_UNIT = 1e-6  # of distance: fewer are rounding errors
LARGEST_FEATURE = 1e6  # of a row in a bundle, far beyond what the preprocessor gives


@dataclass(frozen=True, slots=True)
class Beside:
    """Surprisals (n,) of rows by the neighbour judge, in nats, and their `weight` beside the ensemble's."""

    surprisal: np.ndarray
    weight: float

    def joined(self, together: np.ndarray) -> np.ndarray:
        """The weighted mean (n,) with the ensemble's surprisals `together` (n,)."""
        return (together + self.weight * self.surprisal) / (1 + self.weight)

    @property
    def ensemble_share(self) -> float:
        """The share of the ensemble's surprisal in the mean."""
        return 1 / (1 + self.weight)


@dataclass(frozen=True, slots=True)
class NeighbourJudge:
    """The rows of training, and what their distances mean.

    `unit` is the unit of distance in which the scale is laid out, `knots` (65,) and `spread` as in `SurprisalScale`,
    `typical` (c,) the mean squared difference of a column to the nearest rows.
    """

    plain: PlainFeatures
    neighbours: Neighbours
    weight: float
    unit: float
    knots: np.ndarray
    spread: float
    typical: np.ndarray

    def of_rows(self, values: np.ndarray, state: np.ndarray) -> Beside:
        """The judge's surprisals of rows with features (n, d) and states (n, c)."""
        return self._beside(self.neighbours.distances(self.plain.transform(values, state)))

    def of_row_without(self, values: np.ndarray, state: np.ndarray, replaced: np.ndarray) -> Beside:
        """The surprisals (m,) of one row, features (d,) and states (c,), with columns `replaced` (m, c) as usual."""
        row = self.plain.transform(values[None], state[None])[0]
        return self._beside(self.neighbours.distances_without(row, replaced, self.typical))

    def _beside(self, distance: np.ndarray) -> Beside:
        return Beside(surprisal_at(distance / self.unit, self.knots, self.spread), self.weight)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {
            f"{prefix}/rows": self.neighbours.rows,
            f"{prefix}/weight": np.array([self.weight]),
            f"{prefix}/unit": np.array([self.unit]),
            f"{prefix}/scale.knots": self.knots[None],
            f"{prefix}/scale.spread": np.array([self.spread]),
            f"{prefix}/typical": self.typical,
        }

    @classmethod
    def from_arrays(
        cls, preprocessor: Preprocessor, arrays: Mapping[str, np.ndarray], prefix: str
    ) -> NeighbourJudge | None:
        """The judge in arrays of `to_arrays`, None where there is none.

        Raises KeyError or ValueError on arrays that no fit gives.
        """
        own = arrays_within(arrays, f"{prefix}/")
        if not own:
            return None
        plain, layout = PlainFeatures.of(preprocessor), preprocessor.layout
        rows, typical = own["rows"], own["typical"]
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != len(plain.column):
            raise ValueError(f"{prefix}/rows is not (N, {len(plain.column)}) of float32")
        if not K < len(rows) <= MOST_ROWS or not (np.abs(rows) <= LARGEST_FEATURE).all():
            raise ValueError(f"{prefix}/rows are not rows of training")
        if (
            typical.dtype != np.float64
            or typical.shape != (layout.n_columns,)
            or not ((typical >= 0) & (typical <= LARGEST_FEATURE**2)).all()
        ):
            raise ValueError(f"{prefix}/typical is not one square per column")
        numbers = {name: own[name] for name in ("weight", "unit")}
        for name, number in numbers.items():
            if number.dtype != np.float64 or number.shape != (1,) or not SMALLEST_UNIT <= number[0] <= LARGEST_FEATURE:
                raise ValueError(f"{prefix}/{name} is out of range")
        scale = checked_scale(own, "scale", {"knots": (1, LEVELS.size), "spread": (1,)})
        return cls(
            plain,
            Neighbours(rows, plain.column),
            float(numbers["weight"][0]),
            float(numbers["unit"][0]),
            scale["knots"][0],
            float(scale["spread"][0]),
            typical,
        )
