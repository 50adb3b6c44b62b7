"""Alarms of readings that training does not support: when they begin, how long they last, and that cuts change none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.data.series import Alarms, Cause
from vaecli.data.support import (
    LEVEL_ROWS,
    LONG_AGO,
    QUIET_ROWS,
    RAISED_ROWS,
    STEPS,
    UNSEEN_ROWS,
    Support,
    nothing_reported,
)

D = 3  # two numbers, of which the second has no range, and the indicator of an unseen value
SUPPORT = Support(
    np.array([[-1, 0, 0], [1, 0, 0]], np.float32),
    np.array([[0.5, np.inf, np.inf], [0.5, np.inf, np.inf]], np.float32),
    np.array([False, False, True]),
)


def rows(number: np.ndarray, unseen: np.ndarray | None = None) -> np.ndarray:
    """Rows of the three sensors; the second follows the first."""
    indicator = np.zeros(number.size) if unseen is None else np.where(unseen, 10.0, 0.0)
    return np.stack([number, number, indicator], axis=1).astype(np.float32)


def alarms(readings: np.ndarray, cuts: tuple[int, ...] = ()) -> Alarms:
    """The alarms of a stretch in pieces that end at `cuts`, each after the rows before it."""
    counts, found = None, []
    for first, last in zip((0, *cuts), (*cuts, len(readings)), strict=True):
        part, counts = SUPPORT.alarms(readings[:first], readings[first:last], counts)
        found.append(part or Alarms.none(last - first))
    return Alarms.concatenate(found)


def step_at(begin: int, height: float, n: int = 1200, end: int | None = None) -> np.ndarray:
    number = np.zeros(n)
    number[begin:end] = height
    return number


def test_an_alarm_begins_with_the_level_and_ends_after_a_while():
    """The mean of eight rows is beyond 1.5 from the seventh row of 1.8 on; sixteen rows later nothing is new."""
    found = alarms(rows(step_at(100, 1.8)))
    assert np.flatnonzero(found.far).tolist() == list(range(106, 106 + RAISED_ROWS))
    assert set(found.sensor[found.far > 0]) == {0}
    assert set(found.cause[found.far > 0]) == {Cause.BEYOND}
    assert found.far.max() == pytest.approx(1.6)  # (1.8 - 1) / 0.5


def test_a_spike_is_none():
    """One row of 10 moves the mean of eight by 1.25, which the limit of 1.5 leaves alone."""
    assert not alarms(rows(step_at(100, 10, end=101))).far.any()


def test_what_goes_on_drifting_is_reported_at_each_step():
    """One, two, four and eight margins beyond the range raise an alarm each, and nothing in between does."""
    number = np.linspace(0, 6, 6000)
    begins = np.flatnonzero(np.diff((alarms(rows(number)).far > 0).astype(int)) > 0) + 1
    reached = number[begins - (LEVEL_ROWS - 1) // 2]
    np.testing.assert_allclose(reached, [1 + 0.5 * step for step in STEPS], atol=0.01)


def test_downwards_too():
    assert np.flatnonzero(alarms(rows(step_at(100, -1.8))).far).tolist() == list(range(106, 106 + RAISED_ROWS))


@pytest.mark.parametrize(("pause", "again"), [(QUIET_ROWS - 40, False), (QUIET_ROWS + 40, True)])
def test_back_and_out_again(pause: int, again: bool):
    """What comes back within QUIET_ROWS is the same excursion, later it is another."""
    number = step_at(100, 1.8, n=2000, end=200)
    number[200 + pause : 300 + pause] = 1.8
    assert alarms(rows(number)).far[200 + pause :].any() == again


def test_an_unseen_value_is_reported_each_time_and_not_for_ever():
    """From its first row on, for 128 rows of one run."""
    unseen = np.zeros(1000, bool)
    unseen[[50, 60]], unseen[200:500] = True, True
    found = alarms(rows(np.zeros(1000), unseen))
    assert np.flatnonzero(found.far).tolist() == [50, 60, *range(200, 200 + UNSEEN_ROWS)]
    assert set(found.sensor[found.far > 0]) == {2}
    assert set(found.cause[found.far > 0]) == {Cause.UNSEEN}


def test_too_few_rows_have_no_level():
    """A stretch that begins beyond the range is reported with its eighth row."""
    assert np.flatnonzero(alarms(rows(np.full(40, 3.0))).far)[0] == LEVEL_ROWS - 1


@of_a_hundred(60)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 1499), max_size=6, unique=True))
def test_cuts_change_nothing(seed: int, cuts: list[int]):
    """In pieces of any size, each after the rows and counts before, alarms are the same to the bit."""
    rng = np.random.default_rng(seed)
    number = np.repeat(rng.choice([0, 1.4, 1.6, 2.1, -1.7, 3.5], 60), 25) + 0.2 * rng.normal(size=1500)
    readings = rows(number, np.repeat(rng.random(60) < 0.1, 25))
    whole, pieces = alarms(readings), alarms(readings, tuple(sorted(cuts)))
    for name in ("far", "sensor", "cause"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))


def test_counts_are_kept_only_while_they_matter():
    """Long after the last alarm a series has none, as before the first."""
    number = step_at(100, 1.8, end=130)
    _, near = SUPPORT.alarms(rows(number)[:0], rows(number)[:300], None)
    assert near is not None
    assert near.shape == nothing_reported(D).shape
    assert (near <= LONG_AGO).all()
    _, after = SUPPORT.alarms(rows(number)[:300], rows(number)[300:], near)
    assert after is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ends", np.zeros((2, D + 1), np.float32)),
        ("ends", np.array([[1] * D, [0] * D], np.float32)),
        ("margin", np.zeros((2, D), np.float32)),
        ("margin", np.full((2, D), np.nan, np.float32)),
        ("unseen", np.full(D, 2, np.uint8)),
    ],
)
def test_arrays_that_no_fit_gives_are_refused(name: str, value: np.ndarray):
    arrays = SUPPORT.to_arrays()
    again = Support.from_arrays(arrays, D)
    readings = rows(step_at(100, 1.8))
    np.testing.assert_array_equal(again.alarms(readings[:0], readings, None)[0].far, alarms(readings).far)
    with pytest.raises(ValueError, match="support/"):
        Support.from_arrays(arrays | {name: value}, D)
