"""A few thousand of the rows that stream by, for a picture of them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.hashing import row_hash

MOST_POINTS = 5000


@dataclass(frozen=True, slots=True)
class Points:
    """At most MOST_POINTS rows, a sample that depends on nothing but the numbers of all rows."""

    row: np.ndarray  # (n,) int64, ascending
    place: np.ndarray  # (n, 2) on the map
    text: np.ndarray  # (n,) object: what the colouring column holds, None where it holds nothing or there is none

    def __add__(self, later: Points) -> Points:
        """Of both, `later` being about later rows."""
        row, place, text = (
            np.concatenate([getattr(self, name), getattr(later, name)]) for name in ("row", "place", "text")
        )
        return chosen(row, place, text)


def chosen(row: np.ndarray, place: np.ndarray, text: np.ndarray) -> Points:
    """Those of the rows numbered `row` (n,) that stay: all, or those whose numbers mix to the smallest values."""
    if row.size > MOST_POINTS:
        which = np.sort(np.argpartition(row_hash(row), MOST_POINTS)[:MOST_POINTS])
        row, place, text = row[which], place[which], text[which]
    return Points(row, place, text)
