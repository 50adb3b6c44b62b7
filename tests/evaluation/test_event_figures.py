"""Events found, delays and false alarms, on rows that can be counted by hand."""

from __future__ import annotations

import numpy as np

from vaecli.evaluation.event_figures import EventFigures, event_figures
from vaecli.evaluation.runs import Runs


def marks(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def figures(
    labels: str, flags: str, series: str | None = None, time: np.ndarray | None = None, alarms: str | None = None
) -> EventFigures:
    """The figures of rows as letters; each run of flags is an alarm unless the rows of alarms are given."""
    n = len(labels)
    codes = np.zeros(n, int) if series is None else np.array([int(letter) for letter in series])
    raised = Runs.of(marks(flags if alarms is None else alarms), codes)
    clock = np.arange(n) * 60.0 if time is None else time
    return event_figures(marks(labels), marks(flags), raised, codes, clock, 60.0, 300.0)


def test_events_are_found_by_any_flag_and_late_by_the_rows_before_it():
    found = figures("0001111000011100001", "1000011000000000001")
    assert (found.n_events, found.n_found, found.delay_rows.tolist()) == (3, 2, [2, 0])
    assert found.delay_time.tolist() == [120.0, 0.0]


def test_flags_outside_alarms_find_nothing_and_make_no_alarm_true():
    """An event that ended has flags after it, which windows that still hold the fault raise."""
    found = figures("0110001", "0110111", alarms="0110000")
    assert (found.n_events, found.n_found, found.n_alarms, found.n_false_alarms) == (2, 1, 1, 0)


def test_an_alarm_is_true_where_one_of_its_flags_is_labelled():
    """An event between two flags is neither found nor does it make their alarm true."""
    assert figures("0001", "1111").n_false_alarms == 0
    between = figures("00100", "11011", alarms="11111")
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
