"""The ELBO and the importance-weighted bound against the evidence, on a VAE whose evidence is known.

x = W z + μ + σ ε with orthogonal columns of W: the evidence is N(μ, W Wᵀ + σ² I) and the exact posterior is diagonal,
N(Λ⁻¹ Wᵀ (x − μ), σ² Λ⁻¹) with Λ = Wᵀ W + σ² I (Tipping & Bishop 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from vaecli.initial import raw_log_variance
from vaecli.likelihoods import Likelihood
from vaecli.network import (
    Elbo,
    Exemplars,
    Parameters,
    elbo,
    exemplar_elbo,
    forward,
    importance_bound,
    kl_to_prior,
    shapes,
)
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


def draws(n: int, seed: int = 1) -> np.ndarray:
    """(s, 1, rows, k): independent for every row."""
    return np.random.default_rng(seed).normal(size=(n, 1, N, K))


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


def test_exact_posterior_makes_every_importance_weight_the_evidence(vae: LinearGaussian) -> None:
    """With the exact posterior one draw is enough: p(x, z) / q(z|x) is p(x) for any z."""
    for noise in (draws(1), draws(5)):
        bound = importance_bound(forward(vae.parameters, vae.likelihood, vae.x, None, noise))
        np.testing.assert_allclose(bound.value[0], vae.evidence, rtol=1e-9)


def test_importance_bound_tightens_with_draws(vae: LinearGaussian) -> None:
    """Averaged over noise, the bound lies between ELBO and evidence and rises with the number of draws."""
    parameters = vae.with_posterior(shift=0.3, widening=2.0)
    lower = vae.passed(parameters, SIGMA_POINTS).value[0].mean()
    by_draws = []
    for n_draws, repeats in ((1, 800), (4, 400), (16, 200), (64, 100)):
        values = [
            importance_bound(forward(parameters, vae.likelihood, vae.x, None, draws(n_draws, seed))).value.mean()
            for seed in range(repeats)
        ]
        by_draws.append(np.mean(values))
    assert by_draws[0] == pytest.approx(lower, abs=0.03)  # one draw is the ELBO
    assert by_draws == sorted(by_draws)
    assert lower + 0.1 < by_draws[1]
    assert by_draws[-1] < vae.evidence.mean() + 0.005
    assert by_draws[-1] == pytest.approx(vae.evidence.mean(), abs=0.05)


def test_importance_bound_is_the_log_mean_weight(vae: LinearGaussian) -> None:
    """The parts by column and the rest add up to log (1/s) Σ w_s, computed the plain way."""
    parameters = vae.with_posterior(shift=0.4, widening=2.0)
    noise = draws(7)
    passed = forward(parameters, vae.likelihood, vae.x, None, noise)
    sigma = np.exp(0.5 * passed.log_variance)
    z = passed.mean + sigma * noise
    log_weight = (
        passed.log_prob.sum(-1) + stats.norm.logpdf(z).sum(-1) - stats.norm.logpdf(z, passed.mean, sigma).sum(-1)
    )
    expected = np.log(np.exp(log_weight - log_weight.max(0)).mean(0)) + log_weight.max(0)
    np.testing.assert_allclose(importance_bound(passed).value, expected, rtol=1e-9)


def test_the_exemplar_bound_is_below_its_own_evidence(vae: LinearGaussian) -> None:
    """Under the prior that is the mean of the rows' posteriors, the bound is below log ∫ p(x|z) p(z) dz."""
    mean, log_variance = vae.posterior_mean, np.log(vae.posterior_variance)
    exemplars = Exemplars.of(mean[None], np.broadcast_to(log_variance, (1, N, K)))
    passed = forward(vae.parameters, vae.likelihood, vae.x, None, SIGMA_POINTS)
    bound = exemplar_elbo(passed, exemplars).value[0]
    # the evidence under a Gaussian mixture prior is a Gaussian mixture
    loadings = vae.parameters["decoder.skip.w"][0, :, :D].T
    covariance = loadings * vae.posterior_variance @ loadings.T + SIGMA2 * np.eye(D)
    centres = vae.parameters["decoder.out.b"][0, 0, :D] + mean @ loadings.T
    each = np.stack([stats.multivariate_normal(centre, covariance).pdf(vae.x) for centre in centres])
    evidence = np.log(each.mean(0))
    assert (bound <= evidence + 1e-5).all()
    assert (bound > evidence - 3).all()


def test_value_is_columns_minus_kl(vae: LinearGaussian) -> None:
    """The parts add up: Σ_j log p(x_j|z) − KL."""
    found = vae.passed(vae.parameters, SIGMA_POINTS)
    np.testing.assert_array_equal(found.value, found.column_log_prob.sum(-1) - found.kl)
    expected = kl_to_prior(vae.posterior_mean, np.broadcast_to(np.log(vae.posterior_variance), (N, K)))
    np.testing.assert_allclose(found.kl[0], expected)
