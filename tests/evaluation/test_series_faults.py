"""Faults in time do what their names promise, to one sensor, in their rows, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from vaecli.config import SERIES_FAULTS
from vaecli.data.cells import MISSING, PRESENT
from vaecli.data.sensor_scale import CONTINUOUS, DEAD, DISCRETE
from vaecli.evaluation.series_faults import (
    LONGEST,
    ROWS_BEFORE,
    SERIES_CATALOGUE,
    SMOOTHED,
    SensorReadings,
    changed,
    inject,
)
from vaecli.results.selftest import FAULT_NAMES
from vaecli.schema import Column, Kind

MEAN, SPREAD = 10.0, 2.0
COLUMN = Column("flow", Kind.NUMERIC)
CASES = [(name, size) for name, fault in SERIES_CATALOGUE.items() for size in fault.sizes]


def readings(n_rows: int = LONGEST, seed: int = 0, *, is_whole: bool = False, gaps: float = 0.0) -> SensorReadings:
    rng = np.random.default_rng(seed)
    value = rng.normal(MEAN, SPREAD, ROWS_BEFORE + n_rows)
    value = np.rint(value) if is_whole else value
    state = np.where(rng.random(value.size) < gaps, MISSING, PRESENT).astype(np.uint8)
    return SensorReadings(np.where(state == MISSING, np.nan, value), state, ROWS_BEFORE, MEAN, SPREAD, is_whole)


def broken(name: str, size: float | None, of: SensorReadings, seed: int = 0) -> np.ndarray:
    return inject(SERIES_CATALOGUE[name], size, of, np.random.default_rng(seed))[0]


def test_names_are_those_of_the_settings():
    assert tuple(SERIES_CATALOGUE) == SERIES_FAULTS
    assert set(SERIES_FAULTS) <= set(FAULT_NAMES)


@pytest.mark.parametrize("name", ["spike", "shift", "drift", "noise", "delay"])
def test_size_0_changes_nothing(name: str):
    """A fault of size 0 is no fault, also among missing readings and whole numbers."""
    for of in (readings(), readings(gaps=0.2), readings(is_whole=True)):
        np.testing.assert_array_equal(broken(name, 0.0, of), of.now)


@settings(max_examples=40, deadline=None)
@given(case=st.sampled_from(CASES), seed=st.integers(0, 10_000), is_whole=st.booleans())
def test_laws_of_all_faults(case: tuple[str, float | None], seed: int, is_whole: bool):
    """What was given stays as it is, the same seed gives the same fault, whole numbers stay whole, gaps stay gaps."""
    name, size = case
    of = readings(SERIES_CATALOGUE[name].n_rows(size), seed, is_whole=is_whole, gaps=0.1)
    value, state = of.value.copy(), of.state.copy()
    found, found_state = inject(SERIES_CATALOGUE[name], size, of, np.random.default_rng(seed))
    np.testing.assert_array_equal(of.value, value)
    np.testing.assert_array_equal(of.state, state)
    np.testing.assert_array_equal(found, broken(name, size, of, seed))
    np.testing.assert_array_equal(np.isnan(found), found_state != PRESENT)
    if is_whole:
        present = found[~np.isnan(found)]
        np.testing.assert_array_equal(present, np.rint(present))
    if name in ("spike", "shift", "drift", "noise", "quiet"):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(of.now))


def test_each_fault_in_closed_form():
    of = readings()
    np.testing.assert_allclose(np.abs(broken("shift", 2.0, of) - of.now), 2 * SPREAD)
    ramp = np.abs(broken("drift", 4.0, of) - of.now)
    np.testing.assert_allclose(ramp, 4 * SPREAD * np.arange(1, LONGEST + 1) / LONGEST)
    np.testing.assert_array_equal(broken("stuck", None, of), np.full(LONGEST, of.value[ROWS_BEFORE - 1]))
    np.testing.assert_array_equal(broken("delay", 4.0, of), of.value[ROWS_BEFORE - 4 : -4])
    assert np.isnan(broken("missing", 8.0, of)).all()
    assert np.std(broken("noise", 2.0, of) - of.now) == pytest.approx(2 * SPREAD, rel=0.2)
    one = readings(1)
    assert np.abs(broken("spike", 8.0, one) - MEAN) == pytest.approx(np.abs(one.now - MEAN) + 8 * SPREAD)


def test_noise_gone_keeps_the_movement():
    """A line stays a line; of noise a third of the spread is left, as of means of nine."""
    line = np.arange(ROWS_BEFORE + LONGEST, dtype=float)
    of = SensorReadings(line, np.zeros(line.size, np.uint8), ROWS_BEFORE, 0.0, 1.0, is_whole=False)
    half = SMOOTHED // 2
    np.testing.assert_allclose(broken("quiet", None, of)[:-half], of.now[:-half])
    assert np.std(broken("quiet", None, readings())) == pytest.approx(SPREAD / 3, rel=0.4)


def test_stuck_without_a_reading_before_changes_nothing():
    of = readings()
    of.state[:ROWS_BEFORE], of.value[:ROWS_BEFORE] = MISSING, np.nan
    np.testing.assert_array_equal(broken("stuck", None, of), of.now)


def test_kinds_of_sensor():
    kinds = np.array([DEAD, DISCRETE, CONTINUOUS])
    assert SERIES_CATALOGUE["drift"].applies_to(kinds).tolist() == [2]
    assert SERIES_CATALOGUE["stuck"].applies_to(kinds).tolist() == [1, 2]


def test_what_counts_as_a_change():
    """Numbers by 1 % of the spread, cells that go missing, other categories."""
    before, after = np.array([1.0, 1.0, 1.0, np.nan]), np.array([1.01, 1.03, np.nan, np.nan])
    assert changed(COLUMN, SPREAD, before, after).tolist() == [False, True, True, False]
    mode = Column("mode", Kind.CATEGORICAL, categories=("a", "b"))
    assert changed(mode, 100.0, np.array([0.0, 1.0]), np.array([1.0, 1.0])).tolist() == [True, False]
