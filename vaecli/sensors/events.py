"""From flagged rows to events: runs with hysteresis, joined where they lie close together in one series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

ENDS_BELOW = 0.7  # times the score from which rows are flagged: an event lasts while scores stay above it

Found = TypeVar("Found")  # what is kept of the rows of a run


@dataclass(frozen=True, slots=True)
class EventRules:
    """When rows of one series belong to one event.

    An event begins with a flagged row and lasts while scores stay above ENDS_BELOW times `min_score`. Two such runs are
    one event when fewer than `merge_rows` rows lie between them and no gap of the clock, or with `merge_time` when less
    time than that does. Events of fewer than `min_rows` rows or of less time than `min_time` are left out.
    """

    min_score: float
    max_gap: float  # of the clock, as are `merge_time` and `min_time`
    merge_rows: int
    merge_time: float | None = None
    min_rows: int = 1
    min_time: float = 0.0

    @property
    def ends_below(self) -> float:
        """The score below which a run ends."""
        return ENDS_BELOW * self.min_score if self.min_score > 0 else self.min_score


def runs_of(flagged: np.ndarray, lasting: np.ndarray, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first, last) positions (r,) of the runs among n rows.

    A run is from a `flagged` row (n,) to the last that is `lasting` (n,) without interruption; it never goes on over a
    row of `breaks` (n,), before which a series or a stretch of time begins.
    """
    before, after = np.r_[False, lasting[:-1]] & ~breaks, np.r_[lasting[1:] & ~breaks[1:], False]
    begins, ends = np.flatnonzero(lasting & ~before), np.flatnonzero(lasting & ~after)
    starts = np.flatnonzero(flagged & lasting)
    place = np.searchsorted(starts, begins)
    first = np.append(starts, flagged.size)[place]
    there = first <= ends
    return first[there], ends[there]


@dataclass(frozen=True, slots=True)
class Run(Generic[Found]):
    """A run of rows in one part of a series: `first` and `last` count its rows in that part from 0.

    `stretch` counts the gaps of the clock in the part before it; `begin` and `end` are times.
    """

    first: int
    last: int
    stretch: int
    begin: float
    end: float
    found: Found


@dataclass(frozen=True, slots=True)
class SeriesPart(Generic[Found]):
    """The rows of one series in one batch: their number, first and newest time, gaps of the clock, and runs.

    `leading` is what lasts from the first row on without a flag before it: part of an event that began earlier.
    """

    key: str
    n_rows: int
    first_time: float
    newest: float
    n_gaps: int
    runs: tuple[Run[Found], ...]
    leading: Run[Found] | None


@dataclass(slots=True)
class Event(Generic[Found]):
    """An event of a series: its rows counted in the series, its times, and what was found in its runs."""

    key: str
    first: int
    last: int
    stretch: int
    begin: float
    end: float
    found: list[Found]

    @property
    def n_rows(self) -> int:
        """Rows from its first to its last."""
        return self.last - self.first + 1


@dataclass(slots=True)
class _Track(Generic[Found]):
    n_rows: int = 0
    newest: float = -np.inf
    stretch: int = 0
    lasts: bool = False  # whether the last row was part of a run
    event: Event[Found] | None = None


@dataclass(slots=True)
class Tracker(Generic[Found]):
    """Joins runs to events, batch after batch; holds one event of each series, and `found` of its runs."""

    rules: EventRules
    series: dict[str, _Track[Found]] = field(default_factory=dict)

    def add(self, parts: Iterable[SeriesPart[Found]]) -> list[Event[Found]]:
        """Take in the parts of a batch; the events that have ended, in the order of their ends."""
        ended: list[Event[Found]] = []
        for part in parts:
            self._add(self.series.setdefault(part.key, _Track()), part, ended)
        return sorted(ended, key=lambda event: event.end)

    def rest(self) -> list[Event[Found]]:
        """The events that had not ended with the last row."""
        events = [track.event for track in self.series.values() if track.event is not None]
        return sorted((event for event in events if self._is_long(event)), key=lambda event: event.end)

    def _add(self, track: _Track[Found], part: SeriesPart[Found], ended: list[Event[Found]]) -> None:
        if part.first_time - track.newest > self.rules.max_gap:
            track.stretch, track.lasts = track.stretch + 1, False
        runs = list(part.runs)
        if track.lasts and part.leading is not None:
            if runs and runs[0].last == part.leading.last:  # the same run, of which some rows are not flagged yet
                runs[0] = Run(0, runs[0].last, 0, part.leading.begin, runs[0].end, runs[0].found)
            else:
                runs.insert(0, part.leading)
        for run in runs:
            event = track.event
            if event is not None and self._is_apart(
                event, track.n_rows + run.first, track.stretch + run.stretch, run.begin
            ):
                self._end(track, ended)
                event = None
            if event is None:
                first, last = track.n_rows + run.first, track.n_rows + run.last
                track.event = Event(part.key, first, last, track.stretch + run.stretch, run.begin, run.end, [run.found])
                continue
            event.last, event.stretch = track.n_rows + run.last, track.stretch + run.stretch
            event.end = max(event.end, run.end)
            event.found.append(run.found)
        track.n_rows += part.n_rows
        track.newest = max(track.newest, part.newest)
        track.stretch += part.n_gaps
        track.lasts = track.event is not None and track.event.last == track.n_rows - 1
        if track.event is not None and self._is_apart(track.event, track.n_rows, track.stretch, track.newest):
            self._end(track, ended)

    def _is_apart(self, event: Event[Found], first: int, stretch: int, begin: float) -> bool:
        """Whether a run that begins with row `first` at time `begin` is another event."""
        if self.rules.merge_time is not None:
            return begin - event.end >= max(self.rules.merge_time, float(np.nextafter(0, 1)))
        return stretch != event.stretch or first - event.last - 1 >= max(self.rules.merge_rows, 1)

    def _end(self, track: _Track[Found], ended: list[Event[Found]]) -> None:
        if track.event is not None and self._is_long(track.event):
            ended.append(track.event)
        track.event = None

    def _is_long(self, event: Event[Found]) -> bool:
        return event.n_rows >= self.rules.min_rows and event.end - event.begin >= self.rules.min_time
