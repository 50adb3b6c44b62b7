"""The conditional of a cell under a mixture of Gaussians: closed forms, absent cells, arrays of a bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import multivariate_normal

from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.data.training_rows import Rows
from vaecli.model.cell_mixture import CellMixture
from vaecli.schema import Column, Kind, Layout
from vaecli.training.fit_cell_mixture import choose_mixture, fit_mixtures

NUMBERS = Layout.of((Column("a", Kind.NUMERIC), Column("b", Kind.NUMERIC), Column("c", Kind.NUMERIC)))
MIXED = Layout.of(
    (Column("x", Kind.NUMERIC), Column("y", Kind.NUMERIC), Column("k", Kind.CATEGORICAL, categories=("p", "q", "r")))
)
SEEDS = st.integers(0, 2**32 - 1)


def drawn(layout: Layout, seed: int, n_components: int) -> tuple[CellMixture, np.random.Generator]:
    """A mixture with random parts."""
    rng, d = np.random.default_rng(seed), layout.n_features
    root = rng.normal(size=(n_components, d, d))
    precision = np.linalg.inv(root @ root.transpose(0, 2, 1) + 0.3 * np.eye(d))
    weight = rng.dirichlet(np.full(n_components, 3.0))
    parts = (rng.normal(size=d), rng.uniform(0.5, 2, d), np.log(weight), rng.normal(size=(n_components, d)), precision)
    return CellMixture(layout, *(part.astype(np.float32) for part in parts)), rng


def log_density(mixture: CellMixture, z: np.ndarray, of: list[int]) -> np.ndarray:
    """The log density (n,) of some of the standardised features (n, d), the others integrated out."""
    total = np.zeros(len(z))
    for weight, mean, precision in zip(mixture.log_weight, mixture.mean, mixture.precision, strict=True):
        covariance = np.linalg.inv(precision.astype(np.float64))[np.ix_(of, of)]
        total += np.exp(weight) * multivariate_normal(mean[of], covariance).pdf(z[:, of]).reshape(-1)
    return np.log(total)


@given(SEEDS, st.sampled_from([NUMBERS, MIXED]), st.integers(1, 4))
def test_nats_are_those_of_the_conditional_density(seed: int, layout: Layout, n_components: int) -> None:
    """−log p(cell | rest) is the log density of the rest less that of all, also of a category's block of features."""
    mixture, rng = drawn(layout, seed, n_components)
    z = rng.normal(size=(7, layout.n_features)).astype(np.float32)
    values = (z * mixture.spread + mixture.center).astype(np.float32)
    found = mixture.nats(values, np.full((7, 3), PRESENT, np.uint8))
    z = mixture.standardised(values, np.zeros((7, 3), np.uint8))
    everything = list(range(layout.n_features))
    for j, slot in enumerate(layout.slots):
        rest = [f for f in everything if not slot.start <= f < slot.stop]
        expected = log_density(mixture, z, rest) - log_density(mixture, z, everything)
        np.testing.assert_allclose(found[:, j], expected, rtol=2e-3, atol=5e-3)


@given(SEEDS)
def test_an_absent_cell_costs_nothing_and_takes_no_side(seed: int) -> None:
    """It has no nats, and others are judged as if it held its mean given them, whatever its features are."""
    mixture, rng = drawn(NUMBERS, seed, 1)
    values, state = rng.normal(size=(5, 3)).astype(np.float32), np.full((5, 3), PRESENT, np.uint8)
    state[:, 1] = [MISSING, NOVEL, MISSING, NOVEL, MISSING]
    found = mixture.nats(values, state)
    values[:, 1] = 99.0
    np.testing.assert_array_equal(mixture.nats(values, state), found)
    assert (found[:, 1] == 0).all()
    z = (values - mixture.center) / mixture.spread
    # of one Gaussian: the pull on a cell is then that of its distribution without the absent one
    covariance = np.linalg.inv(mixture.precision[0].astype(np.float64))
    slope = covariance[0, 2] / covariance[2, 2]
    expected = mixture.mean[0, 0] + slope * (z[:, 2] - mixture.mean[0, 2])
    pull = (z[:, 0] - expected) / (covariance[0, 0] - slope * covariance[0, 2])
    own = float(mixture.precision[0, 0, 0])
    nats = 0.5 * pull**2 / own - 0.5 * np.log(own) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(found[:, 0], nats, rtol=2e-3, atol=5e-3)


