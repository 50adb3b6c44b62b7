"""The decoder's output is read in its blocks, and the parameters stay within their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats

from vaecli.data.cells import MISSING, NOVEL
from vaecli.model.likelihoods.categorical import MAX_LOGIT, categorical_log_prob
from vaecli.model.likelihoods.gaussian import floored_log_variance
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.schema import Column, Kind, Layout

NUMBER, DATE = Column("a", Kind.NUMERIC), Column("d", Kind.DATETIME)
SWITCH = Column("b", Kind.BOOLEAN, categories=("no", "yes"))
MODE = Column("c", Kind.CATEGORICAL, categories=("x", "y"), has_other=True)


def of(*columns: Column, n_missing: int = 0) -> Likelihood:
    return Likelihood.of(Layout.of(columns), np.full(len(columns), n_missing), 100, -3.0)


@pytest.mark.parametrize(
    ("columns", "n_missing", "expected"),
    [
        ((NUMBER,), 0, 2),
        ((SWITCH,), 0, 1),
        ((MODE,), 0, 3),
        ((MODE, SWITCH, DATE, NUMBER), 0, 8),
        ((MODE, SWITCH, DATE, NUMBER), 5, 12),
    ],
)
def test_the_decoder_is_as_wide_as_the_kinds_need(columns: tuple[Column, ...], n_missing: int, expected: int) -> None:
    """Two numbers a number or date, a logit a boolean, one a category, one for presence where there were gaps."""
    assert of(*columns, n_missing=n_missing).n_parameters == expected


@pytest.mark.parametrize("columns", [(NUMBER,), (SWITCH,), (MODE,), (MODE, MODE), (SWITCH, NUMBER)])
def test_tables_of_few_kinds_work(columns: tuple[Column, ...]) -> None:
    """A table may lack any kind."""
    named = tuple(Column(f"{i}", column.kind, categories=column.categories) for i, column in enumerate(columns))
    some = of(*named)
    features = np.ones((4, Layout.of(named).n_features), np.float32)
    log_prob = some.column_log_prob(np.zeros((4, some.n_parameters), np.float32), features, None)
    assert log_prob.shape == (4, len(columns))
    assert np.isfinite(log_prob).all()


def test_terms_stand_in_schema_order() -> None:
    """A change of one column's feature moves that column's entry only, wherever its block lies."""
    columns = (MODE, SWITCH, DATE, NUMBER)
    some, layout = of(*columns), Layout.of(columns)
    features = np.zeros((1, layout.n_features), np.float32)
    output = np.random.default_rng(0).normal(size=(1, some.n_parameters)).astype(np.float32)
    before = some.column_log_prob(output, features, None)
    for j, slot in enumerate(layout.slots):
        changed = features.copy()
        changed[0, slot.start] = 1.0
        moved = some.column_log_prob(output, changed, None) != before
        assert np.flatnonzero(moved[0]).tolist() == [j]


@given(st.floats(-1e4, 1e4), st.floats(-20, 0))
def test_the_variance_has_a_smooth_floor(raw: float, floor: float) -> None:
    """No decoder output takes a log-variance below its floor, and a larger output never makes it smaller."""
    some = Likelihood.of(Layout.of((NUMBER,)), np.zeros(1), 10, floor)
    at, above = floored_log_variance(np.array([raw, raw + 1.0]), some.min_log_variance)
    assert floor <= at <= above
    assert above == pytest.approx(max(raw + 1, floor), abs=0.6931 + 1e-9)


def test_logits_are_bounded() -> None:
    """Absurd logits stay finite in float32: no category costs more than 2 · 30 nats and the log of their number."""
    logits = np.array([[1e6, -1e6, 0.0]], np.float32)
    for one_hot in np.eye(3, dtype=np.float32):
        cost = -categorical_log_prob(one_hot[None], logits, np.ones((3, 1), np.float32))
        assert 0 <= cost[0, 0] <= 2 * MAX_LOGIT + math.log(3)


def test_a_missing_cell_teaches_nothing_about_its_value() -> None:
    """The gradient of a missing cell reaches the presence logit of its column and no value parameter."""
    some = of(NUMBER, SWITCH, n_missing=5)
    output = torch.zeros((3, some.n_parameters), requires_grad=True)
    state = torch.full((3, 2), MISSING, dtype=torch.uint8)
    some.column_log_prob(output, torch.ones((3, 2)), state).sum().backward()
    assert output.grad is not None
    assert (output.grad[:, :3] == 0).all()
    assert (output.grad[:, 3:] != 0).all()


# ------------------------------------------------------------------------------------------ booleans as numbers

COLUMNS = (MODE, SWITCH, NUMBER, Column("e", Kind.BOOLEAN, categories=("off", "on")))
VALUES = np.array([[-0.5, 2.0], [-3.0, 0.25]])  # False and True of each boolean


def viewing(n_missing: int = 0) -> Likelihood:
    return Likelihood.of(Layout.of(COLUMNS), np.full(4, n_missing), 100, -3.0, VALUES)


def features(n: int = 40) -> np.ndarray:
    """(n, 6) in the blocks of the layout: a | b, e | c of three."""
    rng = np.random.default_rng(0)
    return np.hstack([rng.normal(size=(n, 1)), rng.integers(2, size=(n, 2)), np.eye(3)[rng.integers(3, size=n)]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_view_takes_booleans_as_numbers(dtype: type) -> None:
    """False and True become their two values, all other features stay; NumPy and torch, in their own precision."""
    some = features().astype(dtype)
    expected = some.copy()
    for j in (1, 2):
        expected[:, j] = np.where(some[:, j] == 1, VALUES[j - 1, 1], VALUES[j - 1, 0])
    found = viewing().to_likelihood_space(some, None)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == dtype
    in_torch = viewing().to_likelihood_space(torch.as_tensor(some), None)
    np.testing.assert_array_equal(in_torch.numpy(), found)


@pytest.mark.parametrize("columns", [(SWITCH, NUMBER), (NUMBER, SWITCH), (SWITCH, NUMBER, COLUMNS[3])])
def test_without_categories_every_term_is_that_of_its_own_column(columns: tuple[Column, ...]) -> None:
    """A table of numbers and booleans taken as numbers is one block; its terms still come in schema order."""
    layout = Layout.of(columns)
    n_booleans = len(layout.of_kind(Kind.BOOLEAN))
    some = Likelihood.of(layout, np.zeros(len(columns)), 100, -30.0, np.tile([-1.0, 1.0], (n_booleans, 1)))
    output = np.zeros((1, some.n_parameters), np.float32)  # N(0, 1) for every column
    for j, slot in enumerate(layout.slots):
        x = np.zeros((1, layout.n_features), np.float32)
        x[0, slot.start] = 3.0
        assert some.column_log_prob(output, x, None)[0].argmin() == j


def test_without_values_the_view_is_none() -> None:
    """A likelihood with Bernoulli booleans takes the features as they are."""
    np.testing.assert_array_equal(of(*COLUMNS).to_likelihood_space(features(), None), features())


def test_a_boolean_as_a_number_is_a_gaussian_in_its_column() -> None:
    """Its term is the Gaussian of the viewed value, in schema order; the other columns' terms are as ever."""
    some, plain = viewing(), of(*COLUMNS)
    assert (some.n_gaussian, len(some.blocks), some.n_parameters) == (3, 2, 2 * 3 + 3)
    seen = some.to_likelihood_space(features(), None)
    rng = np.random.default_rng(1)
    mean, log_variance, category = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    found = some.column_log_prob(np.hstack([mean, log_variance, category]), seen, None)
    for i, j in ((0, 2), (1, 1), (2, 3)):  # a, b and e: their place among the numbers and in the schema
        sigma = np.exp(0.5 * (-3 + np.logaddexp(0, log_variance[:, i] + 3)))
        np.testing.assert_allclose(found[:, j], stats.norm.logpdf(seen[:, i], mean[:, i], sigma), rtol=1e-9)
    output = np.hstack([mean[:, :1], log_variance[:, :1], np.zeros((40, 2)), category])
    others = plain.column_log_prob(output, features(), None)
    np.testing.assert_allclose(found[:, [0, 2]], others[:, [0, 2]], rtol=1e-9)


