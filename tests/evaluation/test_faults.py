"""Faults do what their names promise, to the cells that they name, and to nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binomtest

from vaecli.config import FAULTS, TEXT_FAULTS
from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.evaluation.faults import CATALOGUE, ReferenceRows, assigned, inject, wilson
from vaecli.results.selftest import FAULT_NAMES
from vaecli.schema import Column, Kind

COLUMNS = (
    Column("flow", Kind.NUMERIC),
    Column("count", Kind.NUMERIC, whole=True),
    Column("temp", Kind.NUMERIC),
    Column("when", Kind.DATETIME),
    Column("on", Kind.BOOLEAN, categories=("no", "yes")),
    Column("mode", Kind.CATEGORICAL, categories=("a", "b", "c")),
    Column("site", Kind.CATEGORICAL, categories=("x", "y"), has_other=True),
)
FLOW, COUNT, TEMP, WHEN, ON, MODE, SITE = range(7)
MEAN = np.array([10.0, 4.0, -3.0, 1e9, np.nan, np.nan, np.nan])
SPREAD = np.array([2.0, 0.6, 1.0, 1e5, np.nan, np.nan, np.nan])
CASES = [(name, size) for name in FAULTS for size in CATALOGUE[name].sizes]


def rows(n: int = 400, seed: int = 0) -> Cells:
    """Rows of COLUMNS, a tenth of the cells empty and some novel."""
    rng = np.random.default_rng(seed)
    values = np.column_stack(
        [
            rng.normal(10, 2, n),
            rng.poisson(4, n),
            rng.normal(-3, 1, n),
            rng.normal(1e9, 1e5, n),
            rng.integers(0, 2, n),
            rng.integers(0, 3, n),
            rng.integers(0, 3, n),
        ]
    ).astype(np.float64)
    state = rng.choice([PRESENT, MISSING, NOVEL], values.shape, p=[0.85, 0.1, 0.05]).astype(np.uint8)
    values[state != PRESENT] = np.nan
    return Cells(values, state, np.arange(n))


def normal(cells: Cells) -> ReferenceRows:
    typical = [np.nanquantile(cells.values[:, j], 0.5, method="lower") for j in range(WHEN + 1)]
    return ReferenceRows(cells, COLUMNS, MEAN, SPREAD, np.array([*typical, 1.0, 2.0, 0.0]))


def broken(name: str, size: float | None, cells: Cells, seed: int = 0):
    """(cells with the fault, which rows changed, which column was hit)."""
    fault = CATALOGUE[name]
    rng = np.random.default_rng(seed)
    column = assigned(len(cells), fault.applies_to(COLUMNS, size), rng)
    return *inject(fault, size, cells, column, normal(cells), rng), column


def differs(one: Cells, other: Cells) -> np.ndarray:
    same = (one.values == other.values) | (np.isnan(one.values) & np.isnan(other.values))
    return ~same | (one.state != other.state)


def hit_only(name: str, size: float | None, cells: Cells, j: int) -> tuple[np.ndarray, np.ndarray]:
    """(before, after) of the present cells of column j, all of them hit."""
    here = Cells(cells.values[:, :], cells.state, cells.row)
    column = np.full(len(cells), j)
    after, _ = inject(CATALOGUE[name], size, here, column, normal(cells), np.random.default_rng(0))
    present = cells.state[:, j] == PRESENT
    return cells.values[present, j], after.values[present, j]


def test_the_names_are_those_of_the_settings():
    """What --faults takes is what can be put into rows, and each has words for a person."""
    assert tuple(CATALOGUE) == (*FAULTS, *TEXT_FAULTS)
    assert set(CATALOGUE) <= set(FAULT_NAMES)


@pytest.mark.parametrize(("name", "size"), CASES, ids=str)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_only_the_named_cells_change(name: str, size: float | None, seed: int):
    """The cell that is hit and, of swapped and missing ones, its partners; a row that has no such cell stays."""
    cells = rows(60, seed % 7)
    after, changed, column = broken(name, size, cells, seed)
    found = differs(cells, after)
    np.testing.assert_array_equal(found.any(1), changed)
    others = found.sum(1) - found[np.arange(60), column]
    assert others.max() <= {"swap": 1, "missing": int(size or 1) - 1}.get(name, 0)
    assert not found[cells.state[np.arange(60), column] != PRESENT].any()
    if name == "swap":
        assert set(np.flatnonzero(found.any(0))) <= {FLOW, COUNT, TEMP}
    np.testing.assert_array_equal(after.row, cells.row)


@pytest.mark.parametrize(("name", "size"), CASES, ids=str)
def test_the_rows_given_are_left_alone(name: str, size: float | None):
    """A fault is put into a copy; the same seed puts the same one, and cells stay what `Cells` promises."""
    cells = rows()
    before = Cells(cells.values.copy(), cells.state.copy(), cells.row.copy())
    after, changed, _ = broken(name, size, cells)
    assert not differs(before, cells).any()
    assert changed.any()
    again, _, _ = broken(name, size, cells)
    assert not differs(after, again).any()
    np.testing.assert_array_equal(np.isnan(after.values), after.state != PRESENT)
    count = after.values[:, COUNT]
    np.testing.assert_array_equal(count[~np.isnan(count)] % 1, 0)


@pytest.mark.parametrize("size", CATALOGUE["spike"].sizes)
def test_a_spike_leads_away_from_the_middle(size: float):
    """By that many standard deviations of the fit; of whole numbers by at least 1."""
    before, after = hit_only("spike", size, rows(), FLOW)
    np.testing.assert_allclose(after - before, 2.0 * size * np.sign(before - 10), rtol=1e-9)
    before, after = hit_only("spike", size, rows(), COUNT)
    np.testing.assert_array_equal(np.abs(after - before), round(0.6 * size))


def test_a_shift_goes_both_ways():
    """Up and down by the same, each in about half of the rows; of whole numbers by at least 1."""
    before, after = hit_only("shift", 0.5, rows(), FLOW)
    np.testing.assert_allclose(np.abs(after - before), 1.0)
    assert 0.4 < (after > before).mean() < 0.6
    before, after = hit_only("shift", 0.5, rows(), COUNT)
    np.testing.assert_array_equal(np.abs(after - before), 1)


def test_a_scale_multiplies():
    """Zero is no change to a reading of zero, so such rows do not count."""
    before, after = hit_only("scale", 1000.0, rows(), TEMP)
    np.testing.assert_allclose(after, 1000 * before)
    cells = rows()
    _, changed = inject(CATALOGUE["scale"], 0.0, cells, np.full(400, COUNT), normal(cells), np.random.default_rng(0))
    assert not changed[cells.values[:, COUNT] == 0].any()
    assert changed[cells.values[:, COUNT] > 0].all()


def test_swapped_cells_hold_each_other():
    """Where whole numbers stand, rounded."""
    cells = rows()
    after, changed, column = broken("swap", None, cells)
    for i in np.flatnonzero(changed)[:50]:
        moved = np.flatnonzero(differs(cells, after)[i])
        assert column[i] in moved
        if moved.size == 2 and COUNT not in moved:
            np.testing.assert_array_equal(after.values[i, moved], cells.values[i, moved[::-1]])


def test_a_stuck_column_stands_at_its_typical_value():
    """The median of numbers, the most frequent word; rows that stood there have no fault."""
    cells = rows()
    for j in (FLOW, WHEN, MODE):
        before, after = hit_only("stuck", None, cells, j)
        assert set(after) == {normal(cells).typical[j]}
        assert set(after) <= set(before)


def test_missing_cells_are_as_many_as_asked():
    """Counted in rows that had no gap."""
    cells = rows()
    whole = (cells.state == PRESENT).all(1)
    for size in (1.0, 3.0):
        after, _, _ = broken("missing", size, cells)
        np.testing.assert_array_equal((after.state == MISSING).sum(1)[whole], size)


def test_a_word_never_seen_is_read_as_a_table_is_read():
    """Novel, or "other" in a column that folded rare words at fit."""
    cells = rows()
    column = np.where(np.arange(400) % 2 == 0, MODE, SITE)
    after, _ = inject(CATALOGUE["unseen"], None, cells, column, normal(cells), np.random.default_rng(0))
    hit = cells.state[np.arange(400), column] == PRESENT
    assert (after.state[hit & (column == MODE), MODE] == NOVEL).all()
    assert (after.state[hit & (column == SITE), SITE] == PRESENT).all()
    assert (after.values[hit & (column == SITE), SITE] == 2).all()


@pytest.mark.parametrize(("j", "known"), [(ON, 2), (MODE, 3), (SITE, 2)])
def test_a_wrong_word_is_another_known_one(j: int, known: int):
    """Never the same, never "other", and each of the others now and then."""
    before, after = hit_only("wrong", None, rows(), j)
    assert (after != before).all()
    assert set(after) == set(range(known))


def test_a_borrowed_value_is_one_that_there_is():
    """Every value comes from the same column of another normal row."""
    before, after = hit_only("borrowed", None, rows(), FLOW)
    assert set(after) <= set(before)
    assert (after != before).mean() > 0.9


def test_columns_take_turns():
    """Every column is hit equally often, to one row."""
    column = assigned(100, np.array([1, 4, 6]), np.random.default_rng(0))
    assert sorted(np.bincount(column)[[1, 4, 6]]) == [33, 33, 34]


@pytest.mark.parametrize(
    ("name", "size", "columns", "why"),
    [
        ("swap", None, COLUMNS[:1], "it takes two columns of numbers"),
        ("scale", 2.0, COLUMNS[3:], "it takes a column of numbers"),
        ("spike", 2.0, COLUMNS[4:], "it takes a column of numbers or dates"),
        ("missing", 3.0, COLUMNS[:2], "there are fewer than 3 columns"),
        ("unseen", None, COLUMNS[:5], "it takes a categorical column"),
        ("wrong", None, COLUMNS[:4], "there is no column of words with two known values"),
        (
            "wrong",
            None,
            (dataclasses.replace(COLUMNS[5], categories=("a",)),),
            "there is no column of words with two known values",
        ),
    ],
)
def test_a_table_may_lack_what_a_fault_takes(name: str, size: float | None, columns: tuple[Column, ...], why: str):
    """Then no column applies, and a sentence names what is missing."""
    assert not CATALOGUE[name].applies_to(columns, size).size
    assert CATALOGUE[name].applies_to(COLUMNS, size).size
    assert CATALOGUE[name].why_not(size) == why


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_intervals_are_those_of_wilson(n: int, share: float):
    """As SciPy has them; a share of 0 or 1 reaches that end exactly."""
    k = round(share * n)
    theirs = binomtest(k, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(k, n)
    assert low == pytest.approx(theirs.low, abs=1e-9)
    assert high == pytest.approx(theirs.high, abs=1e-9)
    assert (low == 0) == (k == 0)
    assert (high == 1) == (k == n)


def test_nothing_counted_has_no_interval():
    """NaN, not a division by zero."""
    assert np.isnan(wilson(0, 0)).all()


def test_sizes_are_in_units_of_the_fit(model, normal_table):
    """Means and standard deviations are those of the fit whatever rows are tested; typical values are of these rows."""
    schema, preprocessor = model.schema, model.detector.preprocessor
    names = [column.name for column in schema.features]
    where, mode = names.index("flow"), names.index("mode")
    values = np.full((30, len(names)), np.nan)
    values[:, where] = np.arange(30.0) + 1000
    values[:, mode] = np.arange(30) % 3 == 2
    state = np.where(np.isnan(values), MISSING, PRESENT).astype(np.uint8)
    found = ReferenceRows.of(Cells(values, state, np.arange(30)), schema.features, preprocessor)
    assert found.mean[where] == pytest.approx(normal_table["flow"].mean())
    assert found.spread[where] == pytest.approx(normal_table["flow"].std(ddof=0))
    assert np.isnan([found.mean[mode], found.spread[mode]]).all()
    assert (found.typical[where], found.typical[mode]) == (1014.0, 0.0)
    assert np.isnan(found.typical[names.index("pressure")])
