"""Laws of preprocessing over random tables: it is scikit-learn's transform, it is increasing, and it can be undone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import given, strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from tests.conftest import of_a_hundred
from vaecli.data import number_features
from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.data.preprocessor import FeatureBatch, Preprocessor
from vaecli.data.transforms import rank_share, soft_clip, undo_soft_clip
from vaecli.schema import Column, Kind, Layout

SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "flat": lambda rng, n: rng.uniform(-2, 2, n),
    "heavy": lambda rng, n: rng.gamma(1.4, size=n),
    "very heavy": lambda rng, n: rng.standard_t(1.5, n),
}


@dataclass(frozen=True)
class Numbers:
    """How a random numeric column looks."""

    seed: int
    unit: float
    offset: float  # in units
    n_distinct: int | None  # None: no ties
    shape: str  # each has another share of rank
    share_missing: float

    def draw(self, n: int, salt: int = 0) -> np.ndarray:
        rng = np.random.default_rng([self.seed, salt])
        x = SHAPES[self.shape](rng, n)
        if self.n_distinct is not None:
            x = np.random.default_rng(self.seed).normal(size=self.n_distinct)[rng.integers(self.n_distinct, size=n)]
        x = (x + self.offset) * self.unit
        x[rng.random(n) < self.share_missing] = np.nan
        return x


numbers = st.builds(
    Numbers,
    seed=st.integers(0, 2**32 - 1),
    unit=st.sampled_from([1e-30, 1e-9, 1e-3, 1.0, 60.0, 1e6, 1e30]),
    offset=st.sampled_from([0.0, 1.0, -5.0, 1e4]),
    n_distinct=st.none() | st.integers(1, 5),
    shape=st.sampled_from(sorted(SHAPES)),
    share_missing=st.sampled_from([0.0, 0.3, 0.9]),
)
tables = st.tuples(st.lists(numbers, min_size=1, max_size=3), st.integers(2, 400))


def cells_of(values: np.ndarray) -> Cells:
    return Cells(values, np.where(np.isnan(values), MISSING, PRESENT).astype(np.uint8), np.arange(len(values)))


def drawn(kinds: list[Numbers], n: int, salt: int = 0) -> np.ndarray:
    """(n, c) values; the first row has no gap, as a column without one value is no feature."""
    values = np.stack([kind.draw(n, salt) for kind in kinds], 1)
    values[0] = np.where(np.isnan(values[0]), [kind.offset * kind.unit for kind in kinds], values[0])
    return values


def numeric(m: int) -> tuple[Column, ...]:
    return tuple(Column(f"x{j}", Kind.NUMERIC) for j in range(m))


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-6) -> None:
    np.testing.assert_array_less(np.abs(found - expected), tolerance * np.maximum(1.0, np.abs(expected)))


@of_a_hundred(25)
@given(tables)
def test_numpy_does_what_scikit_learn_does(table: tuple[list[Numbers], int]) -> None:
    """The arrays applied with NumPy equal the fitted pipeline's transform to 1e-6, on training rows and new ones."""
    kinds, n = table
    train = drawn(kinds, n)
    columns = numeric(len(kinds))
    preprocessor = Preprocessor.fit(cells_of(train), columns)
    reference = number_features.number_pipeline(train, rank_share(train)).fit(train)
    for values in (train, drawn(kinds, 30, salt=1), train * 3 - train.mean()):
        assert_close(preprocessor.transform(cells_of(values)).values, reference.transform(values).astype(np.float32))


def of_scikit_learn(layout: Layout, values: np.ndarray) -> np.ndarray:
    """The features of `values` (n, c) by its transformers alone, in the order of the blocks of a layout."""
    numbers, booleans, categories = (
        [j for j, _ in layout.of_kind(*kinds)]
        for kinds in ((Kind.NUMERIC, Kind.DATETIME), (Kind.BOOLEAN,), (Kind.CATEGORICAL,))
    )
    codes = [np.arange(layout.slots[j].stop - layout.slots[j].start, dtype=float) for j in categories]
    steps = [
        ("numeric", number_features.number_pipeline(values[:, numbers], rank_share(values[:, numbers])), numbers),
        ("boolean", SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True), booleans),
        ("categorical", OneHotEncoder(categories=codes, handle_unknown="ignore", sparse_output=False), categories),
    ]
    found: np.ndarray = ColumnTransformer(steps).fit_transform(values)
    return found


