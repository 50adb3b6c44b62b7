"""The decoder's output is read in its blocks, and the parameters stay within their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaecli.cells import MISSING
from vaecli.likelihoods import MAX_LOGIT, Likelihood, categorical_log_prob
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
    at, above = some.log_variance(np.array([raw, raw + 1.0]))
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
