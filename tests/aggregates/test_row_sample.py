"""What is kept of a stream for its picture: bounded, and the same however the stream is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaecli.aggregates import row_sample as points
from vaecli.aggregates.row_sample import MapPoints, smallest


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_the_sample_does_not_depend_on_how_rows_are_cut(sizes: list[int]):
    """Added part by part the same rows stay as when all are seen at once, and at most so many."""
    place = np.random.default_rng(1).normal(size=(sum(sizes), 2))
    text = np.array([str(i) for i in range(sum(sizes))], object)
    ends = np.cumsum(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "MOST_POINTS", 50)
        parts = [
            MapPoints.of(np.arange(end - size, end), place[end - size : end], text[end - size : end])
            for size, end in zip(sizes, ends, strict=True)
        ]
        found = parts[0]
        for part in parts[1:]:
            found += part
        whole = MapPoints.of(np.arange(sum(sizes)), place, text)
    assert len(found.row) == min(50, sum(sizes))
    np.testing.assert_array_equal(found.row, whole.row)
    np.testing.assert_array_equal(found.position, place[found.row])
    np.testing.assert_array_equal(found.text, text[found.row])


def test_the_sample_is_spread_over_the_rows():
    """Each tenth of a long table gives about a tenth of the points."""
    n = 100_000
    kept = MapPoints.of(np.arange(n), np.zeros((n, 2)), np.full(n, None, object)).row
    assert kept.size == points.MOST_POINTS
    share = np.histogram(kept, bins=10, range=(0, n))[0] / kept.size
    assert np.abs(share - 0.1).max() < 0.02


def test_of_equal_keys_the_earlier_stay():
    """The smallest keys, in the order of rows; all where there are not more than asked for."""
    assert smallest(np.array([2.0, 1.0, 2.0, 0.0, 2.0]), 3).tolist() == [0, 1, 3]
    assert smallest(np.array([2.0, 1.0]), 3).tolist() == [0, 1]
