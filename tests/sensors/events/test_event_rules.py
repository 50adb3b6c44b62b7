"""Laws of events: pieces give what the whole gives, and where an event ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, strategies as st

from vaecli.sensors.events import Event, EventRules, FlaggedRows, Tracker, series_parts

MAX_GAP = 3.0
LEVELS = (0.0, 3.6, 5.0, np.nan)  # below a run, lasting, flagged, without a score
Facts = tuple[str, int, int, float, float, tuple[int, ...]]


def events(rows: FlaggedRows, rules: EventRules, cuts: list[int]) -> list[Facts]:
    """The facts of the events of rows that come in pieces; what is kept of rows are their numbers."""
    tracker: Tracker[np.ndarray] = Tracker(rules)
    found: list[Event[np.ndarray]] = []
    for first, last in pairwise([0, *cuts, rows.score.size]):
        piece = slice(first, last)
        columns = (of[piece] for of in (rows.group, rows.time, rows.score, rows.flagged, rows.evident))
        found += tracker.add(
            series_parts(FlaggedRows(rows.keys, *columns), rules, lambda places, first=first: first + places)
        )
    found += tracker.rest()
    return sorted(
        (event.key, event.first, event.last, event.begin, event.end, tuple(np.concatenate(event.found).tolist()))
        for event in found
    )


@st.composite
def tables(draw: st.DrawFn) -> FlaggedRows:
    """Up to 40 rows of two series, some after a gap."""
    n = draw(st.integers(1, 40))
    columns = [draw(st.lists(st.sampled_from(of), min_size=n, max_size=n)) for of in ((0, 1), LEVELS, (1.0, 1.0, 9.0))]
    evident = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    score = np.array(columns[1])
    return FlaggedRows(
        ("a", "b"), np.array(columns[0]), np.cumsum(columns[2]), score, score >= LEVELS[2], np.array(evident)
    )


@given(tables(), st.lists(st.integers(0, 40), max_size=6), st.integers(1, 4), st.booleans())
def test_pieces_give_the_events_of_the_whole(rows: FlaggedRows, cuts: list[int], merge: int, by_time: bool):
    """Wherever a table is cut; flags whose evidence comes in a later piece are part of the event all the same."""
    rules = EventRules(LEVELS[2], MAX_GAP, merge, merge_time=2.0 * merge if by_time else None)
    whole = events(rows, rules, [])
    assert events(rows, rules, sorted({cut for cut in cuts if 0 < cut < rows.score.size})) == whole


@given(tables())
def test_an_event_ends_with_its_last_evident_flag(rows: FlaggedRows):
    """It holds every row of its runs up to there; without evidence all rows of its runs."""
    rules = EventRules(LEVELS[2], MAX_GAP, 1)
    trimmed = events(rows, rules, [])
    nothing = np.zeros(rows.score.size, bool)
    whole = events(FlaggedRows(rows.keys, rows.group, rows.time, rows.score, rows.flagged, nothing), rules, [])
    assert len(trimmed) == len(whole)
    for found, untrimmed in zip(trimmed, whole, strict=True):
        places = np.array(untrimmed[-1])
        evident = places[rows.flagged[places] & rows.evident[places]]
        assert found[:2] == untrimmed[:2]
        assert found[-1] == (tuple(places[places <= evident[-1]]) if evident.size else untrimmed[-1])
        assert rows.time[found[-1][-1]] == found[4]