def test_a_missing_boolean_costs_nothing_as_a_number() -> None:
    """Whatever stands in its place, a missing or novel boolean costs what its state does, and has no gradient."""
    for n_missing in (0, 5):
        some = viewing(n_missing)
        state = np.zeros((40, 4), np.uint8)
        state[:20, 1], state[20:, 3] = MISSING, NOVEL
        zero, one = features(), features()
        zero[:20, 1], one[:20, 1], zero[20:, 2], one[20:, 2] = 0, 1, 0, 1
        for x in (zero, one):  # nor does the encoder see a value: neither of the two, but their mean
            seen = some.to_likelihood_space(x, state)
            assert (seen[:20, 1] == 0).all()
            assert (seen[20:, 2] == 0).all()
            np.testing.assert_array_equal(seen[20:, 1], some.to_likelihood_space(x, None)[20:, 1])
            np.testing.assert_array_equal(
                some.to_likelihood_space(torch.as_tensor(x), torch.as_tensor(state)).numpy(), seen
            )
        output = torch.tensor(np.random.default_rng(0).normal(size=(40, some.n_parameters)), requires_grad=True)
        found = [
            some.column_log_prob(
                output, some.to_likelihood_space(torch.as_tensor(x), torch.as_tensor(state)), torch.as_tensor(state)
            )
            for x in (zero, one)
        ]
        np.testing.assert_array_equal(found[0].detach().numpy(), found[1].detach().numpy())
        if not n_missing:
            np.testing.assert_allclose(found[0].detach().numpy()[:20, 1], -math.log(102), rtol=1e-6)
        found[0].sum().backward()
        assert output.grad is not None
        assert (output.grad[:20, [1, 4]] == 0).all()  # mean and log-variance of b
        assert (output.grad[20:, [2, 5]] == 0).all()  # of e
        assert (output.grad[20:, [1, 4]] != 0).all()
