"""Events found, delays and false alarms, on rows that can be counted by hand."""

from __future__ import annotations

import numpy as np

from vaecli.evaluation.event_figures import MERGE_GAP, EventFigures, event_figures


def marks(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def figures(labels: str, flags: str, series: str | None = None, time: np.ndarray | None = None) -> EventFigures:
    n = len(labels)
    codes = np.zeros(n, int) if series is None else np.array([int(letter) for letter in series])
    return event_figures(marks(labels), marks(flags), codes, np.arange(n) * 60.0 if time is None else time, 60.0, 300.0)


def test_events_are_found_by_any_flag_and_late_by_the_rows_before_it():
    found = figures("0001111000011100001", "1000011000000000001")
    assert (found.n_events, found.n_found, found.delay_rows.tolist()) == (3, 2, [2, 0])
    assert found.delay_time.tolist() == [120.0, 0.0]


def test_flags_close_together_are_one_alarm_and_one_row_more_makes_two():
    for gap, n_alarms in ((MERGE_GAP, 1), (MERGE_GAP + 1, 2)):
        flags = "1" + "0" * gap + "1"
        found = figures("0" * len(flags), flags)
        assert (found.n_alarms, found.n_false_alarms) == (n_alarms, n_alarms)


def test_an_alarm_is_true_where_one_of_its_flags_is_labelled():
    """An event between two flags is neither found nor does it make their alarm true."""
    assert figures("0001", "1111").n_false_alarms == 0
    between = figures("00100", "11011")
    assert (between.n_alarms, between.n_false_alarms, between.n_found) == (1, 1, 0)


def test_nothing_reaches_over_the_end_of_a_series():
    """Neither an event nor an alarm nor the time of a row: the second series begins with one step."""
    time = np.array([0, 60, 120, 0, 60, 120.0])
    found = figures("001100", "011100", "000111", time)
    assert (found.n_events, found.n_alarms, found.n_found) == (2, 2, 2)
    assert found.normal_time == 4 * 60


def test_the_time_of_normal_rows_leaves_gaps_and_events_out():
    """A day without rows is not a day without false alarms."""
    time = np.array([0, 60, 120, 86_400, 86_520, 86_580])
    assert figures("010000", "000000", time=time).normal_time == 60 + 60 + 60 + 120 + 60


def test_without_events_or_flags_nothing_is_found():
    found = figures("0000", "0000")
    assert (found.n_events, found.n_alarms, found.n_false_alarms, found.n_found) == (0, 0, 0, 0)
