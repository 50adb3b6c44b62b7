"""Which rows of events are explained: all of a short event, ever fewer of a long one, and its peaks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vaecli.sensors.events import Event, EventRules, FlaggedRows, Tracker, series_parts

ALL_UP_TO = 256  # flagged rows of an event, all of which are explained
OF_EACH_DOUBLING = 32  # rows that are explained, evenly spread, each time its length has doubled since
HIGHER = 1.1  # times the highest score of the explained rows before: a row with more is explained too


@dataclass(slots=True)
class _Part:
    """Flagged rows of an event in one batch; `rows` is empty when the batch is past, `n` remains."""

    rows: np.ndarray
    n: int


@dataclass(slots=True)
class EventRows:
    """Chooses rows of events to explain, batch after batch; what is chosen does not depend on where batches end."""

    rules: EventRules
    tracker: Tracker[_Part] = field(init=False)
    highest: dict[str, tuple[int, float]] = field(default_factory=dict)  # of the latest event of each series

    def __post_init__(self) -> None:
        self.tracker = Tracker(self.rules)

    def weights(self, rows: FlaggedRows) -> np.ndarray:
        """How many flagged rows of its event each row (n,) stands for; NaN where a row is not to be explained.

        A peak that stands for no other rows has 0.
        """
        weight = np.full(rows.score.size, np.nan)

        def part(places: np.ndarray) -> _Part:
            flagged = places[rows.flagged[places]]
            return _Part(flagged, flagged.size)

        parts = series_parts(rows, self.rules, part)
        for event in self.tracker.add(parts):
            self._choose(event, rows.score, weight)
        for one in parts:
            last = self.tracker.series[one.key].event
            if last is not None:
                self._choose(last, rows.score, weight)
        return weight

    def _choose(self, event: Event[_Part], score: np.ndarray, weight: np.ndarray) -> None:
        n_before = 0
        for part in event.found:
            if part.rows.size:
                chosen = stands_for(n_before + np.arange(part.n))
                weight[part.rows] = np.where(
                    self._peaks(event, score[part.rows], chosen > 0), np.fmax(chosen, 0), chosen
                )
                part.rows = part.rows[:0]
            n_before += part.n

    def _peaks(self, event: Event[_Part], score: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Which rows of an event with these scores (m,) are higher than the explained ones before, (m,) bool."""
        first, highest = self.highest.get(event.key, (-1, 0.0))
        highest = highest if first == event.first else 0.0
        peaks = np.zeros(score.size, bool)
        above = np.maximum.accumulate(np.append(highest, score))[:-1]
        for i in np.flatnonzero(score > above).tolist():
            peaks[i] = score[i] > HIGHER * highest
            if peaks[i] or chosen[i]:
                highest = float(score[i])
        self.highest[event.key] = (event.first, highest)
        return peaks


def stands_for(number: np.ndarray) -> np.ndarray:
    """How many rows of an event its flagged row `number` (m,), from 0, stands for; NaN where others stand for it."""
    doublings = np.floor(np.log2(np.maximum(number / ALL_UP_TO, 0.5))) + 1
    step = np.where(doublings > 0, ALL_UP_TO / OF_EACH_DOUBLING * 2.0 ** (doublings - 1), 1)
    return np.where(number % step == 0, step, np.nan)
