"""What a cell should hold given the others, on a VAE for which the answer is known in closed form.

x = W z + μ + σ ε with orthogonal columns of W, and the exact posterior as encoder (see tests/truth/test_elbo.py): the
bound is the evidence N(μ, W Wᵀ + σ² I), so p(x_j | the rest) is the Gaussian that conditioning gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from vaecli.data.cells import PRESENT
from vaecli.model import conditional as expected
from vaecli.model.conditional import N_ROUNDS, conditional, impute
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import shapes
from vaecli.model.ppca_init import raw_log_variance
from vaecli.schema import Column, Kind, Layout

D, K, N, SIGMA2, FLOOR = 5, 2, 12, 0.3, -12.0
# 2k points of equal weight whose first three moments are those of N(0, I): they integrate quadratics exactly
SIGMA_POINTS = (np.sqrt(K) * np.concatenate([np.eye(K), -np.eye(K)]))[:, None, None, :]
CODES = ExemplarPrior.of(
    np.zeros((1, 3, K), np.float32), np.zeros((1, 3, K), np.float32)
)  # expectations do not look at them
PRESENT_CELLS = np.full((N, D), PRESENT, np.uint8)


@dataclass(frozen=True)
class Known:
    """One member in float64, rows of its own law, and that law."""

    family: Family
    rows: np.ndarray  # (n, d)
    mean: np.ndarray  # (d,)
    loadings: np.ndarray  # (d, k)

    @property
    def covariance(self) -> np.ndarray:
        return self.loadings @ self.loadings.T + SIGMA2 * np.eye(D)

    def given_the_rest(self, i: int, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (u,) and covariance (u, u) of the `unknown` (d,) cells of row `i`, given the others."""
        of, to = self.covariance[np.ix_(unknown, ~unknown)], self.covariance[np.ix_(~unknown, ~unknown)]
        gain = of @ np.linalg.inv(to)
        mean = self.mean[unknown] + gain @ (self.rows[i] - self.mean)[~unknown]
        return mean, self.covariance[np.ix_(unknown, unknown)] - gain @ of.T


@pytest.fixture(scope="module")
def known() -> Known:
    rng = np.random.default_rng(0)
    loadings = np.linalg.qr(rng.normal(size=(D, K)))[0] * np.array([2.0, 0.8])
    mean = rng.normal(size=D)
    likelihood = Likelihood.of(Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(D)]), np.zeros(D), 100, FLOOR)
    total = (loadings**2).sum(0) + SIGMA2
    parameters = {name: np.zeros((1, *shape)) for name, shape in shapes(D, likelihood, K, 1).items()}
    parameters["encoder.skip.w"][0] = loadings / total
    parameters["encoder.mean.b"][0] = -mean @ (loadings / total)
    parameters["encoder.log_variance.b"][0] = np.log(SIGMA2 / total)
    parameters["decoder.skip.w"][0, :, :D] = loadings.T
    parameters["decoder.out.b"][0, 0, :D] = mean
    parameters["decoder.out.b"][0, 0, D:] = raw_log_variance(np.log(SIGMA2), FLOOR)
    family = Family(likelihood, parameters, SIGMA_POINTS, CODES, (0,), ("code",))
    rows = rng.multivariate_normal(mean, loadings @ loadings.T + SIGMA2 * np.eye(D), N)
    return Known(family, rows, mean, loadings)


# -- conditional ----------------------------------------------------------------------------------


def readings(known: Known, i: int, j: int, values: np.ndarray) -> np.ndarray:
    """Row `i` with each of `values` in column `j`."""
    rows = np.repeat(known.rows[i : i + 1], len(values), axis=0)
    rows[:, j] = values
    return rows


@pytest.mark.parametrize("j", range(D))
def test_a_cell_has_its_conditional_density(known: Known, j: int) -> None:
    """With a tight bound each value is as probable as its Gaussian density given the rest, times its width."""
    values = np.sort(np.random.default_rng(j).normal(scale=3, size=40))
    width = np.gradient(values)
    for i in range(N):
        found = conditional(known.family, readings(known, i, j, values), PRESENT_CELLS[:1].repeat(40, 0), width)
        mean, covariance = known.given_the_rest(i, np.arange(D) == j)
        density = width * stats.norm.pdf(values, mean[0], np.sqrt(covariance[0, 0]))
        np.testing.assert_allclose(found, density / density.sum(), rtol=1e-7, atol=1e-12)


def test_a_fine_grid_has_the_conditional_moments(known: Known) -> None:
    """The mean and variance over even steps are those of the conditional distribution."""
    values = np.linspace(-15, 15, 2001)
    for i in range(N):
        rows, state = readings(known, i, 1, values), np.full((2001, D), PRESENT, np.uint8)
        share = conditional(known.family, rows, state, np.ones(2001))
        mean, covariance = known.given_the_rest(i, np.arange(D) == 1)
        assert share @ values == pytest.approx(mean[0], abs=1e-6)
        assert share @ values**2 - (share @ values) ** 2 == pytest.approx(covariance[0, 0], rel=1e-6)


