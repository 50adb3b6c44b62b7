"""The KL terms against closed forms, torch.distributions and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from torch.distributions import Independent, Normal, kl_divergence

from vaecli.network import Exemplars, kl_to_exemplars, kl_to_prior

K = 3
seeds = st.integers(0, 2**32 - 1)


def posteriors(rng: np.random.Generator, n: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Means and log-variances (1, n, k), float64."""
    return spread * rng.normal(size=(1, n, K)), rng.normal(size=(1, n, K)) - 1


def distribution(mean: np.ndarray, log_variance: np.ndarray) -> Independent:
    return Independent(Normal(torch.as_tensor(mean), torch.as_tensor(log_variance).mul(0.5).exp()), 1)


def kl_to_mixture(
    mean: np.ndarray, log_variance: np.ndarray, means: np.ndarray, log_variances: np.ndarray
) -> tuple[float, float]:
    """KL(N ‖ mixture of N_i) of one posterior (k,), by 200,000 draws, and four standard errors of it."""
    z = mean + np.exp(0.5 * log_variance) * np.random.default_rng(7).normal(size=(200_000, K))
    log_q = stats.norm.logpdf(z, mean, np.exp(0.5 * log_variance)).sum(-1)
    log_each = stats.norm.logpdf(z[:, None], means, np.exp(0.5 * log_variances)).sum(-1)
    log_ratio = log_q - special.logsumexp(log_each, axis=1) + np.log(len(means))
    return float(log_ratio.mean()), float(4 * log_ratio.std() / np.sqrt(log_ratio.size))


@given(seeds)
def test_kl_to_the_prior_is_the_closed_form(seed: int) -> None:
    """KL(N(μ, σ²) ‖ N(0, I)) as torch.distributions has it, in NumPy and in torch."""
    mean, log_variance = posteriors(np.random.default_rng(seed), 5, spread=3)
    prior = distribution(np.zeros((1, 5, K)), np.zeros((1, 5, K)))
    expected = kl_divergence(distribution(mean, log_variance), prior).numpy()
    np.testing.assert_allclose(kl_to_prior(mean, log_variance), expected, rtol=1e-10)
    in_torch = kl_to_prior(torch.as_tensor(mean), torch.as_tensor(log_variance))
    np.testing.assert_allclose(in_torch.numpy(), expected, rtol=1e-10)


def test_kl_to_the_prior_agrees_with_monte_carlo() -> None:
    """E_q[log q(z) − log p(z)] over a million draws is the KL."""
    mean, log_variance = posteriors(np.random.default_rng(3), 1)
    sigma = np.exp(0.5 * log_variance)
    z = mean + sigma * np.random.default_rng(4).normal(size=(1_000_000, 1, K))
    log_ratio = (stats.norm.logpdf(z, mean, sigma) - stats.norm.logpdf(z)).sum(-1)
    error = 5 * log_ratio.std() / 1000
    assert kl_to_prior(mean, log_variance)[0, 0] == pytest.approx(log_ratio.mean(), abs=error)


def test_the_prior_itself_costs_nothing() -> None:
    """A posterior equal to the prior has KL 0, any other a positive one."""
    assert kl_to_prior(np.zeros((1, 1, K)), np.zeros((1, 1, K)))[0, 0] == 0
    mean, log_variance = posteriors(np.random.default_rng(0), 100)
    assert (kl_to_prior(mean, log_variance) > 0).all()


@given(seeds)
def test_one_exemplar_is_exact(seed: int) -> None:
    """Against one exemplar the bound is the KL of two Gaussians."""
    rng = np.random.default_rng(seed)
    mean, log_variance = posteriors(rng, 6)
    means, log_variances = posteriors(rng, 1)
    expected = kl_divergence(distribution(mean, log_variance), distribution(means, log_variances)).numpy()
    found = kl_to_exemplars(mean, log_variance, Exemplars.of(means, log_variances))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)  # exemplars are kept in float32


