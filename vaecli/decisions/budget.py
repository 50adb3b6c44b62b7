"""So many rows, or so many events a day: the most unusual ones, whatever their p-values are."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, fields

import numpy as np

SECONDS_PER_DAY = 86_400.0
UNSUPPRESSED = -1


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Rows that a budget may flag. Rule UNSUPPRESSED means that no suppression rule applies."""

    row: np.ndarray  # (n,) int64, its number in the table
    p_value: np.ndarray  # (n,)
    score: np.ndarray  # (n,) higher is more unusual; NaN where the table has none
    rule: np.ndarray  # (n,) the rule that suppresses it

    @classmethod
    def none(cls) -> RankedRows:
        """A selection without rows."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(self.row.size)

    def take(self, which: np.ndarray) -> RankedRows:
        """The rows `which` (k,) by index or bool (n,)."""
        return RankedRows(*(getattr(self, part.name)[which] for part in fields(self)))

    def __add__(self, later: RankedRows) -> RankedRows:
        """These rows and the `later` ones."""
        pairs = ((getattr(self, part.name), getattr(later, part.name)) for part in fields(self))
        return RankedRows(*(np.concatenate(pair) for pair in pairs))

    def ranked(self) -> np.ndarray:
        """Indices (n,) by p-value, of equal ones the higher score first, of equal ones the earlier row."""
        return np.lexsort((self.row, -np.nan_to_num(self.score, nan=-np.inf), self.p_value))

    def best(self, n_rows: int) -> RankedRows:
        """The `n_rows` most unusual rows without a rule, and the suppressed ones that stand before the last of them."""
        order = self.ranked()
        counted = np.cumsum(self.rule[order] == UNSUPPRESSED)
        if not counted.size or counted[-1] < n_rows:
            return self.take(order)
        return self.take(order[: int(np.searchsorted(counted, n_rows)) + 1])


@dataclass(frozen=True, slots=True)
class DailyBudget:
    """What a budget per day flags, and how many events that is on how many days."""

    chosen: np.ndarray  # (n,) bool: flagged, or suppressed where it would have been
    n_events: int
    n_days: int


def per_day(
    rows: RankedRows, seconds: np.ndarray, place: np.ndarray, series: np.ndarray, events: int, gap: float
) -> DailyBudget:
    """At most `events` events a day, of the most unusual rows.

    `seconds` (n,) is when each row was, since 1970; its day is one of UTC. `place` (n,) is where it stands in its
    `series` (n,), in seconds or as a number of rows. Rows of one series and day whose places differ by at most `gap`
    are one event. Rows are taken from the most unusual on; the first that would begin one event too many ends its day.
    """
    chosen, n_events = np.zeros(len(rows), bool), 0
    day = np.floor(seconds / SECONDS_PER_DAY).astype(np.int64)
    order = rows.ranked()
    order = order[np.argsort(day[order], kind="stable")]
    days, starts = np.unique(day[order], return_index=True)
    for of_day in np.split(order, starts[1:]) if order.size else []:
        taken: dict[int, list[float]] = {}
        n_today = 0
        for i in of_day.tolist():
            if rows.rule[i] != UNSUPPRESSED:
                chosen[i] = True
                continue
            places = taken.setdefault(int(series[i]), [])
            change = 1 - _neighbours(places, float(place[i]), gap)
            if n_today + change > events:
                break
            insort(places, float(place[i]))
            chosen[i], n_today = True, n_today + change
        n_events += n_today
    return DailyBudget(chosen, n_events, days.size)


def _neighbours(places: list[float], place: float, gap: float) -> int:
    """On how many sides, 0 to 2, a place has one of the ascending `places` within `gap`."""
    at = bisect_left(places, place)
    before = at > 0 and place - places[at - 1] <= gap
    after = at < len(places) and places[at] - place <= gap
    return int(before) + int(after)
