"""Counts readings that lie well outside the range of training, by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.schema import Column, Kind

MARGIN = 0.1  # of the range of training, on either side of it


@dataclass(frozen=True, slots=True)
class BeyondRange:
    """How many readings `n` (c,) of c columns lie outside, with the lowest and the highest (c,), NaN for none."""

    n: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, columns: Sequence[Column]) -> BeyondRange:
        """Count the cells (n, c) of `columns` that are numbers and lie outside their range by more than MARGIN of it.

        NaN, and columns of another kind or without a range, count nothing.
        """
        limits = [(one.minimum, one.maximum) if one.kind is Kind.NUMERIC else (None, None) for one in columns]
        low = np.array([-np.inf if one is None else one for one, _ in limits], float)
        high = np.array([np.inf if one is None else one for _, one in limits], float)
        with np.errstate(invalid="ignore", over="ignore"):
            margin = MARGIN * (high - low)
            outside = (values < low - margin) | (values > high + margin)
        n, lowest, highest = outside.sum(0), np.full(low.size, np.nan), np.full(low.size, np.nan)
        for j in np.flatnonzero(n):
            found = values[outside[:, j], j]
            lowest[j], highest[j] = found.min(), found.max()
        return cls(n, lowest, highest)

    def __add__(self, other: BeyondRange) -> BeyondRange:
        """The counts of both tables."""
        return BeyondRange(self.n + other.n, np.fmin(self.lowest, other.lowest), np.fmax(self.highest, other.highest))


def beyond_both(one: BeyondRange | None, other: BeyondRange | None) -> BeyondRange | None:
    """The counts of two tables, of which either may have none."""
    return one + other if one is not None and other is not None else one or other
