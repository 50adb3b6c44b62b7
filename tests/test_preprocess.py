"""Cells become features as the table of the module says, and damaged arrays are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from vaecli.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.preprocess import CLIP, Preprocessor, normal_quantile, soft_clip
from vaecli.schema import Column, Kind

COLUMNS = (
    Column("mode", Kind.CATEGORICAL, categories=("eco", "boost"), has_other=True),
    Column("load", Kind.NUMERIC),
    Column("on", Kind.BOOLEAN, categories=("no", "yes")),
    Column("when", Kind.DATETIME),
)


def table(n: int = 100) -> Cells:
    rng = np.random.default_rng(0)
    values = np.stack(
        [rng.integers(3, size=n), rng.normal(5, 2, n), rng.integers(2, size=n), 1.7e9 + rng.integers(10**6, size=n)], 1
    ).astype(np.float64)
    return Cells(values, np.zeros(values.shape, np.uint8), np.arange(n))


@pytest.fixture(scope="module")
def preprocessor() -> Preprocessor:
    return Preprocessor.fit(table(), COLUMNS)


def one(**changed: tuple[float, int]) -> Cells:
    """A row of ordinary cells but for those named: (value, state)."""
    row = {"mode": (0.0, PRESENT), "load": (5.0, PRESENT), "on": (1.0, PRESENT), "when": (1.7e9, PRESENT)} | changed
    values, state = zip(*row.values(), strict=True)
    return Cells(np.array([values]), np.array([state], np.uint8), np.zeros(1, np.int64))


def test_numbers_are_centred_and_scaled(preprocessor: Preprocessor) -> None:
    """Over the training rows a number's feature has mean 0 and variance 1, whatever its unit."""
    features = preprocessor.transform(table()).values
    np.testing.assert_allclose(features[:, :2].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(features[:, :2].var(0), 1, atol=0.02)


def test_switches_and_categories_are_zeros_and_ones(preprocessor: Preprocessor) -> None:
    """A boolean is 0 or 1; of a category's features exactly one is set, the last being "other"."""
    features = preprocessor.transform(table()).values
    np.testing.assert_array_equal(features[:, 2], table().values[:, 2])
    np.testing.assert_array_equal(features[:, 3:], np.eye(3)[table().values[:, 0].astype(int)])


@pytest.mark.parametrize("state", [MISSING, NOVEL])
def test_a_cell_that_is_not_there_is_zero(preprocessor: Preprocessor, state: int) -> None:
    """A missing or novel cell is 0 in every feature of its column, and its state travels along."""
    for name, where in (("load", [0]), ("when", [1]), ("on", [2]), ("mode", [3, 4, 5])):
        cells = one(**{name: (np.nan, state)})
        batch = preprocessor.transform(cells)
        assert (batch.values[0, where] == 0).all()
        np.testing.assert_array_equal(batch.state, cells.state)
        others = np.setdiff1d(np.arange(6), where)
        np.testing.assert_array_equal(batch.values[0, others], preprocessor.transform(one()).values[0, others])


def test_row_numbers_travel_along(preprocessor: Preprocessor) -> None:
    """Features keep the numbers of their rows."""
    cells = table()[np.array([7, 3])]
    assert preprocessor.transform(cells).row.tolist() == [7, 3]


def test_the_inverse_is_in_own_units(preprocessor: Preprocessor) -> None:
    """Features go back to category codes, 0 or 1, numbers and seconds since the epoch."""
    back = preprocessor.inverse(preprocessor.transform(table()).values)
    np.testing.assert_array_equal(back[:, [0, 2]], table().values[:, [0, 2]])
    np.testing.assert_allclose(back[:, 1], table().values[:, 1], atol=1e-5)
    np.testing.assert_allclose(back[:, 3], table().values[:, 3], atol=1)


def test_huge_readings_keep_their_order(preprocessor: Preprocessor) -> None:
    """A reading of 10⁹ does not drown the others, yet 10¹⁰ is larger, and nothing overflows up to the largest float."""
    size = [preprocessor.transform(one(load=(10.0**e, PRESENT))).values[0, 0] for e in (2, 9, 10, 100, 149)]
    assert size == sorted(set(size))
    assert size[1] < 20 * CLIP
    assert np.isfinite(preprocessor.transform(one(load=(np.finfo(float).max, PRESENT))).values).all()


def test_a_column_without_a_value_in_the_sample_is_harmless() -> None:
    """A sample may have missed every value of a nearly empty column: its scale is 1, and nothing is NaN."""
    values = table().values
    values[:, 1] = np.nan
    cells = Cells(values, np.isnan(values).astype(np.uint8), np.arange(100))
    fitted = Preprocessor.fit(cells, COLUMNS)
    assert fitted.scale[0] == 1
    assert (fitted.transform(cells).values[:, 0] == 0).all()
    assert np.isfinite(fitted.transform(one()).values).all()
    assert np.isnan(values[:, 1]).all()  # the caller's cells are not written to


def test_tables_without_numbers_need_no_fit() -> None:
    """Only categories and booleans: no arrays to speak of, and features all the same."""
    cells = table()
    fitted = Preprocessor.fit(
        Cells(cells.values[:, [0, 2]], cells.state[:, [0, 2]], cells.row), (COLUMNS[0], COLUMNS[2])
    )
    assert fitted.transform(Cells(cells.values[:, [0, 2]], cells.state[:, [0, 2]], cells.row)).values.shape == (100, 4)
    Preprocessor.from_arrays(fitted.layout, fitted.to_arrays())


def test_the_soft_clip_has_a_continuous_slope() -> None:
    """Value and slope meet at ±10: no kink for the networks to trip over."""
    step = 1e-6
    for at in (CLIP, -CLIP):
        before, here, after = soft_clip(np.array([at - step, at, at + step]))
        assert after - here == pytest.approx(here - before, rel=1e-5)


@given(st.floats(0, 1))
def test_normal_quantiles_are_scipys(p: float) -> None:
    """Φ⁻¹ to fifteen digits without SciPy, at the ends too."""
    np.testing.assert_allclose(normal_quantile(np.array(p)), special.ndtri(p), rtol=2e-15 * 8, atol=1e-15)


def test_normal_quantiles_of_many_sizes() -> None:
    """The same over sixteen decades in both tails."""
    p = np.concatenate(
        [10.0 ** -np.linspace(0.5, 300, 3000), np.linspace(0, 1, 1001), 1 - 10.0 ** -np.linspace(1, 16, 99)]
    )
    np.testing.assert_allclose(normal_quantile(p), special.ndtri(p), rtol=2e-14)


def test_arrays_come_back(preprocessor: Preprocessor) -> None:
    """`from_arrays` undoes `to_arrays`."""
    again = Preprocessor.from_arrays(preprocessor.layout, preprocessor.to_arrays())
    np.testing.assert_array_equal(again.transform(table()).values, preprocessor.transform(table()).values)


@pytest.mark.parametrize("name", ["mean", "scale", "quantiles", "center", "spread"])
def test_damaged_arrays_are_refused(preprocessor: Preprocessor, name: str) -> None:
    """Arrays that are missing, of another shape or not finite are refused."""
    good = preprocessor.to_arrays()
    with pytest.raises(KeyError):
        Preprocessor.from_arrays(preprocessor.layout, {key: good[key] for key in good if key != name})
    for bad in (
        good[name][:1],
        good[name][..., None],
        np.array(1.0),
        good[name][:, :1] if name == "quantiles" else good[name] * np.nan,
    ):
        with pytest.raises(ValueError, match=f"preprocess/{name}"):
            Preprocessor.from_arrays(preprocessor.layout, good | {name: bad})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scale", lambda a: -a),
        ("spread", lambda a: 0 * a),
        ("quantiles", lambda a: a[:, ::-1]),
        ("mean", lambda a: a + np.inf),
    ],
)
def test_impossible_numbers_are_refused(preprocessor: Preprocessor, name: str, change: object) -> None:
    """Negative scales and descending quantiles cannot have been written."""
    good = preprocessor.to_arrays()
    with pytest.raises(ValueError, match=f"preprocess/{name}"):
        Preprocessor.from_arrays(preprocessor.layout, good | {name: change(good[name])})
