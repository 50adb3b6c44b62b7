"""Levels of cells and how probable they are given the other cells: truths, and laws of the inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.data.training_rows import Rows
from vaecli.model.level_regression import ABSENT, MOST_PRODUCTS, OTHER, VALUE, LevelRegression
from vaecli.model.tiles import TILE_ROWS
from vaecli.schema import Column, Kind, Layout
from vaecli.training import fit_level_regression
from vaecli.training.fit_level_regression import choose_levels, fit_level_regressions

LAYOUT = Layout.of(
    (
        Column("flow", Kind.NUMERIC),
        Column("speed", Kind.NUMERIC),
        Column("on", Kind.BOOLEAN),
        Column("site", Kind.CATEGORICAL, categories=("a", "b")),
    )
)


def pump(n: int, seed: int = 0) -> Rows:
    """Rows of a pump that is off in three of ten: then its flow is 0, and nearly always below 0.3 its speed."""
    rng = np.random.default_rng(seed)
    on = rng.random(n) < 0.7
    values = np.zeros((n, 5), np.float32)
    values[:, 0] = np.where(on, rng.normal(size=n), -2.0)
    values[:, 1] = np.where(on, 1.0, -1.0) + 0.3 * rng.normal(size=n)
    values[:, 2] = on
    values[np.arange(n), 3 + (rng.random(n) < 0.5)] = 1
    return Rows(values, np.full((n, 4), PRESENT, np.uint8), np.arange(n) % 4)


@pytest.fixture(scope="module")
def fitted() -> tuple[LevelRegression, dict[int, LevelRegression]]:
    """The regressions of 2,000 rows, and those without each fold."""
    rows = pump(2_000)
    levels = choose_levels(LAYOUT, rows)
    assert levels is not None
    return fit_level_regressions(levels, rows, seed=0)


def test_values_that_come_often_are_levels() -> None:
    """A number's 0 and any other value of it, true and false; neither a number without one nor a category."""
    levels = choose_levels(LAYOUT, pump(2_000))
    assert levels is not None
    assert levels.columns.tolist() == [0, 2]
    assert list(zip(levels.kind.tolist(), levels.value.tolist(), strict=True)) == [
        (VALUE, -2.0),
        (OTHER, 0.0),
        (VALUE, 0.0),
        (VALUE, 1.0),
    ]


def test_no_value_is_a_level_where_it_is_often_missing() -> None:
    """From 30 gaps on; a number without any value that comes often then is there or not."""
    rows = pump(400)
    for n_gaps, expected in ((29, []), (30, [(ABSENT, 0.0), (OTHER, 0.0)])):
        state = rows.state.copy()
        state[:n_gaps, 1] = MISSING
        levels = choose_levels(LAYOUT, rows._replace(state=state))
        assert levels is not None
        at = levels.column == 1
        assert list(zip(levels.kind[at].tolist(), levels.value[at].tolist(), strict=True)) == expected


@pytest.mark.parametrize("n", [20, 90])
def test_a_table_without_two_levels_has_none(n: int) -> None:
    """Too few rows of each, or one value only."""
    assert choose_levels(LAYOUT, pump(n, 3) if n < 30 else pump(n)._replace(values=np.ones((n, 5), np.float32))) is None


def test_many_columns_have_fewer_levels_each() -> None:
    """What a bundle and a row hold stays bounded; beyond it there are none."""
    rng = np.random.default_rng(0)
    for n_columns, most in ((20, 8), (100, 1), (300, 0)):
        layout = Layout.of(tuple(Column(f"x{j}", Kind.NUMERIC) for j in range(n_columns)))
        values = rng.choice(np.arange(8, dtype=np.float32), size=(1_000, n_columns))
        rows = Rows(values, np.full(values.shape, PRESENT, np.uint8), np.arange(1_000) % 4)
        levels = choose_levels(layout, rows)
        if not most:
            assert levels is None
            continue
        assert levels is not None
        assert ((levels.column == 0) & (levels.kind == VALUE)).sum() == most
        assert levels.column.size * levels.column_of_input.size <= MOST_PRODUCTS


def test_a_table_of_very_many_numbers_has_none() -> None:
    """However few levels there are: each number beside them is eight inputs."""
    for n_numbers, has_levels in ((249, True), (250, False)):
        layout = Layout.of((*(Column(f"x{j}", Kind.NUMERIC) for j in range(n_numbers)), Column("on", Kind.BOOLEAN)))
        values = np.random.default_rng(0).normal(size=(200, n_numbers + 1)).astype(np.float32)
        values[:, -1] = values[:, 0] > 0
        rows = Rows(values, np.full(values.shape, PRESENT, np.uint8), np.arange(200) % 4)
        assert (choose_levels(layout, rows) is not None) == has_levels


