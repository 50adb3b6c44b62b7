"""From flagged rows to events: runs with hysteresis, joined where they lie close together in one series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

ENDS_BELOW = 0.7  # times the score from which rows are flagged: an event lasts while scores stay above it

Found = TypeVar("Found")  # what is kept of the rows of a run


@dataclass(frozen=True, slots=True)
class EventRules:
    """When rows of one series belong to one event.

    An event begins with a flagged row and lasts while scores stay above ENDS_BELOW times `min_score`. Two such runs are
    one event when fewer than `merge_rows` rows lie between them and no gap of the clock, or with `merge_time` when less
    time than that does. An event ends with its last flagged row whose own latest rows are anomalous; what comes after
    it has the fault in longer windows only. Where no row is, it ends with its last run. Events of fewer than `min_rows`
    rows or of less time than `min_time` are left out.
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

    `stretch` counts the gaps of the clock in the part before it; `begin` and `end` are times. Its last evident row is
    row `evident`, at `evident_time`; `found` is what is kept of the rows up to it and `tail` of those after it. A run
    without one has None for both, and all its rows are its `tail`.
    """

    first: int
    last: int
    stretch: int
    begin: float
    end: float
    evident: int | None
    evident_time: float
    found: Found | None
    tail: Found | None


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


@dataclass(frozen=True, slots=True)
class FlaggedRows:
    """The rows of a batch, by series in order of time or of arrival; row i belongs to `keys[group[i]]`.

    Scores, NaN where there is none, clock, flags and evidence are (n,). A row is `evident` where its own latest rows
    are anomalous, not only a longer window that ends with it.
    """

    keys: Sequence[str]
    group: np.ndarray
    time: np.ndarray
    score: np.ndarray
    flagged: np.ndarray
    evident: np.ndarray


def series_parts(
    rows: FlaggedRows, rules: EventRules, describe: Callable[[np.ndarray], Found]
) -> tuple[SeriesPart[Found], ...]:
    """The parts of series in a batch, with their runs; `describe` gives what is kept of rows (m,) of the batch."""
    scored = np.flatnonzero(~np.isnan(rows.score))
    order = scored[np.argsort(rows.group[scored], kind="stable")]
    group, time = rows.group[order], rows.time[order]
    edges = np.flatnonzero(np.diff(group, prepend=-1, append=-1)).tolist() if order.size else [0]
    for first, last in pairwise(edges):
        time[first:last] = np.maximum.accumulate(time[first:last])
    begins_series = np.diff(group, prepend=-1) != 0
    gap = ~begins_series & (np.diff(time, prepend=time[:1]) > rules.max_gap)
    score, flagged = rows.score[order], rows.flagged[order]
    lasting = flagged | (score >= rules.ends_below)
    first_rows, last_rows = runs_of(flagged, lasting, begins_series | gap)
    evident, n_gaps = np.flatnonzero(flagged & rows.evident[order]), np.cumsum(gap)

    def run(begin: int, end: int, first: int) -> Run[Found]:
        place = int(np.searchsorted(evident, end, side="right")) - 1
        last = int(evident[place]) if place >= 0 and evident[place] >= begin else None
        until = begin if last is None else last + 1
        return Run(
            begin - first,
            end - first,
            int(n_gaps[begin] - n_gaps[first]),
            float(time[begin]),
            float(time[end]),
            None if last is None else last - first,
            np.nan if last is None else float(time[last]),
            None if last is None else describe(order[begin:until]),
            describe(order[until : end + 1]) if until <= end else None,
        )

    parts = []
    for first, last in pairwise(edges):
        mine = slice(*np.searchsorted(first_rows, [first, last]).tolist())
        runs = tuple(run(a, b, first) for a, b in zip(first_rows[mine].tolist(), last_rows[mine].tolist(), strict=True))
        leading = None
        if lasting[first]:
            stops = np.flatnonzero(~lasting[first:last] | gap[first:last])
            leading = run(first, first + int(stops[0]) - 1 if stops.size else last - 1, first)
        key, n_gaps_here = rows.keys[int(group[first])], int(n_gaps[last - 1] - n_gaps[first])
        parts.append(
            SeriesPart(key, last - first, float(time[first]), float(time[last - 1]), n_gaps_here, runs, leading)
        )
    return tuple(parts)


@dataclass(slots=True)
class Event(Generic[Found]):
    """An event of a series: its rows counted in the series, its times, and what was found in its runs."""

    key: str
    first: int
    last: int
    stretch: int
    begin: float
    end: float
    found: list[Found] = field(default_factory=list)
    ends: tuple[int, float, int] | None = None  # last evident row, its time, and how many of `found` are up to it

    def add(self, run: Run[Found], first_row: int, stretch: int) -> None:
        """Take in a run; the rows and stretches of its part are counted from `first_row` and `stretch`."""
        self.last, self.stretch = first_row + run.last, stretch + run.stretch
        self.end = max(self.end, run.end)
        if run.found is not None:
            self.found.append(run.found)
        if run.evident is not None:
            self.ends = (first_row + run.evident, run.evident_time, len(self.found))
        if run.tail is not None:
            self.found.append(run.tail)

    def trimmed(self) -> Event[Found]:
        """The event up to its last evident row; the whole event where it has none."""
        if self.ends is None:
            return self
        last, end, n_found = self.ends
        return Event(self.key, self.first, last, self.stretch, self.begin, end, self.found[:n_found])

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
        events = [track.event.trimmed() for track in self.series.values() if track.event is not None]
        return sorted((event for event in events if self._is_long(event)), key=lambda event: event.end)

    def _add(self, track: _Track[Found], part: SeriesPart[Found], ended: list[Event[Found]]) -> None:
        if part.first_time - track.newest > self.rules.max_gap:
            track.stretch, track.lasts = track.stretch + 1, False
        runs = list(part.runs)
        if track.lasts and part.leading is not None:
            if runs and runs[0].last == part.leading.last:  # the same run, of which some rows are not flagged yet
                del runs[0]
            runs.insert(0, part.leading)
        for run in runs:
            event = track.event
            if event is not None and self._is_apart(
                event, track.n_rows + run.first, track.stretch + run.stretch, run.begin
            ):
                self._end(track, ended)
                event = None
            if event is None:
                first = track.n_rows + run.first
                event = track.event = Event(part.key, first, first, track.stretch, run.begin, run.end)
            event.add(run, track.n_rows, track.stretch)
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
        event = None if track.event is None else track.event.trimmed()
        if event is not None and self._is_long(event):
            ended.append(event)
        track.event = None

    def _is_long(self, event: Event[Found]) -> bool:
        return event.n_rows >= self.rules.min_rows and event.end - event.begin >= self.rules.min_time
