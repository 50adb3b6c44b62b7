"""Where training starts: probabilistic PCA in the linear path, nearly silent hidden layers beside it.

    x ≈ W z + mean + noise,   W = U (Λ − σ² I)^½          Tipping & Bishop 1999, equation 15 (maximum likelihood)
    q(z|x) = N(Λ⁻¹ Wᵀ (x − mean), σ² Λ⁻¹)                 equation 12; M is diagonal in this basis

A start that already explains what is linear makes small tables learnable and large ones quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.model.likelihoods.gaussian import SMALLEST_VARIANCE, raw_log_variance
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters, shapes

if TYPE_CHECKING:
    from vaecli.data.training_rows import Rows

HIDDEN_SCALE = 0.1  # of the products that leave the hidden layers
SMALLEST_NOISE = 1e-3


def start_parameters(
    rows: Rows,
    likelihood: Likelihood,
    *,
    held_out: tuple[int, ...],
    n_latent: int,
    n_hidden: int,
    homoscedastic: bool,
    seed: int,
) -> Parameters:
    """Parameters, float32, with a leading axis of members; member k does not depend on the rows of fold `held_out[k]`.

    With `homoscedastic` a log-variance is the decoder's bias alone: the weights that lead to it are zero.
    """
    rng = np.random.default_rng([seed, 0x1217])
    rows = rows._replace(values=likelihood.to_likelihood_space(rows.values, rows.state))
    members = [_member(rows.take(rows.fold != fold), likelihood, n_latent, n_hidden, rng) for fold in held_out]
    start = {name: np.stack([member[name] for member in members]).astype(np.float32) for name in members[0]}
    if homoscedastic:
        for name in VARIANCE_WEIGHTS:
            start[name][..., variance_outputs(likelihood)] = 0
    return start


VARIANCE_WEIGHTS = ("decoder.out.w", "decoder.skip.w")  # what makes a variance depend on the row


def variance_outputs(likelihood: Likelihood) -> slice:
    """Which of the decoder's p outputs are log-variances."""
    return slice(likelihood.n_gaussian, 2 * likelihood.n_gaussian)


def independent_output(rows: Rows, likelihood: Likelihood) -> np.ndarray:
    """Decoder output (1, p) that ignores the code: each column's mean, variance and shares over its present cells.

    The bias that a decoder starts from, and the baseline a fitted model has to beat. `rows.values` are as
    `likelihood.to_likelihood_space` gives them.
    """
    x = rows.values.astype(np.float64)
    parts = [
        block.distribution.independent(x[:, block.features], rows.state[:, block.columns] == PRESENT)
        for block in likelihood.blocks
    ]
    return np.concatenate([*parts, likelihood.presence.independent(rows.state)])[None]


def _member(rows: Rows, likelihood: Likelihood, n_latent: int, n_hidden: int, rng: np.random.Generator) -> Parameters:
    m, d = likelihood.n_gaussian, rows.values.shape[1]
    member = {}
    for name, shape in shapes(d, likelihood, n_latent, n_hidden).items():
        if name.endswith(".b"):
            member[name] = np.zeros(shape)
            continue
        spread = np.sqrt(2 / shape[0])  # He et al. 2015
        if name in ("encoder.mean.w", "encoder.log_variance.w", "decoder.out.w"):
            spread *= HIDDEN_SCALE
        member[name] = rng.standard_normal(shape) * spread

    pca = Ppca.fit(rows.values, n_latent, rng)
    member["encoder.skip.w"] *= 0
    member["encoder.skip.w"][:d] = pca.encode
    member["encoder.mean.b"] = -(rows.values.mean(0, dtype=np.float64) @ pca.encode)[None]
    member["encoder.log_variance.b"] = np.log(pca.latent_variance)[None]
    member["decoder.skip.w"] *= 0
    member["decoder.skip.w"][:, :m] = pca.loadings[:m].T
    output = independent_output(rows, likelihood)
    left = np.maximum(rows.values[:, :m].var(0) - (pca.loadings[:m] ** 2).sum(1), SMALLEST_VARIANCE)
    output[0, m : 2 * m] = raw_log_variance(np.log(left), likelihood.min_log_variance)
    member["decoder.out.b"] = output
    return member


class Ppca:
    """Probabilistic PCA of (n, d) features with k latent dimensions; dimensions beyond d stay empty."""

    def __init__(self, loadings: np.ndarray, encode: np.ndarray, latent_variance: np.ndarray) -> None:
        self.loadings = loadings  # W (d, k)
        self.encode = encode  # W Λ⁻¹ (d, k)
        self.latent_variance = latent_variance  # (k,) of q(z|x)

    @classmethod
    def fit(cls, x: np.ndarray, k: int, rng: np.random.Generator) -> Ppca:
        """The maximum-likelihood solution for `x` (n, d); by random projections (Halko et al. 2011) if d is large."""
        n, d = x.shape
        centred = x - x.mean(0)
        q = min(k, d, max(n - 1, 1))
        variances, directions = _leading(centred, q, rng)
        total = float(centred.var(0, dtype=np.float64).sum())
        noise = max((total - variances.sum()) / (d - q) if d > q else variances[-1], SMALLEST_NOISE)
        variances = np.maximum(variances, noise * (1 + 1e-6))
        loadings, encode, latent_variance = np.zeros((d, k)), np.zeros((d, k)), np.ones(k)
        loadings[:, :q] = directions * np.sqrt(variances - noise)
        encode[:, :q] = loadings[:, :q] / variances
        latent_variance[:q] = np.clip(noise / variances, 1e-3, 1.0)
        return cls(loadings, encode, latent_variance)


def _leading(centred: np.ndarray, q: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The q largest principal variances (q,) and their directions (d, q), signs fixed."""
    n, d = centred.shape
    if d <= 512:
        values, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64) / n)
        values, vectors = values[::-1][:q], vectors[:, ::-1][:, :q]
    else:
        from sklearn.utils.extmath import randomized_svd

        _, singular, right = randomized_svd(centred, q, random_state=int(rng.integers(2**31)))
        values, vectors = singular.astype(np.float64) ** 2 / n, right.T.astype(np.float64)
    largest = np.abs(vectors).argmax(0)
    return np.maximum(values, 0.0), vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