def test_every_cell_is_at_one_level_of_its_column_or_none(
    fitted: tuple[LevelRegression, dict[int, LevelRegression]],
) -> None:
    """Also missing and novel ones, which are at none here."""
    rows, levels = pump(500, 1), fitted[0].levels
    state = rows.state.copy()
    state[:50, 0], state[25:75, 2] = MISSING, NOVEL
    at = levels.of_cells(rows.values, state)
    n_at = np.add.reduceat(at, levels.starts, axis=1, dtype=int)
    np.testing.assert_array_equal(n_at, state[:, [0, 2]] == PRESENT)


def test_probabilities_are_those_of_the_law(fitted: tuple[LevelRegression, dict[int, LevelRegression]]) -> None:
    """A 0 is all but sure where the pump is off, and else hardly possible."""
    rows = pump(1_000, 2)
    flow_is_0 = fitted[0].probabilities(rows.values, rows.state)[:, 0]
    off = rows.values[:, 2] == 0
    assert flow_is_0[off].min() > 0.9
    assert flow_is_0[~off].max() < 0.1
    np.testing.assert_allclose(np.exp(fitted[0].usual[0]), 0.3, atol=0.03)


def test_it_is_scikit_learns_regression() -> None:
    """A boolean that follows a number by a logistic law: the same probabilities as theirs with the same ridge."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    layout = Layout.of((Column("x", Kind.NUMERIC), Column("on", Kind.BOOLEAN)))
    values = rng.normal(size=(1_500, 2)).astype(np.float32)
    values[:, 1] = rng.random(1_500) < 1 / (1 + np.exp(-1 - 2 * values[:, 0]))
    rows = Rows(values, np.full(values.shape, PRESENT, np.uint8), np.arange(1_500) % 4)
    levels = choose_levels(layout, rows)
    assert levels is not None
    found, _ = fit_level_regressions(levels, rows, seed=0)
    inputs = levels.inputs(values, rows.state, levels.of_cells(values, rows.state), found.center)
    own = levels.column_of_input == 1
    # two weights w and -w of a softmax are one of 2 w, whose square costs half as much
    theirs = LogisticRegression(C=2.0, tol=1e-8, max_iter=1_000).fit(inputs[:, ~own], values[:, 1])
    np.testing.assert_allclose(
        found.probabilities(values, rows.state)[:, 1], theirs.predict_proba(inputs[:, ~own])[:, 1], atol=0.01
    )


@given(st.integers(0, 999), st.floats(-5, 5, width=32), st.booleans())
def test_a_column_takes_no_part_in_its_own(
    fitted: tuple[LevelRegression, dict[int, LevelRegression]], i: int, reading: float, on: bool
) -> None:
    """Whatever a cell holds, the probabilities of its own levels stay, bit for bit; they add up to 1."""
    regression, rows = fitted[0], pump(1_000, 4)
    one, state = rows.values[i : i + 1], rows.state[i : i + 1]
    before = regression.probabilities(one, state)
    for column, feature, value in ((0, 0, reading), (2, 2, float(on))):
        changed = one.copy()
        changed[0, feature] = value
        after, own = regression.probabilities(changed, state), regression.levels.column == column
        np.testing.assert_array_equal(after[:, own], before[:, own])
        np.testing.assert_allclose(after[:, own].sum(), 1, rtol=1e-5)


def test_what_is_missing_or_unknown_predicts_nothing(
    fitted: tuple[LevelRegression, dict[int, LevelRegression]],
) -> None:
    """Another reading in an unknown cell changes nothing; where all others are unknown, only the own level counts."""
    regression, rows = fitted[0], pump(200, 5)
    unknown = np.zeros((200, 4), bool)
    unknown[:, 1] = True
    other = rows.values.copy()
    other[:, 1] *= -1
    np.testing.assert_array_equal(
        regression.nats(other, rows.state, unknown), regression.nats(rows.values, rows.state, unknown)
    )
    of_none = regression.nats(rows.values, rows.state, np.arange(4)[None] != np.zeros((200, 1)))[:, 0]
    assert np.unique(of_none).size == 2  # whether it is 0 or not is all that is left


def test_nats_are_below_usual_where_a_level_is_expected(
    fitted: tuple[LevelRegression, dict[int, LevelRegression]],
) -> None:
    """A 0 of the flow costs −log p(0 | the rest) less −log p(0): more than 3 nats while the pump runs, below 0 else."""
    regression, rows = fitted[0], pump(500, 6)
    on, dead = rows.values[:, 2] == 1, rows.values.copy()
    dead[:, 0] = -2.0
    nats = regression.nats(dead, rows.state)[:, 0]
    assert np.median(nats[on]) > 3
    assert nats[~on].max() < 0
    probability = regression.probabilities(dead, rows.state)[:, 0]
    np.testing.assert_allclose(nats, regression.usual[0] - np.log(probability), atol=1e-4)


def test_a_row_has_the_nats_of_its_batch(fitted: tuple[LevelRegression, dict[int, LevelRegression]]) -> None:
    """In a tile of its own, padded with zeros, bit for bit."""
    regression, rows = fitted[0], pump(TILE_ROWS, 7)
    together = regression.nats(rows.values, rows.state)
    for i in (0, 500, TILE_ROWS - 1):
        values, state = np.zeros_like(rows.values), np.zeros_like(rows.state)
        values[i], state[i] = rows.values[i], rows.state[i]
        np.testing.assert_array_equal(regression.nats(values, state)[i], together[i])


def test_a_fold_is_not_known_without_it(fitted: tuple[LevelRegression, dict[int, LevelRegression]]) -> None:
    """Labels of the fold do not matter to the regression without it."""
    rows = pump(2_000)
    values = rows.values.copy()
    values[rows.fold == 1, 0] = -2.0
    levels = fitted[0].levels
    at = fit_level_regressions(levels, rows._replace(values=values), seed=0)[1]
    weights = [found.weight[levels.column_of_input != 0] for found in (at[1], fitted[1][1])]
    np.testing.assert_allclose(*weights, atol=0.05)  # but for the center of its inputs


def test_a_fold_without_a_row_in_the_sample_has_a_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are judged like all others; a group of few rows may be a fold of its own."""
    rows = pump(2_000)
    fold = rows.fold.copy()
    fold[:1000:250] = (4, 5, 6, 7)
    levels = choose_levels(LAYOUT, rows)
    assert levels is not None
    monkeypatch.setattr(fit_level_regression, "MOST_ROWS", 400)
    assert sorted(fit_level_regressions(levels, rows._replace(fold=fold), seed=0)[1]) == [*range(8)]


