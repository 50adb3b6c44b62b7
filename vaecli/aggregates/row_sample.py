"""A few thousand of the rows that stream by, for a picture of them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        which = np.sort(np.argpartition(_mixed(row), MOST_POINTS)[:MOST_POINTS])
        row, place, text = row[which], place[which], text[which]
    return Points(row, place, text)


def _mixed(row: np.ndarray) -> np.ndarray:
    """(n,) uint64, another one for every row number, as if drawn: the finaliser of splitmix64 (Steele et al. 2014)."""
    z = (row.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def row_hash(row: np.ndarray) -> np.ndarray:
    """(n,) uint64, as good as random and the same for the same row number: SplitMix64 of Steele et al. 2014."""
    with np.errstate(over="ignore"):
        z = (row.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
