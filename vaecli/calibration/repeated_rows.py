"""Rows of a table with few different rows: all copies of a row count with the one score that such a row gets.

A held-out score of a row is an estimate of what the detector would score had it not seen the row. It scatters with the
fold. In a table of categories most rows come many times, so that every member has seen their like whichever fold it was
trained without; the estimate is then needless, and its scatter orders the few different rows wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaecli.data.training_rows import Rows

FEWEST_COPIES = 6  # of a row, one more than the neighbours that judge it: to leave it out then changes little
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
TIE = 1e-4  # nats, more than rounding sets copies apart that stand at different places of a matrix product


@dataclass(frozen=True, slots=True)
class RepeatedRows:
    """The rows that come FEWEST_COPIES times or more: one of each (g,), and which of these each row is (n,), or −1."""

    one: np.ndarray
    of_row: np.ndarray

    @classmethod
    def among(cls, rows: Rows) -> RepeatedRows:
        """Find those among `rows` that are equal in all features and states, by a number of 64 bits that these give."""
        number = np.zeros(len(rows.fold), np.uint64)
        for column in (*np.ascontiguousarray(rows.values, np.float32).view(np.uint32).T, *rows.state.T):
            number = (number ^ column) * _MULTIPLIER
            number ^= number >> np.uint64(32)
        _, first, group, count = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
        often = count >= FEWEST_COPIES
        return cls(first[often], np.where(often, np.cumsum(often) - 1, -1)[group])

    @classmethod
    def alike(cls, rows: Rows) -> RepeatedRows:
        """Find those among `rows` whose categories, booleans and states are equal, and whose numbers are about equal.

        About equal are features within the same standard deviation.
        """
        return cls.among(Rows(np.floor(rows.values), rows.state, rows.fold))

    def counted(self, row_scores: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The scores (n,) that calibrate, where `score` gives those of new rows like the rows (g,): copies tie."""
        if not self.one.size:
            return row_scores
        return np.where(self.of_row >= 0, score(self.one)[self.of_row] + TIE, row_scores)
