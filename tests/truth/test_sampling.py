"""On a linear Gaussian model whose posterior is exact, rows from the exemplar prior have the covariance of training."""

from __future__ import annotations

import numpy as np

from vaecli.data.cells import Cells
from vaecli.data.marginals import Marginals
from vaecli.latent.sampling import Sampler
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import shapes
from vaecli.model.ppca_init import raw_log_variance
from vaecli.schema import Column, Kind, Layout

D, K, N, SIGMA2, FLOOR = 5, 2, 4000, 0.3, -12.0
COLUMNS = tuple(Column(f"x{j}", Kind.NUMERIC) for j in range(D))
LAYOUT = Layout.of(COLUMNS)


def test_rows_of_the_exemplar_prior_have_the_covariance_of_training() -> None:
    """x = W z + μ + σ ε: bells as wide as the posterior around the codes of training rows add up to N(0, I)."""
    rng = np.random.default_rng(0)
    loadings = np.linalg.qr(rng.normal(size=(D, K)))[0] * np.array([2.0, 1.2])
    mean, total = rng.normal(size=D), (loadings**2).sum(0) + SIGMA2
    rows = rng.normal(size=(N, K)) @ loadings.T + mean + np.sqrt(SIGMA2) * rng.normal(size=(N, D))

    likelihood = Likelihood.of(LAYOUT, np.zeros(D), N, FLOOR)
    parameters = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes(D, likelihood, K, 1).items()}
    parameters["decoder.skip.w"][0, :, :D] = loadings.T
    parameters["decoder.out.b"][0, 0, :D] = mean
    parameters["decoder.out.b"][0, 0, D:] = raw_log_variance(np.log(SIGMA2), FLOOR)
    codes = ((rows - mean) @ (loadings / total)).astype(np.float32)[None]
    log_variance = np.broadcast_to(np.log(SIGMA2 / total), codes.shape).astype(np.float32)
    family = Family(
        likelihood, parameters, np.zeros((2, 1, 1, K)), ExemplarPrior.of(codes, log_variance), (0,), ("code",)
    )

    training = Cells(rows, np.zeros((N, D), np.uint8), np.arange(N))
    sampler = Sampler.of(family, LAYOUT, COLUMNS, Marginals.of(training, LAYOUT), seed=0)
    made = sampler.rows(0, 20_000).values
    np.testing.assert_allclose(np.cov(made.T), loadings @ loadings.T + SIGMA2 * np.eye(D), atol=0.12)
    np.testing.assert_allclose(made.mean(0), rows.mean(0), atol=0.05)
