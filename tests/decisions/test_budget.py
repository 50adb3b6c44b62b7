"""Budgets: the most unusual rows, and events a day."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from vaecli.decisions.budget import SECONDS_PER_DAY, UNSUPPRESSED, RankedRows, per_day


def rows_of(p_value: list[float], rule: list[int] | None = None) -> RankedRows:
    n = len(p_value)
    rules = np.full(n, UNSUPPRESSED) if rule is None else np.array(rule)
    return RankedRows(np.arange(n), np.array(p_value), -np.array(p_value), rules)


P_VALUES = st.lists(st.integers(1, 20).map(lambda i: i / 20), min_size=1, max_size=60)


@given(P_VALUES, st.integers(1, 20), st.data())
def test_the_best_are_those_of_a_sort(p_value: list[float], most: int, data: st.DataObject) -> None:
    """`best` keeps the N smallest p-values without a rule, of equal ones the earlier, in parts as in one go."""
    n = len(p_value)
    rule = data.draw(st.lists(st.sampled_from([UNSUPPRESSED, 0, 1]), min_size=n, max_size=n))
    cut = data.draw(st.integers(0, n))
    rows = rows_of(p_value, rule)
    whole = rows.best(most)
    parts = (rows.take(np.arange(cut)).best(most) + rows.take(np.arange(cut, n))).best(most)
    assert sorted(whole.row) == sorted(parts.row)
    free = sorted((p, i) for i, p in enumerate(p_value) if rule[i] == UNSUPPRESSED)[:most]
    assert sorted(i for _, i in free) == sorted(whole.row[whole.rule == UNSUPPRESSED])
    if len(free) == most:
        assert all((p_value[i], i) < free[-1] for i in whole.row[whole.rule != UNSUPPRESSED])


@given(P_VALUES, st.integers(1, 3), st.integers(0, 3), st.data())
def test_no_day_has_more_events(p_value: list[float], events: int, gap: int, data: st.DataObject) -> None:
    """Merged by hand, the flagged rows of each day and series are at most the budget, and as many as reported."""
    n = len(p_value)
    seconds = np.array(data.draw(st.lists(st.integers(0, 3 * 24), min_size=n, max_size=n))) * 3600.0
    series = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    place = seconds / 3600
    found = per_day(rows_of(p_value), seconds, place, series, events, gap)
    total = 0
    for day in np.unique(seconds // SECONDS_PER_DAY):
        n_events = 0
        for one in (0, 1):
            at = np.sort(place[found.chosen & (seconds // SECONDS_PER_DAY == day) & (series == one)])
            n_events += int(at.size > 0) + int((np.diff(at) > gap).sum())
        assert n_events <= events
        total += n_events
    assert total == found.n_events


def test_rows_side_by_side_are_one_event() -> None:
    """Two neighbours and a row an hour later on one day: with a budget of one event both neighbours are flagged."""
    rows = rows_of([0.001, 0.002, 0.003])
    seconds = np.array([0.0, 60.0, 3600.0])
    found = per_day(rows, seconds, seconds, np.zeros(3, int), 1, 60.0)
    assert found.chosen.tolist() == [True, True, False]
    assert (found.n_events, found.n_days) == (1, 1)


def test_suppressed_rows_cost_nothing() -> None:
    """A suppressed row that would be flagged is named, and the next row takes its place."""
    rows = rows_of([0.001, 0.002, 0.003], [0, UNSUPPRESSED, 0])
    seconds = np.array([0.0, 3600.0, 7200.0])
    found = per_day(rows, seconds, np.arange(3.0) * 10, np.zeros(3, int), 1, 1.0)
    assert found.chosen.tolist() == [True, True, True]
    assert found.n_events == 1
