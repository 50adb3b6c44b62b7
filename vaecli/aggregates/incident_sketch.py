"""Patterns of deviation in a stream of flagged rows or events, in bounded memory: the leader algorithm (Hartigan 1975).

The first item is a leader. A later one joins the nearest leader within a radius, or becomes one. Where there would be
more than MOST_PATTERNS the radius doubles, and leaders that now lie within it of an earlier one are joined to it. Items
come in the order of the table and distances are sums of whole numbers, so batches and threads change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from vaecli.data.hashing import row_hash
from vaecli.decisions.incident_groups import APART, MIXED

UNIT = 16  # of coordinates, per standard deviation of training
MOST_PATTERNS = 512
FIRST_RADIUS = 2.0  # squared
N_SAMPLED = 2  # items kept of a pattern beside its first, last and highest one

Kept = TypeVar("Kept")  # what is kept of an item


@dataclass(frozen=True, slots=True)
class DeviatingItems(Generic[Kept]):
    """n flagged rows or events in their order: where they deviate (n, d), in UNITs, whole numbers.

    `shares` (n, c) are those of columns in the nats, in thousandths; `place` (n,) is a code of the group, `at` (n,) the
    number of the row or event from 0, `rows` (n,) how many rows it stands for.
    """

    deviation: np.ndarray
    shares: np.ndarray
    place: np.ndarray
    at: np.ndarray
    rows: np.ndarray
    score: np.ndarray
    kept: Sequence[Kept]


@dataclass(frozen=True, slots=True)
class KeptItem(Generic[Kept]):
    """An item that stands for its pattern."""

    at: int
    score: float
    hash: int
    item: Kept


@dataclass(slots=True)
class Pattern(Generic[Kept]):
    """Items with similar deviations: sums of their deviations (d,) and shares (c,), and some of them."""

    leader: np.ndarray
    home: int  # the place of the leader
    place: int  # that of all items, MIXED where they have several
    n: int
    rows: int
    deviation: np.ndarray
    shares: np.ndarray
    first: KeptItem[Kept]
    last: KeptItem[Kept]
    highest: KeptItem[Kept]
    sampled: list[KeptItem[Kept]]  # those with the smallest hashes

    def join(self, other: Pattern[Kept]) -> None:
        """Take in the items of another pattern."""
        self.n, self.rows = self.n + other.n, self.rows + other.rows
        self.deviation, self.shares = self.deviation + other.deviation, self.shares + other.shares
        self.place = self.place if self.place == other.place else MIXED
        self.first = min(self.first, other.first, key=lambda one: one.at)
        self.last = max(self.last, other.last, key=lambda one: one.at)
        self.highest = min(self.highest, other.highest, key=lambda one: (-one.score, one.at))
        self.sampled = sorted((*self.sampled, *other.sampled), key=lambda one: one.hash)[:N_SAMPLED]

    @property
    def examples(self) -> list[KeptItem[Kept]]:
        """The highest item and sampled ones, each once, at most 1 + N_SAMPLED."""
        found = {one.at: one for one in (self.highest, *self.sampled, self.first, self.last)}
        return list(found.values())[: 1 + N_SAMPLED]


@dataclass(slots=True)
class IncidentSketch(Generic[Kept]):
    """At most `most` patterns of the items so far."""

    most: int = MOST_PATTERNS
    radius: float = FIRST_RADIUS * UNIT**2
    patterns: list[Pattern[Kept]] = field(default_factory=list)

    def add(self, items: DeviatingItems[Kept]) -> None:
        """Take in items after those before."""
        start, n = 0, len(items.at)
        while start < n:
            stop, nearest = self._assign(items, start)
            for i in np.unique(nearest):
                self._take(int(i), items, start + np.flatnonzero(nearest == i))
            start = stop
            if len(self.patterns) > self.most:
                self._widen()

    def _assign(self, items: DeviatingItems[Kept], start: int) -> tuple[int, np.ndarray]:
        """From item `start` on: where it stopped, as there are too many patterns; the pattern of each item until then.

        Items that lead a pattern are the first that it is given.
        """
        vectors, places = items.deviation[start:].astype(np.float64), items.place[start:]
        best, nearest = self._nearest(vectors, places)
        n_patterns, stop = len(self.patterns), 0
        while (far := np.flatnonzero(best[stop:] > self.radius)).size:
            stop += int(far[0])
            _nearer(best[stop:], nearest[stop:], vectors[stop:], places[stop:], vectors[stop], places[stop], n_patterns)
            n_patterns += 1
            stop += 1
            if n_patterns > self.most:
                return start + stop, nearest[:stop]
        return len(items.at), nearest

    def _nearest(self, vectors: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distance (n,) of each of `vectors` (n, d) to the nearest leader, and that leader's index (n,)."""
        if not self.patterns:
            return np.full(len(vectors), np.inf), np.zeros(len(vectors), np.int64)
        leaders = np.stack([pattern.leader for pattern in self.patterns])
        distance = (vectors**2).sum(1)[:, None] + (leaders**2).sum(1) - 2 * vectors @ leaders.T  # of integers: exact
        distance += _penalty(places[:, None], np.array([pattern.home for pattern in self.patterns]))
        return distance.min(1), distance.argmin(1)

    def _take(self, i: int, items: DeviatingItems[Kept], which: np.ndarray) -> None:
        hashes, places = row_hash(items.at[which]), items.place[which]

        def kept(k: int) -> KeptItem[Kept]:
            row = int(which[k])
            return KeptItem(int(items.at[row]), float(items.score[row]), int(hashes[k]), items.kept[row])

        found = Pattern(
            items.deviation[which[0]].astype(np.float64),
            int(places[0]),
            int(places[0]) if (places == places[0]).all() else MIXED,
            which.size,
            int(items.rows[which].sum()),
            items.deviation[which].sum(0, dtype=np.int64),
            items.shares[which].sum(0, dtype=np.int64),
            kept(0),
            kept(which.size - 1),
            kept(int(np.argmax(items.score[which]))),
            [kept(int(k)) for k in np.argsort(hashes, kind="stable")[:N_SAMPLED]],
        )
        if i == len(self.patterns):
            self.patterns.append(found)
        else:
            self.patterns[i].join(found)

    def _widen(self) -> None:
        """Double the radius until there are few enough patterns."""
        while len(self.patterns) > self.most:
            self.radius *= 2
            leaders, left = self.patterns, list[Pattern[Kept]]()
            for pattern in leaders:
                distance = [_distance(one, pattern) for one in left]
                if distance and min(distance) <= self.radius:
                    left[int(np.argmin(distance))].join(pattern)
                else:
                    left.append(pattern)
            self.patterns = left


def _distance(one: Pattern[Kept], other: Pattern[Kept]) -> float:
    difference = one.leader - other.leader
    return float(difference @ difference) + float(_penalty(np.array(other.home), np.array(one.home)))


def _penalty(places: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.asarray(APART * UNIT**2 * (places != place))


def _nearer(
    best: np.ndarray,
    nearest: np.ndarray,
    vectors: np.ndarray,
    places: np.ndarray,
    leader: np.ndarray,
    place: np.ndarray,
    i: int,
) -> None:
    """Put leader `i` where it is nearer than the best so far (n,)."""
    difference = vectors - leader
    distance = np.einsum("ij,ij->i", difference, difference) + _penalty(places, place)
    closer = distance < best
    best[closer], nearest[closer] = distance[closer], i
