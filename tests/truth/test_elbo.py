"""The ELBO against the evidence, and the joint density of a row and its code, on a VAE whose evidence is known.

x = W z + μ + σ ε with orthogonal columns of W: the evidence is N(μ, W Wᵀ + σ² I) and the exact posterior is diagonal,
N(Λ⁻¹ Wᵀ (x − μ), σ² Λ⁻¹) with Λ = Wᵀ W + σ² I (Tipping & Bishop 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from vaecli.model.exemplar_prior import ExemplarPrior, nearest_exemplar_distance
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Elbo, Parameters, elbo, forward, kl_to_prior, shapes
from vaecli.model.ppca_init import raw_log_variance
from vaecli.schema import Column, Kind, Layout

D, K, N, SIGMA2, FLOOR = 5, 2, 40, 0.3, -12.0


@dataclass(frozen=True)
class LinearGaussian:
    """A VAE with silent hidden layers, in float64, rows from its own law, and their evidence."""

    parameters: Parameters
    likelihood: Likelihood
    x: np.ndarray
    evidence: np.ndarray  # (n,) log p(x)
    posterior_mean: np.ndarray  # (n, k)
    posterior_variance: np.ndarray  # (k,)

    def with_posterior(self, shift: float = 0.0, widening: float = 1.0) -> Parameters:
        """The parameters with q(z|x) moved and widened away from the exact posterior."""
        changed = dict(self.parameters)
        changed["encoder.mean.b"] = changed["encoder.mean.b"] + shift
        changed["encoder.log_variance.b"] = changed["encoder.log_variance.b"] + np.log(widening)
        return changed

    def passed(self, parameters: Parameters, noise: np.ndarray) -> Elbo:
        return elbo(forward(parameters, self.likelihood, self.x, None, noise))


@pytest.fixture(scope="module")
def vae() -> LinearGaussian:
    rng = np.random.default_rng(0)
    loadings = np.linalg.qr(rng.normal(size=(D, K)))[0] * np.array([2.0, 0.8])
    mean = rng.normal(size=D)
    likelihood = Likelihood.of(Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(D)]), np.zeros(D), 100, FLOOR)
    total = (loadings**2).sum(0) + SIGMA2
    encode = loadings / total
    parameters = {name: np.zeros((1, *shape)) for name, shape in shapes(D, likelihood, K, 1).items()}
    parameters["encoder.skip.w"][0] = encode
    parameters["encoder.mean.b"][0] = -mean @ encode
    parameters["encoder.log_variance.b"][0] = np.log(SIGMA2 / total)
    parameters["decoder.skip.w"][0, :, :D] = loadings.T
    parameters["decoder.out.b"][0, 0, :D] = mean
    parameters["decoder.out.b"][0, 0, D:] = raw_log_variance(np.log(SIGMA2), FLOOR)
    law = stats.multivariate_normal(mean, loadings @ loadings.T + SIGMA2 * np.eye(D))
    x = law.rvs(N, random_state=rng)
    return LinearGaussian(parameters, likelihood, x, law.logpdf(x), (x - mean) @ encode, SIGMA2 / total)


# 2k points of equal weight whose first three moments are those of N(0, I): they integrate quadratics exactly
SIGMA_POINTS = (np.sqrt(K) * np.concatenate([np.eye(K), -np.eye(K)]))[:, None, None, :]


def test_elbo_is_the_evidence_when_the_posterior_is_exact(vae: LinearGaussian) -> None:
    """With q(z|x) = p(z|x) the bound is tight for every row."""
    found = vae.passed(vae.parameters, SIGMA_POINTS).value[0]
    np.testing.assert_allclose(found, vae.evidence, rtol=1e-9)


@pytest.mark.parametrize(("shift", "widening"), [(0.5, 1.0), (0.0, 3.0), (-1.0, 0.2)])
def test_elbo_is_below_the_evidence_by_the_kl(vae: LinearGaussian, shift: float, widening: float) -> None:
    """With any other q the gap is KL(q(z|x) ‖ p(z|x)), which is positive."""
    found = vae.passed(vae.with_posterior(shift, widening), SIGMA_POINTS).value[0]
    ratio = widening * np.ones(K)
    kl = 0.5 * (shift**2 / vae.posterior_variance + ratio - np.log(ratio) - 1).sum()
    assert kl > 0
    np.testing.assert_allclose(vae.evidence - found, kl, rtol=1e-8)


def test_the_columns_add_up_to_the_expected_log_likelihood(vae: LinearGaussian) -> None:
    """E_q[log p(x|z)] is kept column by column, each in closed form."""
    found = vae.passed(vae.parameters, SIGMA_POINTS).column_log_prob[0]
    loadings = vae.parameters["decoder.skip.w"][0, :, :D].T
    mean = vae.parameters["decoder.out.b"][0, 0, :D] + vae.posterior_mean @ loadings.T
    spread = (loadings**2) @ vae.posterior_variance
    expected = stats.norm.logpdf(vae.x, mean, np.sqrt(SIGMA2)) - 0.5 * spread / SIGMA2
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_row_and_code_have_the_joint_density_under_the_nearest_exemplar(vae: LinearGaussian) -> None:
    """−log p(x|z=μ) + ½ d² is −log p(x, z=μ) under the prior N(μ_i, Λ̄⁻¹) of the nearest exemplar, up to a constant."""
    n_exemplars = 25
    log_variance = np.broadcast_to(np.log(vae.posterior_variance), (1, n_exemplars, K))
    codes = ExemplarPrior.of(vae.posterior_mean[None, :n_exemplars], log_variance)
    passed = forward(vae.parameters, vae.likelihood, vae.x, None, np.zeros((1, 1, 1, K)))
    found = -elbo(passed).column_log_prob.sum(-1)[0] + nearest_exemplar_distance(passed.mean, codes)[0]
    loadings, bias = vae.parameters["decoder.skip.w"][0, :, :D].T, vae.parameters["decoder.out.b"][0, 0, :D]
    given_code = stats.norm.logpdf(vae.x, bias + vae.posterior_mean @ loadings.T, np.sqrt(SIGMA2)).sum(-1)
    component = stats.norm.logpdf(
        vae.posterior_mean[:, None], vae.posterior_mean[:n_exemplars], np.sqrt(vae.posterior_variance)
    ).sum(-1)
    constant = -0.5 * np.log(2 * np.pi * vae.posterior_variance).sum()
    np.testing.assert_allclose(found, -(given_code + component.max(1) - constant), rtol=1e-5, atol=1e-4)


def test_value_is_columns_minus_kl(vae: LinearGaussian) -> None:
    """The parts add up: Σ_j log p(x_j|z) − KL."""
    found = vae.passed(vae.parameters, SIGMA_POINTS)
    np.testing.assert_array_equal(found.value, found.column_log_prob.sum(-1) - found.kl)
    expected = kl_to_prior(vae.posterior_mean, np.broadcast_to(np.log(vae.posterior_variance), (N, K)))
    np.testing.assert_allclose(found.kl[0], expected)
