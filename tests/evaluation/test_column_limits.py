"""Limits on each column alone: as many false alarms as the detector, and blind to what only company shows."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import ReferenceRows
from vaecli.schema import Column, Kind

NUMBERS = (Column("a", Kind.NUMERIC), Column("b", Kind.NUMERIC))


def as_cells(values: np.ndarray, state: int = PRESENT) -> Cells:
    values = np.asarray(values, np.float64)
    missing = np.isnan(values)
    return Cells(values, np.where(missing, MISSING, state).astype(np.uint8), np.arange(len(values)))


def as_normal(values: np.ndarray, columns: tuple[Column, ...]) -> ReferenceRows:
    cells = as_cells(values)
    spread = np.nanstd(cells.values, axis=0)
    return ReferenceRows(cells, columns, np.nanmean(cells.values, axis=0), spread, np.nanmedian(cells.values, axis=0))


@pytest.fixture
def pairs() -> np.ndarray:
    """Two columns of numbers that are the same but for little."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=2000)
    return np.column_stack([a, a + 0.01 * rng.normal(size=2000)])


@pytest.mark.parametrize("n_alarms", [0, 1, 20, 500, 1999])
def test_the_limit_flags_as_many_as_asked(pairs: np.ndarray, n_alarms: int):
    """The most anomalous of the normal rows, never more, and fewer only where rows are equally anomalous."""
    found = int(ColumnLimits.of(as_normal(pairs, NUMBERS), n_alarms).flags_own().sum())
    assert n_alarms * 0.95 - 4 <= found <= n_alarms


def test_fresh_rows_are_flagged_as_often(pairs: np.ndarray):
    """Own rows are judged as if they were not there, so the rate holds for others."""
    fresh = np.random.default_rng(1).normal(size=(20_000, 1)) * [1.0, 1.0]
    share = ColumnLimits.of(as_normal(pairs, NUMBERS), 20).flags(as_cells(fresh)).mean()
    assert share == pytest.approx(0.01, abs=0.006)


def test_values_out_of_company_pass(pairs: np.ndarray):
    """What each column has met by itself is within its limits, whatever stands beside it."""
    ranges = ColumnLimits.of(as_normal(pairs, NUMBERS), 20)
    inside = np.array([[1.5, -1.5], [-1.0, 1.0]])
    assert not ranges.flags(as_cells(inside)).any()
    assert ranges.flags(as_cells(np.array([[6.0, 0.0], [0.0, -6.0]]))).all()


def test_beyond_all_rows_farther_is_more_anomalous(pairs: np.ndarray):
    """Oddness grows without end, by one for each standard deviation, so that every limit can be met."""
    ranges = ColumnLimits.of(as_normal(pairs, NUMBERS), 0)
    top = pairs[:, 0].max()
    spread = pairs[:, 0].std()
    odd = ranges.rarity(as_cells([[top, 0], [top + spread, 0], [top + 3 * spread, 0]]))
    np.testing.assert_allclose(odd[1:], np.log(2001) + np.array([1.0, 3.0]))
    assert odd[0] == pytest.approx(np.log(2001 / 2))


def test_words_and_gaps_are_as_anomalous_as_they_are_rare():
    """log((n + 1) / (k + 1)); the first gap, or the first novel value, counts as far beyond."""
    columns = (Column("mode", Kind.CATEGORICAL, categories=("x", "y", "z")),)
    words = np.repeat([0.0, 1.0], [90, 9])[:, None]
    ranges = ColumnLimits.of(as_normal(words, columns), 0)
    odd = ranges.rarity(as_cells([[0.0], [1.0], [2.0], [np.nan]]))
    np.testing.assert_allclose(odd, np.log([100 / 91, 100 / 10, 100, 100 * np.e**10]))
    assert ranges.flags(Cells(np.array([[np.nan]]), np.array([[NOVEL]], np.uint8), np.arange(1))).all()
    gaps = np.where(np.arange(99)[:, None] % 3 == 0, np.nan, words)
    ranges = ColumnLimits.of(as_normal(gaps, columns), 0)
    assert ranges.rarity(as_cells([[np.nan]])) == pytest.approx(np.log(100 / 34))


def test_a_column_without_values_has_no_limits():
    """Nothing is known of it but that it is empty."""
    values = np.column_stack([np.arange(30.0), np.full(30, np.nan)])
    cells = as_cells(values)
    normal = ReferenceRows(cells, NUMBERS, np.zeros(2), np.ones(2), np.zeros(2))
    ranges = ColumnLimits.of(normal, 1)
    assert ranges.rarity(as_cells([[15.0, np.nan]])) < 1
    assert np.isfinite(ranges.rarity(as_cells([[15.0, 3.0]]))).all()
