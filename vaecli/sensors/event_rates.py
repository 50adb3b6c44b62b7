"""How many events a day normal stretches raise at each score: what a budget of alarms is resolved with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.sensors.events import EventRules, runs_of

N_SCORES = 96  # at which events are counted, from the LOWEST_SHARE quantile of the scores to beyond the largest
LOWEST_SHARE = 0.5
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class EventRates:
    """Events of held-out normal rows per day of one series, by the score from which rows are flagged.

    `scores` (kinds, N_SCORES) ascend; at `per_day` (kinds, N_SCORES) no score raises more events than a lower one.
    `days` (1,) is the time that was observed, of all series together.
    """

    scores: np.ndarray
    per_day: np.ndarray
    days: np.ndarray

    def score_for(self, kind: int, per_day: float) -> float:
        """The lowest score with at most `per_day` events a day of one series; the last has none."""
        return float(self.scores[kind, np.flatnonzero(self.per_day[kind] <= per_day)[0]])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {"events/scores": self.scores, "events/per_day": self.per_day, "events/days": self.days}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_kinds: int) -> EventRates | None:
        """The inverse of `to_arrays`; None where there are none, in earlier bundles and those without a clock.

        Raises KeyError or ValueError on arrays that it cannot have written.
        """
        if not any(name.startswith("events/") for name in arrays):
            return None
        rates = cls(*(arrays[f"events/{name}"] for name in ("scores", "per_day", "days")))
        for array, shape in (
            (rates.scores, (n_kinds, N_SCORES)),
            (rates.per_day, (n_kinds, N_SCORES)),
            (rates.days, (1,)),
        ):
            if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
                raise ValueError("events do not hold finite float64 of their shapes")
        if (np.diff(rates.scores) < 0).any() or (np.diff(rates.per_day) > 0).any() or (rates.per_day[:, -1] != 0).any():
            raise ValueError("scores of events do not ascend, or their numbers do not descend to 0")
        if not rates.days[0] > 0:
            raise ValueError("events were counted in no time")
        return rates


def event_rates(scores: np.ndarray, stretch: np.ndarray, time: np.ndarray, window: int, max_gap: float) -> EventRates:
    """The rates by scores (kinds, n) of normal rows, NaN where there is none, in the order of series and time.

    Rows of one stretch without a gap have the same number in `stretch` (n,); `time` (n,) is in seconds.
    """
    same = np.diff(stretch) == 0
    days = max(float(np.diff(time)[same].sum()), 1.0) / DAY
    grids, counts = [], []
    for of_kind in scores:
        there = ~np.isnan(of_kind)
        score, breaks = of_kind[there], np.diff(stretch[there], prepend=-1) != 0
        shares = 1 - (1 - LOWEST_SHARE) * np.geomspace(1, 1 / max(score.size, 2), N_SCORES - 1)
        grid = np.append(np.quantile(score, shares), np.nextafter(score.max(), np.inf))
        found = np.array([n_events(score, breaks, EventRules(one, max_gap, window)) for one in grid])
        most = found.size - 1 - int(np.argmax(found[::-1]))  # below it events grow together
        grid[:most], found[:most] = grid[most], found[most]
        grids.append(np.maximum.accumulate(grid))
        counts.append(np.maximum.accumulate(found[::-1])[::-1])
    return EventRates(np.array(grids), np.array(counts) / days, np.array([days]))


def n_events(score: np.ndarray, breaks: np.ndarray, rules: EventRules) -> int:
    """How many events scores (m,) of rows are; `breaks` (m,) begin a series or come after a gap of the clock."""
    flagged = score >= rules.min_score
    first, last = runs_of(flagged, flagged | (score >= rules.ends_below), breaks)
    if not first.size:
        return 0
    stretch = np.cumsum(breaks)
    apart = (stretch[first[1:]] != stretch[last[:-1]]) | (first[1:] - last[:-1] - 1 >= max(rules.merge_rows, 1))
    return 1 + int(apart.sum())