def test_arrays_give_the_regression_back(fitted: tuple[LevelRegression, dict[int, LevelRegression]]) -> None:
    """To the bit."""
    rows = pump(300, 8)
    again = LevelRegression.from_arrays(LAYOUT, fitted[0].to_arrays())
    np.testing.assert_array_equal(again.nats(rows.values, rows.state), fitted[0].nats(rows.values, rows.state))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("column", np.array([2, 2, 0, 0]), "do not ascend"),
        ("column", np.array([0, 0, 4, 4]), "do not ascend"),
        ("column", np.array([1, -(2**63), 2, 2]), "do not ascend"),
        ("column", np.array([0, 0, 3, 3]), "not one of its column"),
        ("kind", np.array([0, 3, 0, 0]), "not one of its column"),
        ("bias", np.full(4, np.inf, np.float32), "beyond 1e"),
        ("usual", np.full(4, np.nan, np.float32), "beyond 1e"),
        ("weight", np.zeros((3, 4), np.float32), "weight of the levels is not"),
        ("center", np.zeros(3, np.float64), "center of the levels is not"),
    ],
)
def test_arrays_that_no_fit_gives_are_refused(
    fitted: tuple[LevelRegression, dict[int, LevelRegression]], name: str, value: np.ndarray, words: str
) -> None:
    """Shapes, types, sizes, order and what a column can have."""
    with pytest.raises(ValueError, match=words):
        LevelRegression.from_arrays(LAYOUT, fitted[0].to_arrays() | {name: value})


def test_two_values_that_a_feature_cannot_tell_apart_are_one_level() -> None:
    """Of two frequent readings within rounding of each other the more frequent one is the level."""
    rows = pump(600)
    values = rows.values.copy()
    values[:300, 1], values[300:500, 1] = 1.0, 1.00001
    levels = choose_levels(LAYOUT, replace_values(rows, values))
    assert levels is not None
    assert levels.value[(levels.column == 1) & (levels.kind == VALUE)].tolist() == [1.0]


def replace_values(rows: Rows, values: np.ndarray) -> Rows:
    """The rows with other features."""
    return rows._replace(values=values)


def test_no_rows_have_no_nats(fitted: tuple[LevelRegression, dict[int, LevelRegression]]) -> None:
    """As in a table in which no row is flagged."""
    none = pump(1)
    assert fitted[0].nats(none.values[:0], none.state[:0]).shape == (0, 2)
    assert fitted[0].probabilities(none.values[:0], none.state[:0]).shape == (0, 4)
