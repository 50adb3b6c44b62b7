"""Samples of the rows that stream by: those with the smallest keys, wherever the table is cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.hashing import row_hash

MOST_POINTS = 5000


def smallest(keys: np.ndarray, most: int) -> np.ndarray:
    """Indices (m,), ascending, of the `most` smallest keys (n,), of equal ones the earlier; of all if n is smaller.

    The rows with the smallest of some keys are among those with the smallest of any part, so samples of parts merge. If
    the keys are as good as random, every row is as likely to be in the sample as any other.
    """
    return np.sort(np.argsort(keys, kind="stable")[:most])


@dataclass(frozen=True, slots=True)
class MapPoints:
    """At most MOST_POINTS rows on a map, a sample that depends on nothing but the numbers of all rows."""

    row: np.ndarray  # (n,) int64, ascending
    position: np.ndarray  # (n, 2) on the map
    text: np.ndarray  # (n,) object: what the colouring column holds, None where it holds nothing or there is none

    @classmethod
    def of(cls, row: np.ndarray, position: np.ndarray, text: np.ndarray) -> MapPoints:
        """A sample of the rows numbered `row` (n,), at `position` (n, 2): all, or those of the smallest hashes."""
        if row.size <= MOST_POINTS:
            return cls(row, position, text)
        stay = smallest(row_hash(row), MOST_POINTS)
        return cls(row[stay], position[stay], text[stay])

    def __add__(self, later: MapPoints) -> MapPoints:
        """The points of these rows and the `later` ones."""
        return MapPoints.of(
            *(np.concatenate([getattr(self, name), getattr(later, name)]) for name in ("row", "position", "text"))
        )
