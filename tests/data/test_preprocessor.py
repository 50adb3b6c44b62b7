"""Cells become features as in the table of the module, and damaged arrays are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.data.code_features import Booleans
from vaecli.data.number_features import Numbers
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.transforms import CLIP
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


def decoded(preprocessor: Preprocessor, features: np.ndarray) -> np.ndarray:
    return np.stack(
        [
            encoder.decode(i, features[:, slot.start : slot.stop].astype(float))
            for slot, (encoder, i) in zip(preprocessor.layout.slots, preprocessor.of_columns, strict=True)
        ],
        axis=1,
    )


def test_the_inverse_is_in_own_units(preprocessor: Preprocessor) -> None:
    """Features go back to category codes, 0 or 1, numbers and seconds since the epoch."""
    back = decoded(preprocessor, preprocessor.transform(table()).values)
    np.testing.assert_array_equal(back[:, [0, 2]], table().values[:, [0, 2]])
    np.testing.assert_allclose(back[:, 1], table().values[:, 1], atol=1e-5)
    np.testing.assert_allclose(back[:, 3], table().values[:, 3], atol=1)


# ------------------------------------------------------------------------------------------ booleans as numbers


def booleans(*values: float) -> np.ndarray:
    cells = np.array(values)[:, None]
    state = np.where(np.isnan(cells), MISSING, PRESENT).astype(np.uint8)
    return Preprocessor.fit(Cells(cells, state, np.arange(len(cells))), (COLUMNS[2],)).encoder(Booleans).as_numbers[0]


def test_booleans_have_the_values_of_standardised_numbers() -> None:
    """What False and True would be as numbers: mean 0 and variance 1 over training rows; gaps do not count."""
    found = booleans(1, 1, 1, 0, np.nan, 1, 0, np.nan)
    seen = found[[1, 1, 1, 0, 1, 0]]
    assert seen.mean() == pytest.approx(0, abs=1e-12)
    assert seen.var() == pytest.approx(1)
    assert found[0] < found[1]


@pytest.mark.parametrize("only", [0.0, 1.0, np.nan])
def test_a_boolean_that_never_changed_has_values_too(only: float) -> None:
    """Where training saw one of them or neither, the other is far off, but finite and softly clipped."""
    found = booleans(*[only] * 100_000)
    assert np.isfinite(found).all()
    assert found[0] < 0 < found[1]
    if not np.isnan(only):
        assert CLIP < np.abs(found).max() < 100


# ------------------------------------------------------------------------------------------ extremes


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
    assert fitted.encoder(Numbers).scale[0] == 1
    assert (fitted.transform(cells).values[:, 0] == 0).all()
    assert np.isfinite(fitted.transform(one()).values).all()
    assert np.isnan(values[:, 1]).all()  # the caller's cells are not written to


def test_tables_without_numbers_need_no_fit() -> None:
    """Only categories and booleans: no arrays to name, and features all the same."""
    cells = table()
    fitted = Preprocessor.fit(
        Cells(cells.values[:, [0, 2]], cells.state[:, [0, 2]], cells.row), (COLUMNS[0], COLUMNS[2])
    )
    assert fitted.transform(Cells(cells.values[:, [0, 2]], cells.state[:, [0, 2]], cells.row)).values.shape == (100, 4)
    Preprocessor.from_arrays(fitted.layout, fitted.to_arrays())


def test_arrays_come_back(preprocessor: Preprocessor) -> None:
    """`from_arrays` undoes `to_arrays`."""
    again = Preprocessor.from_arrays(preprocessor.layout, preprocessor.to_arrays())
    np.testing.assert_array_equal(again.transform(table()).values, preprocessor.transform(table()).values)


@pytest.mark.parametrize("name", ["mean", "scale", "share", "quantiles", "center", "spread", "boolean_values"])
def test_damaged_arrays_are_refused(preprocessor: Preprocessor, name: str) -> None:
    """Arrays that are missing, of another shape or not finite are refused."""
    good = preprocessor.to_arrays()
    with pytest.raises(KeyError):
        Preprocessor.from_arrays(preprocessor.layout, {key: good[key] for key in good if key != name})
    for bad in (
        good[name][:0],
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
        ("share", lambda a: a + 1),
        ("share", lambda a: a - 0.1),
    ],
)
def test_impossible_numbers_are_refused(preprocessor: Preprocessor, name: str, change: Any) -> None:
    """Negative scales, descending quantiles and shares outside [0, 1) cannot have been written."""
    good = preprocessor.to_arrays()
    with pytest.raises(ValueError, match=f"preprocess/{name}"):
        Preprocessor.from_arrays(preprocessor.layout, good | {name: change(good[name])})


def of_pixels(n: int = 400) -> tuple[Cells, tuple[Column, ...]]:
    """A lively pixel, one that is nearly always blank, one of many values that a rank would bend, and a weight."""
    rng = np.random.default_rng(1)
    blank = np.where(np.arange(n) % 100 == 0, 3.0, 0.0)
    values = np.stack([rng.integers(17, size=n), blank, rng.exponential(4, n), rng.exponential(9, n)], axis=1)
    columns = tuple(Column(name, Kind.NUMERIC) for name in ("lively", "blank", "heavy", "weight"))
    return Cells(values.astype(float), np.zeros(values.shape, np.uint8), np.arange(n)), columns


def test_columns_of_one_unit_share_one_scale() -> None:
    """A difference in such a column is the same feature in each, and none is bent: (x − its mean) / common scale."""
    cells, columns = of_pixels()
    fitted = Preprocessor.fit(cells, columns, {"lively", "blank", "heavy"})
    common = np.sqrt(cells.values[:, :3].var(0).mean())
    expected = (cells.values[:, :3] - cells.values[:, :3].mean(0)) / common
    np.testing.assert_allclose(fitted.transform(cells).values[:, :3], expected, rtol=1e-5, atol=1e-6)
    back = decoded(fitted, fitted.transform(cells).values)
    np.testing.assert_allclose(back[:, :3], cells.values[:, :3], atol=1e-5)


def test_other_columns_do_not_notice() -> None:
    """A column that is not among them keeps its features to the bit, and so does every column when none is named."""
    cells, columns = of_pixels()
    alone = Preprocessor.fit(cells, columns).transform(cells).values
    together = Preprocessor.fit(cells, columns, {"lively", "blank", "heavy"}).transform(cells).values
    np.testing.assert_array_equal(together[:, 3], alone[:, 3])
    np.testing.assert_array_equal(Preprocessor.fit(cells, columns, frozenset()).transform(cells).values, alone)


def test_the_grid_of_a_column_of_one_unit_spans_its_training_range() -> None:
    """What explanations compare lies between the smallest and the largest reading."""
    cells, columns = of_pixels()
    features, numbers = Preprocessor.fit(cells, columns, {"lively", "blank", "heavy"}).encoder(Numbers).grid(0)
    assert (numbers.min(), numbers.max()) == (pytest.approx(0), pytest.approx(16))
    assert (np.diff(features[:, 0]) > 0).all()


def test_one_unit_of_columns_that_hold_still_is_no_division_by_zero() -> None:
    """Columns without any spread among the training rows keep a scale of 1."""
    cells = Cells(np.full((10, 2), 5.0), np.zeros((10, 2), np.uint8), np.arange(10))
    columns = (Column("a", Kind.NUMERIC), Column("b", Kind.NUMERIC))
    fitted = Preprocessor.fit(cells, columns, {"a", "b"})
    np.testing.assert_array_equal(fitted.encoder(Numbers).scale, 1.0)
    np.testing.assert_array_equal(fitted.transform(cells).values, 0.0)


def test_numbers_encoded_together_have_the_bits_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in blocks of few rows, for readings far out, infinite or missing, beside columns that are bent."""
    rng = np.random.default_rng(2)
    columns = tuple(Column(name, Kind.NUMERIC) for name in "abcd")
    learned = Cells(rng.normal(size=(300, 4)), np.zeros((300, 4), np.uint8), np.arange(300))
    learned.values[:, 2] = np.exp(3 * learned.values[:, 2])  # heavy: it is bent
    fitted = Preprocessor.fit(learned, columns)
    numbers = fitted.encoder(Numbers)
    np.testing.assert_array_equal(numbers.unbent, [0, 1, 3])
    new = np.where(
        rng.random((50, 4)) < 0.2, rng.choice([np.nan, np.inf, -np.inf, 1e9, -40.0]), rng.normal(size=(50, 4))
    )
    cells = Cells(new, np.where(np.isnan(new), MISSING, PRESENT).astype(np.uint8), np.arange(50))
    monkeypatch.setattr("vaecli.data.preprocessor.BLOCK_CELLS", 20)
    found, each = fitted.transform(cells).values, np.zeros((50, 4), np.float32)
    for j in range(4):
        numbers.encode(j, new[:, j], cells.state[:, j], each[:, j : j + 1])
    np.testing.assert_array_equal(found, each)