@of_a_hundred(8)
@given(tables, st.integers(0, 2**32 - 1))
def test_mixed_tables_do_too(table: tuple[list[Numbers], int], seed: int) -> None:
    """With booleans, categories and dates between the numbers, in any order, features are scikit-learn's."""
    kinds, n = table
    rng = np.random.default_rng(seed)
    blocks = [(Column(f"x{j}", Kind.NUMERIC if j % 2 else Kind.DATETIME), kind.draw(n)) for j, kind in enumerate(kinds)]
    blocks.append((Column("b", Kind.BOOLEAN, categories=("no", "yes")), rng.integers(2, size=n).astype(float)))
    blocks.append((Column("c", Kind.CATEGORICAL, categories=("u", "v")), rng.integers(2, size=n).astype(float)))
    blocks.append(
        (Column("d", Kind.CATEGORICAL, categories=("u",), has_other=True), rng.integers(2, size=n).astype(float))
    )
    order = rng.permutation(len(blocks))
    values = np.stack([blocks[j][1] for j in order], 1)
    values[1:][rng.random((n - 1, len(blocks))) < 0.2] = np.nan
    values[0] = np.nan_to_num(values[0])
    columns = tuple(blocks[j][0] for j in order)
    found = Preprocessor.fit(cells_of(values), columns).transform(cells_of(values)).values
    assert_close(found, of_scikit_learn(Layout.of(columns), values).astype(np.float32))


@of_a_hundred(20)
@given(tables)
def test_the_inverse_gives_the_cells_back(table: tuple[list[Numbers], int]) -> None:
    """Features back to cells are the numbers they came from, as closely as float32 features allow.

    Whatever share of a column is rank, and far beyond its training range too.
    """
    kinds, n = table
    train = drawn(kinds, n)
    preprocessor = Preprocessor.fit(cells_of(train), numeric(len(kinds)))
    fitted = preprocessor.encoder(number_features.Numbers)
    beyond = fitted.mean + np.array([-1e6, -300, -20, 20, 300, 1e6])[:, None] * fitted.scale
    for values in (train, beyond):
        batch = preprocessor.transform(cells_of(values))
        back = np.stack([fitted.decode(i, batch.values[:, i : i + 1].astype(float)) for i in range(len(kinds))], axis=1)
        # half an ulp of float32 in the feature, through a slope of at least (1 − w) / spread, and the logarithm
        size = np.abs(batch.values)
        feature_step = np.spacing(size) * np.exp(np.maximum(size - 10, 0) / 10)
        step = fitted.spread * fitted.scale * feature_step / (1 - fitted.share)
        resolution = np.spacing(np.abs(values)) * 4 + (np.abs(fitted.mean) + fitted.scale) * 1e-15
        known = ~np.isnan(values)
        assert (np.abs(back - values)[known] <= (2 * step + resolution)[known]).all()


@of_a_hundred(20)
@given(tables)
def test_larger_numbers_have_larger_features(table: tuple[list[Numbers], int]) -> None:
    """The map never decreases, and strictly increases between numbers a thousandth of the spread apart."""
    kinds, n = table
    train = drawn(kinds, n)
    preprocessor = Preprocessor.fit(cells_of(train), numeric(len(kinds)))
    fitted = preprocessor.encoder(number_features.Numbers)
    # from far below the training range to far above it
    at = np.sort(np.concatenate([np.linspace(-20, 20, 200), [-1e9, -1e3, 1e3, 1e9]]))
    values = fitted.mean + at[:, None] * fitted.scale
    feature = preprocessor.transform(cells_of(values)).values
    apart = np.diff(values, axis=0) > 1e-3 * fitted.scale
    assert (np.diff(feature, axis=0) >= 0).all()
    assert (np.diff(feature, axis=0)[apart] > 0).all()


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_the_soft_clip_is_antisymmetric_increasing_and_undone(a: float, b: float) -> None:
    """Identity within 10, logarithmic beyond, odd, never decreasing, and undone by its inverse."""
    low, high = (float(soft_clip(np.array(v))) for v in sorted((a, b)))
    assert low <= high
    assert soft_clip(np.array(-a)) == -soft_clip(np.array(a))
    assert abs(soft_clip(np.array(a))) <= abs(a)
    if abs(a) <= 10:
        assert soft_clip(np.array(a)) == a
    np.testing.assert_allclose(undo_soft_clip(soft_clip(np.array(a))), a, rtol=1e-12)


@of_a_hundred(40)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_float_becomes_a_finite_feature(train: list[float], new: float) -> None:
    """Whatever finite numbers a column holds, the largest float among them, all features and parameters are finite."""
    values = np.array(train)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preprocessor = Preprocessor.fit(cells_of(values), numeric(1))
        batch = preprocessor.transform(cells_of(np.array([[new]])))
        Preprocessor.from_arrays(preprocessor.layout, preprocessor.to_arrays())
    assert np.isfinite(batch.values).all()
    assert isinstance(batch, FeatureBatch)