@given(SEEDS, st.integers(1, 3))
def test_what_is_expected_of_a_cell_does_not_depend_on_it(seed: int, n_components: int) -> None:
    """The conditional mean is that of the other cells; with one Gaussian it is the regression on them."""
    mixture, rng = drawn(NUMBERS, seed, n_components)
    values, state = rng.normal(size=(6, 3)).astype(np.float32), np.full((6, 3), PRESENT, np.uint8)
    first = np.repeat([[True, False, False]], 6, axis=0)
    found = mixture.expected_features(values, state, first)
    np.testing.assert_array_equal(found[:, 1:], values[:, 1:])
    moved = values.copy()
    moved[:, 0] += 50
    np.testing.assert_allclose(mixture.expected_features(moved, state, first), found, rtol=1e-2, atol=1e-2)
    if n_components == 1:
        covariance = np.linalg.inv(mixture.precision[0].astype(np.float64))
        z = (values - mixture.center) / mixture.spread - mixture.mean[0]
        regression = z[:, 1:] @ np.linalg.solve(covariance[1:, 1:], covariance[1:, 0]) + mixture.mean[0, 0]
        np.testing.assert_allclose(
            found[:, 0], regression * mixture.spread[0] + mixture.center[0], rtol=1e-3, atol=1e-3
        )


def test_a_fit_finds_how_columns_hang_together() -> None:
    """Of one Gaussian one component, of two lines that cross several, whose cells are then unusual off both lines."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(2000, 3)) @ np.array([[1, 0.9, 0], [0, 0.4, 0], [0, 0, 1]])
    x, up = rng.normal(size=2000), rng.choice([-1.0, 1.0], 2000)
    two = np.column_stack([x, up * x + 0.05 * rng.normal(size=2000), rng.normal(size=2000)])
    n_components, nats = [], []
    for values in (one, two):
        rows = Rows(values.astype(np.float32), np.full((2000, 3), PRESENT, np.uint8), np.arange(2000) % 4)
        choice = choose_mixture(NUMBERS, rows, 0)
        n_components.append(choice.n_components)
        mixture, _ = fit_mixtures(NUMBERS, rows, choice, 0)
        nats.append(mixture.nats(np.array([[2.0, 2.0, 0.0], [2.0, 0.0, 0.0]], np.float32), np.zeros((2, 3), np.uint8)))
    assert n_components[0] == 1
    assert n_components[1] > 1
    assert nats[1][1, 1] > nats[1][0, 1] + 5  # off both lines


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("spread", lambda a: -a),
        ("mean", lambda a: a * np.inf),
        ("precision", lambda a: -a),
        ("precision", lambda a: a.astype(np.float64)),
        ("log_weight", lambda a: a[:0]),
        ("center", lambda a: a[:1]),
    ],
)
def test_arrays_that_no_fit_gives_are_refused(name: str, change) -> None:  # type: ignore[no-untyped-def]
    """A bundle may come from anyone."""
    mixture, _ = drawn(NUMBERS, 1, 2)
    arrays = mixture.to_arrays()
    CellMixture.from_arrays(NUMBERS, arrays)
    with pytest.raises((KeyError, ValueError)), np.errstate(invalid="ignore"):
        CellMixture.from_arrays(NUMBERS, arrays | {name: change(arrays[name])})


@given(SEEDS, st.integers(1, 3), st.booleans())
def test_the_order_of_columns_changes_no_nats(seed: int, n_components: int, has_category: bool) -> None:
    """Features stand by kind: columns in another order have the same nats and expectations, absent cells too."""
    columns = [Column("x", Kind.NUMERIC), Column("on", Kind.BOOLEAN)]
    if has_category:
        columns.append(Column("k", Kind.CATEGORICAL, categories=("p", "q", "r")))
    mixture, rng = drawn(Layout.of(tuple(columns)), seed, n_components)
    turned = replace(mixture, layout=Layout.of(tuple(columns[::-1])))
    values = rng.normal(size=(9, mixture.layout.n_features)).astype(np.float32)
    state = np.where(rng.random((9, len(columns))) < 0.3, MISSING, PRESENT).astype(np.uint8)
    found = mixture.nats(values, state)
    np.testing.assert_allclose(turned.nats(values, state[:, ::-1].copy()), found[:, ::-1], rtol=1e-5, atol=1e-5)
    for j in range(len(columns)):
        one = np.repeat((np.arange(len(columns)) == j)[None], 9, axis=0)
        other = turned.expected_features(values, state[:, ::-1].copy(), one[:, ::-1])
        expected = mixture.expected_features(values, state, one)
        np.testing.assert_allclose(expected, other, rtol=1e-5, atol=1e-5)
