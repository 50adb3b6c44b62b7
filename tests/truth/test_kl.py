"""The KL to the prior against its closed form, torch.distributions and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from vaecli.model.network import kl_to_prior

K = 3
seeds = st.integers(0, 2**32 - 1)


def posteriors(rng: np.random.Generator, n: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Means and log-variances (1, n, k), float64."""
    return spread * rng.normal(size=(1, n, K)), rng.normal(size=(1, n, K)) - 1


def distribution(mean: np.ndarray, log_variance: np.ndarray) -> Independent:
    return Independent(Normal(torch.as_tensor(mean), torch.as_tensor(log_variance).mul(0.5).exp()), 1)


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
