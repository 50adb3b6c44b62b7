"""What training held, column by column: values are met again, never invented beyond their step and range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import vaecli
from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.data.marginals import MOST_KNOTS, Marginal, Marginals
from vaecli.detector import Detector
from vaecli.schema import Column, Kind, Layout

NUMBER, WHEN = Column("x", Kind.NUMERIC), Column("x", Kind.DATETIME)
EVEN = (np.arange(10_000) + 0.5) / 10_000
GOLDEN = Path(__file__).parents[1] / "golden"
COLUMNS = (
    Column("x", Kind.NUMERIC),
    Column("on", Kind.BOOLEAN),
    Column("site", Kind.CATEGORICAL, categories=("a", "b")),
)
LAYOUT = Layout.of(COLUMNS)


@given(st.lists(st.sampled_from([-2.5, 0.0, 1.0, 7.0, 1e9]), min_size=20, max_size=200))
def test_values_that_repeat_come_as_often_as_they_did(readings: list[float]) -> None:
    """At even ranks a column of few values has them with the shares of training, to the resolution of the ranks."""
    array = np.array(readings)
    found = Marginal.of(array).at(EVEN, NUMBER)
    for value in np.unique(array):
        assert np.mean(found == value) == pytest.approx(np.mean(array == value), abs=2e-4)
    assert set(found) <= set(array)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60, unique=True))
def test_values_between_readings_stay_within_their_range(readings: list[float]) -> None:
    """Ascending with the rank, from the smallest reading to the largest."""
    array = np.array(readings)
    found = Marginal.of(array).at(np.linspace(0, 1, 101), NUMBER)
    assert (np.diff(found) >= 0).all()
    # a float next to a decimal is taken for it
    np.testing.assert_allclose(found[[0, -1]], [array.min(), array.max()], rtol=5e-16, atol=0)


def test_an_atom_among_many_values_keeps_its_share() -> None:
    """A column that is 0 in a third of the rows and anything else otherwise, of more values than are kept."""
    rng = np.random.default_rng(0)
    readings = np.where(rng.random(30_000) < 1 / 3, 0.0, rng.gamma(2.0, size=30_000))
    one = Marginal.of(readings)
    assert one.values.size == MOST_KNOTS
    found = one.at(EVEN, NUMBER)
    assert np.mean(found == 0) == pytest.approx(1 / 3, abs=0.01)
    assert np.quantile(found, [0.5, 0.9, 0.99]) == pytest.approx(np.quantile(readings, [0.5, 0.9, 0.99]), rel=0.02)


@pytest.mark.parametrize(("decimals", "scale"), [(0, 1e4), (2, 100.0), (4, 1.0), (-2, 1e6)])
def test_numbers_have_the_decimals_of_training(decimals: int, scale: float) -> None:
    """What was recorded in steps of 0.01, or of 100, comes in such steps, though most values are new."""
    readings = np.round(scale * np.random.default_rng(1).normal(size=300), decimals)
    found = Marginal.of(readings).at(EVEN, NUMBER)
    np.testing.assert_array_equal(found, np.round(found, decimals) + 0.0)
    assert np.unique(found).size > 400


@pytest.mark.parametrize("step", [1, 60, 3600, 86_400])
def test_dates_have_the_step_of_training(step: int) -> None:
    """Days stay days, whole minutes whole minutes."""
    readings = 1.7e9 // 86_400 * 86_400 + step * np.random.default_rng(2).permutation(4000)[:500].astype(float)
    found = Marginal.of(readings).at(EVEN, WHEN)
    assert not (found % step).any()


def test_a_column_without_readings_has_no_value() -> None:
    """NaN, which becomes a gap."""
    assert np.isnan(Marginal.of(np.zeros(0)).at(np.array([0.0, 0.5, 1.0]), NUMBER)).all()


def some_cells() -> Cells:
    rng = np.random.default_rng(3)
    values = np.column_stack([rng.normal(size=400), rng.random(400) < 0.2, rng.integers(0, 2, 400)])
    values[:40, 0] = np.nan
    return Cells(values, np.where(np.isnan(values), MISSING, PRESENT).astype(np.uint8), np.arange(400))


def test_arrays_give_the_marginals_back() -> None:
    """What a bundle keeps is complete; counts are those of the rows."""
    marginals = Marginals.of(some_cells(), LAYOUT)
    found = Marginals.from_arrays(LAYOUT, marginals.to_arrays())
    (number, *counts), (expected, *expected_counts) = found.columns, marginals.columns
    np.testing.assert_array_equal(number.values, expected.values)
    np.testing.assert_array_equal(number.share, expected.share)
    for one, other in zip(counts, expected_counts, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.sum() == 400


def test_a_table_without_numbers_has_marginals_too() -> None:
    """Words alone: kept, given back, and drawn as often as they were."""
    rng = np.random.default_rng(0)
    site = rng.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2])
    table = pd.DataFrame({"site": site, "shift": np.where(rng.random(300) < 0.8, site, "z")})
    model = vaecli.fit(table, **{"train.max_steps": 20, "model.n_exemplars": 50})
    settings, arrays = model.detector.to_parts()
    again = Detector.from_parts(model.schema, settings, arrays)
    np.testing.assert_array_equal(again.sampler(0).rows(0, 50).values, model.detector.sampler(0).rows(0, 50).values)
    found = model.sample(2000).to_pandas()
    assert (found["site"] == "a").mean() == pytest.approx((site == "a").mean(), abs=0.04)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("values", np.array([1.0])),
        ("values", np.full(360, np.nan)),
        ("values", -np.arange(360.0)),
        ("share", np.zeros(360)),
        ("size", np.array([3])),
        ("size", np.array([[360]])),
        ("stairs", np.zeros(2, np.int64)),
        ("booleans", np.array([[-1, 3]])),
        ("categories", np.array([1, 2, 3])),
        ("size", np.array([np.inf])),
        ("size", np.array([2**62])),
        ("values", np.zeros(360, bool)),
        ("booleans", np.full((1, 2), np.nan)),
        ("categories", np.full(3, 2**62)),
        ("stairs", np.array([-1])),
        ("stairs", np.array([2])),
    ],
)
def test_arrays_that_cannot_be_are_refused(name: str, value: np.ndarray) -> None:
    """A bundle that holds other shapes, or what is not ascending, finite or a count, is no bundle."""
    arrays = Marginals.of(some_cells(), LAYOUT).to_arrays() | {name: value}
    with pytest.raises(ValueError, match="marginals"):
        Marginals.from_arrays(LAYOUT, arrays)


def test_a_bundle_keeps_them(model: vaecli.Model, bundle: Path) -> None:
    """Saved and loaded, a model makes the same rows."""
    assert vaecli.load(bundle).sample(300, seed=5).equals(model.sample(300, seed=5))


@pytest.mark.parametrize("version", ["bundle_v2"])
def test_a_bundle_without_them_makes_rows_all_the_same(version: str) -> None:
    """An old bundle: ranges, whole numbers and shares of booleans follow from what its preprocessing knows."""
    model = vaecli.load(GOLDEN / version / "model.vae")
    assert model.detector.marginals is None
    found, real = model.sample(2000).to_pandas(), pd.read_csv(GOLDEN / version / "rows.csv")
    for column in model.schema.features:
        if column.kind is Kind.NUMERIC:
            assert found[column.name].min() >= column.minimum - 1e-6 * abs(column.minimum)
            assert found[column.name].max() <= column.maximum + 1e-6 * abs(column.maximum)
    assert set(found.columns) <= set(real.columns)


def test_decimals_are_found_where_a_float_is_next_to_the_nearest() -> None:
    """A decimal column of Arrow becomes floats that may be off by one unit in the last place."""
    cents = np.arange(1.0, 4000.0) / 100
    found = Marginal.of(np.nextafter(cents, np.inf)).at(np.array([0.123, 0.5, 0.9]), Column("price", Kind.NUMERIC))
    np.testing.assert_array_equal(found, np.round(found, 2))
