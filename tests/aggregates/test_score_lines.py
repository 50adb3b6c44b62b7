"""Scores along time: any cut of a table gives the same bins, in bounded memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings, strategies as st

from vaecli.aggregates.score_lines import MOST_BINS, ScoreLine, lines_together, score_lines


@given(st.integers(1, 3000), st.integers(0, 2**32 - 1), st.lists(st.floats(0, 1), max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_cut_of_the_rows_gives_the_same_bins(n_rows: int, seed: int, cuts: list[float]):
    rng = np.random.default_rng(seed)
    time = rng.choice([1.0, 60.0, 1e6]) * rng.normal(size=n_rows).cumsum()
    time[rng.random(n_rows) < 0.05] = np.nan
    score, group = rng.exponential(size=n_rows), rng.integers(0, 3, n_rows)
    score[rng.random(n_rows) < 0.1] = np.nan
    flagged = score > 2
    keys = ("a", "b", "c")
    whole = score_lines(1.0, keys, group, time, score, flagged)
    edges = [0, *sorted(int(cut * n_rows) for cut in cuts), n_rows]
    parts: dict[str, ScoreLine] = {}
    for first, last in pairwise(edges):
        rows = slice(first, last)
        found = score_lines(1.0, keys, group[rows], time[rows], score[rows], flagged[rows])
        parts = lines_together(parts, found)
    assert parts.keys() == whole.keys()
    for key, line in whole.items():
        other = parts[key]
        assert (other.width, other.first, other.last) == (line.width, line.first, line.last)
        for name in ("number", "low", "high", "rows", "flagged"):
            np.testing.assert_array_equal(getattr(other, name), getattr(line, name))


def test_a_million_rows_are_few_bins_that_hold_the_extremes():
    """One high score among a million is the largest of its bin, at its time."""
    time = np.arange(1_000_000) * 60.0
    score = np.ones(time.size)
    score[654_321] = 50.0
    line = ScoreLine.of(60.0, time, score, score > 2)
    assert MOST_BINS / 2 < line.number.size <= MOST_BINS
    assert line.n_rows == time.size
    assert line.n_flagged == 1
    assert line.highest == 50
    begin = line.number[np.argmax(line.high)] * line.width
    assert begin <= time[654_321] < begin + line.width
    assert set(line.low.tolist()) == {1.0}


def test_rows_far_off_in_time_are_left_out_of_what_is_drawn():
    time = np.append(np.arange(100.0), 4e9)
    line = ScoreLine.of(1.0, time, np.ones(101), np.zeros(101, bool))
    assert line.near().n_rows == 100
    assert line.last == 4e9
