"""A judge of levels: is the value that comes often here at the right time? See `model.level_regression`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.model.level_regression import LevelRegression
from vaecli.schema import Layout
from vaecli.scoring.opinion_scale import OpinionScale, require_limits


@dataclass(frozen=True, slots=True)
class LevelJudge:
    """The regressions, with a `limit` (T,) and a unit `excess` (T,) per column in nats, float64."""

    regression: LevelRegression
    limit: np.ndarray
    excess: np.ndarray
    scale: OpinionScale

    @property
    def columns(self) -> np.ndarray:
        """(T,) the columns that have levels."""
        return self.regression.levels.columns

    def largest(
        self, values: np.ndarray, state: np.ndarray, silent: np.ndarray, unknown: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far the most extreme level of each row lies beyond its limit, in excesses (n,), and its column (n,).

        From features (n, d) and states (n, c); −inf where all cells are `silent` (n, c) or (1, c). Cells that are
        `unknown` (n, c) predict nothing.
        """
        relative = (self.regression.nats(values, state, unknown) - self.limit) / self.excess
        relative = np.where(silent[:, self.columns], -np.inf, relative)
        place = relative.argmax(1)
        return relative[np.arange(len(relative)), place], self.columns[place]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return (
            self.regression.to_arrays() | {"limit": self.limit, "excess": self.excess} | self.scale.to_arrays("scale")
        )

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> LevelJudge:
        """The judge in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        regression = LevelRegression.from_arrays(layout, arrays)
        limit, excess = arrays["limit"], arrays["excess"]
        require_limits(limit, excess, regression.levels.starts.size, "the levels")
        return cls(regression, limit, excess, OpinionScale.from_arrays(arrays, "scale"))
