"""How many rows a file usually has, from the files before it, so that 3 rows where 10,000 are usual are noticed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_FILES = 10  # before, nothing is usual
MOST_FILES = 100  # that are looked at, the latest
UNUSUAL_SHARE = 0.05  # of these files at either end, which were unusual themselves
LEAST_FACTOR = 2.0  # fewer than half, or more than twice, as many rows as are usual are named
CHANCE = 1.5  # three standard deviations of the square root of a number that chance decides


@dataclass(frozen=True, slots=True)
class UsualRows:
    """The fewest and the most rows of the files before, without the 5 % at either end."""

    fewest: int
    most: int
    n_files: int

    @classmethod
    def of(cls, rows: Sequence[int]) -> UsualRows | None:
        """What is usual after files with so many rows each, in their order; None where they are too few."""
        if len(rows) < FEWEST_FILES:
            return None
        latest = sorted(rows[-MOST_FILES:])
        n_unusual = int(UNUSUAL_SHARE * len(latest))
        return cls(latest[n_unusual], latest[-1 - n_unusual], len(latest))

    def is_usual(self, n_rows: int) -> bool:
        """Whether a file with so many rows is like those before.

        The bounds are wider by a factor of two, or the square root of the ratio of both ends where that is more, and by
        what chance adds to small numbers.
        """
        factor = max(LEAST_FACTOR, math.sqrt(self.most / max(self.fewest, 1)))
        low, high = math.sqrt(self.fewest / factor) - CHANCE, math.sqrt(self.most * factor) + CHANCE
        return low <= math.sqrt(n_rows) <= high