def test_probabilities_add_up_to_one_far_from_everything(known: Known) -> None:
    """Readings that no row ever had, thousands of nats away, still share the whole probability, without a warning."""
    rows = readings(known, 0, 2, np.array([1e3, 2e3, 4e3]))
    found = conditional(known.family, rows, PRESENT_CELLS[:3], np.ones(3))
    np.testing.assert_array_equal(found, [1, 0, 0])
    assert conditional(known.family, rows[:1], PRESENT_CELLS[:1], np.array([7.0])) == 1


def test_members_are_averaged_as_probabilities(known: Known) -> None:
    """Two members, one of them sure, one not: the mean of what each finds probable, whatever their bounds are."""
    sharp = dict(known.family.parameters)
    sharp["decoder.out.b"] = sharp["decoder.out.b"].copy()
    sharp["decoder.out.b"][0, 0, D:] = raw_log_variance(np.log(SIGMA2 / 9), FLOOR)
    both = replace(
        known.family,
        parameters={name: np.concatenate([known.family.parameters[name], sharp[name]]) for name in sharp},
        noise=np.repeat(SIGMA_POINTS, 2, axis=1),
        held_out=(0, 1),
    )
    rows, weight = readings(known, 3, 0, np.linspace(-3, 3, 9)), np.ones(9)
    state = PRESENT_CELLS[:9]
    alone = [
        conditional(replace(known.family, parameters=some), rows, state, weight)
        for some in (known.family.parameters, sharp)
    ]
    assert np.abs(alone[0] - alone[1]).max() > 0.05
    np.testing.assert_allclose(conditional(both, rows, state, weight), 0.5 * (alone[0] + alone[1]), rtol=1e-12)


# -- fill -----------------------------------------------------------------------------------------


UNKNOWN = [[0], [3], [1, 4], [0, 1, 2], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("which", UNKNOWN, ids=str)
def test_each_round_goes_the_same_share_of_the_way(known: Known, which: list[int]) -> None:
    """From 0, some rounds of encoding and decoding lead towards E[x_j | the rest], as far as as many steps of EM."""
    unknown = np.isin(np.arange(D), which)
    total = (known.loadings**2).sum(0) + SIGMA2
    rate = (known.loadings / total @ known.loadings.T)[np.ix_(unknown, unknown)]
    filled = impute(known.family, known.rows, PRESENT_CELLS, np.tile(unknown, (N, 1)))[0]
    for i in range(N):
        mean, _ = known.given_the_rest(i, unknown)
        still_to_go = np.linalg.matrix_power(rate, N_ROUNDS) @ (0 - mean)
        np.testing.assert_allclose(filled[i, unknown], mean + still_to_go, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("j", range(D))
def test_hurried_rounds_arrive_in_three(known: Known, j: int) -> None:
    """Where one cell is unknown and all is linear, the third round ends at E[x_j | the rest], from any distance."""
    unknown = np.arange(D) == j
    filled = impute(known.family, known.rows, PRESENT_CELLS, np.tile(unknown, (N, 1)), 3, accelerated=True)[0]
    for i in range(N):
        mean, _ = known.given_the_rest(i, unknown)
        np.testing.assert_allclose(filled[i, unknown], mean, rtol=1e-6, atol=1e-6)


def test_many_rounds_arrive_at_the_conditional_mean(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `impute` converges to is E[x_j | the rest], each row with its own unknown cells."""
    monkeypatch.setattr(expected, "N_ROUNDS", 400)
    unknown = np.random.default_rng(1).random((N, D)) < 0.4
    filled = impute(known.family, known.rows, PRESENT_CELLS, unknown)[0]
    for i in np.flatnonzero(unknown.any(1)):
        np.testing.assert_allclose(filled[i, unknown[i]], known.given_the_rest(i, unknown[i])[0], rtol=1e-8, atol=1e-8)


def test_what_is_known_stays_to_the_bit(known: Known) -> None:
    """Known cells come back as they were, the given rows are not touched, and no unknown cell is looked at."""
    unknown = np.random.default_rng(2).random((N, D)) < 0.4
    before = known.rows.copy()
    filled = impute(known.family, known.rows, PRESENT_CELLS, unknown)
    np.testing.assert_array_equal(filled[0][~unknown], known.rows[~unknown])
    np.testing.assert_array_equal(known.rows, before)
    absurd = np.where(unknown, 1e30, known.rows)
    np.testing.assert_array_equal(impute(known.family, absurd, PRESENT_CELLS, unknown), filled)
    np.testing.assert_array_equal(
        impute(known.family, known.rows, PRESENT_CELLS, np.zeros((N, D), bool))[0], known.rows
    )