@given(seeds)
def test_equal_exemplars_count_once(seed: int) -> None:
    """Repeating every exemplar changes nothing: the prior is their mean."""
    rng = np.random.default_rng(seed)
    mean, log_variance = posteriors(rng, 6)
    means, log_variances = posteriors(rng, 4)
    once = kl_to_exemplars(mean, log_variance, Exemplars.of(means, log_variances))
    thrice = Exemplars.of(np.tile(means, (1, 3, 1)), np.tile(log_variances, (1, 3, 1)))
    np.testing.assert_allclose(kl_to_exemplars(mean, log_variance, thrice), once, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_exemplar_kl_is_an_upper_bound(seed: int) -> None:
    """The KL to a mixture of exemplars, by Monte Carlo, is never above the bound."""
    rng = np.random.default_rng(seed)
    mean, log_variance = posteriors(rng, 1)
    for spread in (0.3, 1.0, 8.0):
        means, log_variances = posteriors(rng, 5, spread)
        bound = kl_to_exemplars(mean, log_variance, Exemplars.of(means, log_variances))[0, 0]
        true, error = kl_to_mixture(mean[0, 0], log_variance[0, 0], means[0], log_variances[0])
        assert true - error <= bound


@given(seeds, st.floats(0.1, 10))
def test_the_nearest_exemplar_decides(seed: int, spread: float) -> None:
    """The bound lies between the KL to the nearest exemplar and that plus log N."""
    rng = np.random.default_rng(seed)
    mean, log_variance = posteriors(rng, 4)
    means, log_variances = posteriors(rng, 7, spread)
    each = kl_divergence(
        distribution(mean[0, :, None], log_variance[0, :, None]), distribution(means, log_variances)
    ).numpy()
    bound = kl_to_exemplars(mean, log_variance, Exemplars.of(means, log_variances))[0]
    assert (bound >= each.min(1) * (1 - 1e-4) - 1e-4).all()
    assert (bound <= each.min(1) * (1 + 1e-4) + 1e-4 + np.log(7)).all()


@pytest.mark.parametrize("distance", [0.0, 3.0, 30.0, 300.0])
def test_exemplar_kl_survives_float32(distance: float) -> None:
    """With posteriors as narrow as half a percent of the prior, float32 keeps the bound to 1e-4 of its largest term."""
    rng = np.random.default_rng(5)
    means, log_variances = rng.normal(size=(1, 40, K)), np.full((1, 40, K), -10.0)
    mean = (means[:, :7] + 0.01 * rng.normal(size=(1, 7, K)) + distance).astype(np.float32)
    log_variance = np.full((1, 7, K), -9.0, np.float32)
    expected = kl_divergence(
        distribution(mean[0, :, None].astype(np.float64), log_variance[0, :, None].astype(np.float64)),
        distribution(means, log_variances),
    ).numpy()
    expected = np.log(40) - special.logsumexp(-expected, axis=-1)
    found = kl_to_exemplars(mean, log_variance, Exemplars.of(means, log_variances))[0]
    largest = ((np.abs(mean[0]).max() + np.abs(means).max()) ** 2) * np.exp(10.0) * K
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * largest)
    assert np.isfinite(found).all()


def test_a_rows_own_exemplar_can_be_left_out() -> None:
    """With row numbers, a training row is compared with the other exemplars only, as if its own were not there."""
    rng = np.random.default_rng(6)
    means, log_variances = posteriors(rng, 5)
    own = Exemplars.of(means, log_variances, np.array([[4, 7, 9, 2, 5]]))
    rows = np.array([9, 1])
    found = kl_to_exemplars(means[:, [2, 0]], log_variances[:, [2, 0]], own, rows)
    others = [0, 1, 3, 4]
    without = kl_to_exemplars(
        means[:, [2]], log_variances[:, [2]], Exemplars.of(means[:, others], log_variances[:, others])
    )
    np.testing.assert_allclose(found[0, 0], without[0, 0], rtol=1e-5)
    all_of_them = kl_to_exemplars(means[:, [0]], log_variances[:, [0]], Exemplars.of(means, log_variances))
    np.testing.assert_allclose(found[0, 1], all_of_them[0, 0], rtol=1e-5)
