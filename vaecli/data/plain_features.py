"""Features in which distances are as a person would measure them: numbers standardised, but neither bent nor clipped.

The networks see numbers bent towards their ranks, which brings outliers near. Here a number is (x − mean) / scale
again, read off its feature; a boolean is a standardised number, a category one-hot. Each column has one more feature,
1 where its cell is missing; a missing number is at its mean.

Shapes: n rows, c columns, d features, d + c plain features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.transforms import undo_soft_clip


@dataclass(frozen=True, slots=True)
class PlainFeatures:
    """How features become plain: for the column j and feature i of each number or boolean, knots (2, k) to read off."""

    knots: tuple[tuple[int, int, np.ndarray], ...]
    column: tuple[int, ...]  # (d + c) of each plain feature

    @classmethod
    def of(cls, preprocessor: Preprocessor) -> PlainFeatures:
        """The plain features of tables prepared by `preprocessor`."""
        layout = preprocessor.layout
        knots = []
        for j, (slot, (encoder, nth)) in enumerate(zip(layout.slots, preprocessor.of_columns, strict=True)):
            if (of_column := encoder.plain_knots(nth)) is not None:
                knots.append((j, slot.start, of_column))
        return cls(tuple(knots), (*layout.column_of_feature, *range(layout.n_columns)))

    def transform(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Plain features (n, d + c) float32 of rows with features (n, d) and states (n, c)."""
        plain = np.concatenate([values, state == MISSING], axis=1, dtype=np.float32)
        for j, i, (features, numbers) in self.knots:
            known = np.interp(undo_soft_clip(values[:, i].astype(np.float64)), features, numbers)
            plain[:, i] = np.where(state[:, j] == PRESENT, known, 0.0)
        return plain
