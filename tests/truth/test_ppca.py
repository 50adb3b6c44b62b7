"""Training starts at probabilistic PCA's maximum-likelihood solution (Tipping & Bishop 1999)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from vaecli.model.ppca_init import SMALLEST_NOISE, Ppca

N, D = 400, 6


def table(seed: int, n: int = N, d: int = D) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, d)) + 0.5 * rng.normal(size=(n, d)) + 1
    return x.astype(np.float32)


def noise_of(pca: Ppca) -> float:
    """σ² from the posterior: σ² = σ² Λ⁻¹ · Λ."""
    variances = np.divide(pca.loadings, pca.encode).mean(0)
    return float((pca.latent_variance * variances).mean())


def log_likelihood(x: np.ndarray, loadings: np.ndarray, noise: float) -> float:
    covariance = loadings @ loadings.T + noise * np.eye(x.shape[1])
    return float(stats.multivariate_normal(x.mean(0), covariance).logpdf(x).mean())


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_covariance_is_that_of_scikit_learn(k: int) -> None:
    """W Wᵀ + σ² I is the covariance of scikit-learn's probabilistic PCA, for the maximum-likelihood divisor n."""
    x = table(0)
    found = Ppca.fit(x, k, np.random.default_rng(0))
    expected = PCA(k, svd_solver="full").fit(x.astype(np.float64)).get_covariance() * (N - 1) / N
    np.testing.assert_allclose(found.loadings @ found.loadings.T + noise_of(found) * np.eye(D), expected, atol=1e-4)


def test_no_nearby_solution_is_more_likely() -> None:
    """Perturbing W or σ² makes the rows less probable."""
    x = table(1)
    found = Ppca.fit(x, 3, np.random.default_rng(0))
    best, noise = log_likelihood(x, found.loadings, noise_of(found)), noise_of(found)
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert log_likelihood(x, found.loadings + 0.05 * rng.normal(size=found.loadings.shape), noise) < best
    assert log_likelihood(x, found.loadings, 0.9 * noise) < best
    assert log_likelihood(x, found.loadings, 1.1 * noise) < best


def test_posterior_is_bayes_rule() -> None:
    """`encode` and `latent_variance` are the mean and covariance of p(z|x) under the fitted W and σ²."""
    found = Ppca.fit(table(3), 3, np.random.default_rng(0))
    noise = noise_of(found)
    m = found.loadings.T @ found.loadings + noise * np.eye(3)
    np.testing.assert_allclose(found.encode, found.loadings @ np.linalg.inv(m), atol=1e-6)
    np.testing.assert_allclose(np.diag(found.latent_variance), noise * np.linalg.inv(m), atol=1e-6)


def test_more_dimensions_than_columns_stay_empty() -> None:
    """Latent dimensions beyond those of the table are unused: no loadings, and the prior as their posterior."""
    found = Ppca.fit(table(4), D + 4, np.random.default_rng(0))
    assert (found.loadings[:, D:] == 0).all()
    assert (found.encode[:, D:] == 0).all()
    assert (found.latent_variance[D:] == 1).all()


def test_wide_tables_by_random_projections_agree() -> None:
    """Beyond 512 features random projections find the same subspace and variances."""
    narrow = table(5, n=60, d=500)
    wide = np.hstack([narrow, np.zeros((60, 100), np.float32)])
    exact, approximate = (Ppca.fit(x, 3, np.random.default_rng(0)) for x in (narrow, wide))
    np.testing.assert_allclose(
        approximate.loadings[:500] @ approximate.loadings[:500].T, exact.loadings @ exact.loadings.T, atol=0.05
    )


@pytest.mark.parametrize("x", [np.zeros((5, 3)), np.ones((5, 3)), np.eye(2), np.arange(6.0).reshape(3, 2)])
def test_degenerate_tables_give_finite_starts(x: np.ndarray) -> None:
    """Constant, square and perfectly correlated tables give finite numbers and positive variances."""
    found = Ppca.fit(x.astype(np.float32), 4, np.random.default_rng(0))
    for part in (found.loadings, found.encode, found.latent_variance):
        assert np.isfinite(part).all()
    assert (found.latent_variance >= SMALLEST_NOISE).all()
