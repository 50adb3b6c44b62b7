"""Counts over time on a grid that grows by merging, so that no cut of a table shows in them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MOST_STRETCHES = 150
MOST_KEPT = 8192  # stretches until the end of the table shows which rows lie far off
OUTER = 0.005  # share of the values that a far tail may hold on either side
FEWEST_ROWS = 50  # of which one may be such a tail
FAR = 2  # times as far from the other rows as they are from each other
CLOCK = (5, 3, 4, 5, 3, 4, 3, 2, 2, 2, 7, 4, 13)  # from one second over minutes, hours, days and weeks to a year
DECIMAL = (5, 2)


def _factor(ladder: tuple[int, ...], rung: int) -> int:
    """By how much the next width is larger."""
    return ladder[rung] if rung < len(ladder) else DECIMAL[(rung - len(ladder)) % len(DECIMAL)]


@dataclass(frozen=True, slots=True)
class Line:
    """Rows and flagged rows in stretches of one width, ascending; stretches without rows are not there.

    Where a few rows lie so far off that all others would fall into few stretches, those are `n_outside`. `first` and
    `last` are where the first and the last of all rows stand, in ticks, to the stretch.
    """

    width: int
    number: np.ndarray  # (u,) of the stretch: it starts at number × width
    rows: np.ndarray  # (u,)
    flagged: np.ndarray  # (u,)
    n_outside: int
    n_flagged_outside: int
    first: int
    last: int


@dataclass(slots=True)
class Stretches:
    """Rows and flagged rows along a line of whole numbers, in stretches of one width that starts at 1.

    As soon as there would be too many that hold rows, neighbours are merged: each width of the ladder is a multiple of
    the one before, so what comes out depends on the rows alone.
    """

    ladder: tuple[int, ...]
    n_without: int = 0
    _width: int = 1
    _rung: int = 0
    _counts: np.ndarray = field(default_factory=lambda: np.zeros((3, 0), np.int64))  # number, rows, flagged

    def add(self, ticks: np.ndarray, flagged: np.ndarray, present: np.ndarray) -> None:
        """Rows at `ticks` (n,) int64 where they are `present`."""
        self.n_without += int((~present).sum())
        number = ticks[present] // self._width
        self._counts = _merged(
            np.concatenate([self._counts, [number, np.ones(number.size, np.int64), flagged[present]]], axis=1)
        )
        while self._counts.shape[1] > MOST_KEPT:
            self._widen()

    def _widen(self) -> None:
        factor = _factor(self.ladder, self._rung)
        self._width, self._rung = self._width * factor, self._rung + 1
        self._counts[0] //= factor
        self._counts = _merged(self._counts)

    def line(self) -> Line:
        """At most `MOST_STRETCHES` of them, from the first that is shown to the last."""
        number, rows, flagged = self._counts
        if not number.size:
            return Line(self._width, number, rows, flagged, 0, 0, 0, 0)
        shown = _near(number, rows)
        n_outside, n_flagged = int(rows.sum() - rows[shown].sum()), int(flagged.sum() - flagged[shown].sum())
        width, rung, counts = self._width, self._rung, self._counts[:, shown]
        while counts[0, -1] - counts[0, 0] >= MOST_STRETCHES:
            factor = _factor(self.ladder, rung)
            width, rung = width * factor, rung + 1
            counts = _merged(np.stack([counts[0] // factor, *counts[1:]]))
        first, last = (int(end) * self._width for end in number[[0, -1]])
        return Line(width, counts[0], counts[1], counts[2], n_outside, n_flagged, first, last)


def _merged(counts: np.ndarray) -> np.ndarray:
    """(3, u) with one column for each number, ascending."""
    order = np.argsort(counts[0], kind="stable")
    ordered = counts[:, order]
    starts = np.flatnonzero(np.diff(ordered[0], prepend=ordered[0, :1] - 1)) if order.size else order
    return np.stack([ordered[0, starts], *np.add.reduceat(ordered[1:], starts, axis=1)]) if order.size else ordered


def _near(number: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(u,) which of the stretches are shown: all but those of a few rows that lie far from the others."""
    n_rows = int(rows.sum())
    spare = max(1, int(OUTER * n_rows)) if n_rows >= FEWEST_ROWS else 0
    first = int(number[np.searchsorted(rows.cumsum(), spare, side="right")])
    last = int(number[::-1][np.searchsorted(rows[::-1].cumsum(), spare, side="right")])
    near: np.ndarray = np.maximum(first - number, number - last) <= FAR * (last - first + 1)
    return near
