"""Patterns of deviation in a stream, and their agglomeration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.aggregates.incident_sketch import UNIT, DeviatingItems, IncidentSketch
from vaecli.decisions.incident_groups import MIXED, group_patterns, nearest_known


def items(vectors: np.ndarray, place: np.ndarray, first: int = 0) -> DeviatingItems[int]:
    """Items with the vectors (n, d) in standard deviations and places (n,), numbered from `first`."""
    n = len(vectors)
    at = first + np.arange(n)
    shares = np.ones((n, 1), np.int64)
    deviation = np.rint(UNIT * vectors).astype(np.int64)
    return DeviatingItems(deviation, shares, place, at, np.ones(n, np.int64), vectors.sum(1), list(map(int, at)))


def told(sketch: IncidentSketch[int]) -> list[object]:
    return [
        (one.n, one.place, one.deviation.tolist(), one.first.at, one.last.at, [kept.at for kept in one.examples])
        for one in sketch.patterns
    ]


@of_a_hundred(40)
@given(
    vectors=st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    most=st.integers(1, 8),
)
def test_batches_change_no_pattern(vectors: list[tuple[int, ...]], cuts: list[int], most: int) -> None:
    """The same items in one batch or in many give the same patterns, also where the radius has to grow."""
    rows = np.array(vectors, float)
    place = (rows.sum(1) % 3).astype(np.int64)
    whole, parts = IncidentSketch[int](most), IncidentSketch[int](most)
    whole.add(items(rows, place))
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    for begin, end in pairwise(edges):
        parts.add(items(rows[begin:end], place[begin:end], begin))
    assert told(whole) == told(parts)
    assert len(whole.patterns) <= most
    assert sum(one.n for one in whole.patterns) == len(rows)


def test_patterns_are_sums_of_their_items() -> None:
    """Two faults, alternating: two patterns with the exact sums, extremes and highest items."""
    rows = np.tile([[3.0, 0.0], [0.0, -3.0]], (50, 1))
    rows[60, 0] += 0.5
    sketch = IncidentSketch[int]()
    sketch.add(items(rows, np.zeros(100, np.int64)))
    up, down = sketch.patterns
    assert (up.n, up.first.at, up.last.at, up.highest.item) == (50, 0, 98, 60)
    assert (down.n, down.first.at, down.last.at) == (50, 1, 99)
    assert up.deviation.tolist() == [UNIT * 3 * 50 + UNIT // 2, 0]
    assert up.examples[0].at == 60
    assert len({one.at for one in up.examples}) == 3


def test_a_leader_keeps_its_place_between_batches() -> None:
    """A pattern that took in an item of another place is met by the next batch as it was within one.

    The radius grows to 4 standard deviations: the last item lies 3.5 from the first, which is within it in the same
    place and beyond it in another one.
    """
    rows = np.array([[0.0], [100.0], [3.0], [103.0], [0.0], [3.5]])
    place = np.array([0, 0, 0, 0, 1, 0])
    whole, parts = IncidentSketch[int](3), IncidentSketch[int](3)
    whole.add(items(rows, place))
    parts.add(items(rows[:5], place[:5]))
    parts.add(items(rows[5:], place[5:], 5))
    assert [(one.n, one.place) for one in whole.patterns] == [(4, MIXED), (2, 0)]
    assert told(whole) == told(parts)


def test_near_groups_are_joined_and_far_ones_are_not() -> None:
    """Centroids closer than two standard deviations are one incident."""
    mean = np.array([[0.0, 0.0], [1.9, 0.0], [9.0, 0.0], [9.0, 2.1]])
    label, _ = group_patterns(mean, np.array([1, 1, 1, 1]), np.zeros(4, np.int64))
    assert label.tolist() == [0, 0, 2, 3]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_there_are_never_more_groups_than_asked(most: int) -> None:
    """Groups far apart are joined where there are too many, the smallest loss first; their place is none then."""
    mean = 10.0 * np.arange(6)[:, None]
    label, place = group_patterns(mean, np.array([9, 1, 1, 9, 9, 9]), np.arange(6), most)
    assert len(set(label.tolist())) == most
    if most == 5:
        assert label.tolist() == [0, 1, 1, 3, 4, 5]
        assert place[1] == MIXED
        assert place[0] == 0


def test_another_place_is_another_incident() -> None:
    """The same deviation in two groups is two incidents while there are few."""
    label, place = group_patterns(np.zeros((2, 3)), np.array([5, 5]), np.array([0, 1]))
    assert label.tolist() == [0, 1]
    assert place.tolist() == [0, 1]


def test_a_known_incident_goes_on_within_its_distance() -> None:
    """The nearest known incident is found, and none beyond KNOWN_WITHIN."""
    known = np.array([[0.0, 0.0], [3.0, 0.0]])
    assert nearest_known(np.array([[2.0, 0.0], [0.0, 2.4], [0.0, 2.5]]), known).tolist() == [1, 0, -1]
    assert nearest_known(np.zeros((2, 2)), np.empty((0, 2))).tolist() == [-1, -1]
