"""Feature batch → column scores → row score: NumPy on the CPU, the same lines in torch on CUDA.

Every score is higher for odder rows, is a pure function of (ensemble, row), and is taken apart by user
column: score = Σ_j column_score_j + latent_score.

| kind             | score of a row, in nats, mean over the members                               | latent part  |
|------------------|------------------------------------------------------------------------------|--------------|
| `reconstruction` | −E_q[log p(x|z)], the reconstruction probability of An & Cho 2015            | 0            |
| `elbo`           | −ELBO = −E_q[log p(x|z)] + KL(q(z|x) ‖ p(z)), Kingma & Welling 2014          | the KL       |
| `importance`     | −log (1/s) Σ_s p(x, z_s) / q(z_s|x), the tighter bound of Burda et al. 2016  | what is left |
| `exemplar`       | −ELBO with p(z) = (1/N) Σ_i q(z|x_i) over training rows, Norouzi et al. 2020 | a KL bound   |
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.arrays import Array
from vaecli.cores import n_cores
from vaecli.likelihoods import Likelihood
from vaecli.network import (
    Exemplars,
    Parameters,
    elbo,
    exemplar_elbo,
    forward,
    importance_bound,
)
from vaecli.preprocess import FeatureBatch

# Rows are computed in tiles of this fixed size, the last one padded, each by one thread: a matrix product rounds
# differently for another number of rows or threads. What is left is a row's place in its tile, about 1e-6 nats.
TILE_ROWS = 256


@dataclass(frozen=True, slots=True)
class Ensemble:
    """e trained members and the noise they are scored with: all that a score depends on besides the row.

    `noise` (s, e, 1, k): standard normal draws, made once at fit, the same for every row.
    """

    likelihood: Likelihood
    parameters: Parameters
    noise: Array
    exemplars: Exemplars

    @property
    def n_members(self) -> int:
        """e."""
        return int(self.noise.shape[1])

    def on(self, device: str) -> Ensemble:
        """The same ensemble as torch tensors on a torch device."""
        import torch

        moved = {name: torch.as_tensor(value, device=device) for name, value in self.parameters.items()}
        exemplars = Exemplars(
            torch.as_tensor(self.exemplars.weight, device=device), torch.as_tensor(self.exemplars.offset, device=device)
        )
        return Ensemble(self.likelihood, moved, torch.as_tensor(self.noise, device=device), exemplars)


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Scores of n rows; higher is odder. score = column_score.sum(1) + latent_score, in nats."""

    row: np.ndarray  # (n,) int64
    score: np.ndarray  # (n,) float64
    column_score: np.ndarray  # (n, c) float64
    latent_score: np.ndarray  # (n,) float64


def draw_noise(n_noise: int, n_members: int, n_latent: int, seed: int) -> np.ndarray:
    """(s, e, 1, k) float32 standard normal draws in antithetic pairs, so that their mean is exactly zero.

    s is `n_noise`, rounded up to whole pairs.
    """
    rng = np.random.default_rng([seed, 0x5C0BE])
    half = rng.standard_normal(((n_noise + 1) // 2, n_members, 1, n_latent))
    return np.concatenate([half, -half]).astype(np.float32)


def score_batch(ensemble: Ensemble, batch: FeatureBatch, kind: str) -> ScoredBatch:
    """Score every row of the batch by one of the kinds above."""
    parts = [(column.mean(0), latent.mean(0)) for column, latent in _tiles(ensemble, batch, kind)]
    column = np.concatenate([part[0] for part in parts])[: len(batch)]
    latent = np.concatenate([part[1] for part in parts])[: len(batch)]
    return ScoredBatch(batch.row, column.sum(1) + latent, column, latent)


def member_scores(ensemble: Ensemble, batch: FeatureBatch, kind: str) -> np.ndarray:
    """(n, e) float64: each member's own score of each row.

    While the exemplars know which training rows they are, `batch.row` must number rows likewise: a row's own
    exemplar is left out.
    """
    parts = [(column.sum(-1) + latent).T for column, latent in _tiles(ensemble, batch, kind)]
    return np.concatenate(parts)[: len(batch)]


def _tiles(ensemble: Ensemble, batch: FeatureBatch, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Column parts (e, TILE_ROWS, c) and latent parts (e, TILE_ROWS) of each tile in order, float64."""
    starts = range(0, max(len(batch), 1), TILE_ROWS)  # no rows make one empty tile, so that the shapes are right
    compute = partial(_tile, ensemble, batch, kind)
    n_threads = min(len(starts), n_cores())
    with threadpool_limits(1, "blas"):
        if n_threads < 2 or not isinstance(ensemble.noise, np.ndarray):
            yield from map(compute, starts)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            yield from pool.map(compute, starts)


def _tile(ensemble: Ensemble, batch: FeatureBatch, kind: str, start: int) -> tuple[np.ndarray, np.ndarray]:
    features = _padded(batch.values[start : start + TILE_ROWS])
    state = _padded(batch.state[start : start + TILE_ROWS])
    is_plain = not ensemble.likelihood.gappy.size and not state.any()
    row = batch.row[start : start + TILE_ROWS]
    row = np.concatenate([row, np.full(TILE_ROWS - row.size, -1)])
    column, latent = _parts(ensemble, features, None if is_plain else state, row, kind)
    return _numpy(column).astype(np.float64), _numpy(latent).astype(np.float64)


def _parts(ensemble: Ensemble, features: Any, state: Any, row: Any, kind: str) -> tuple[Array, Array]:
    if not isinstance(ensemble.noise, np.ndarray):
        import torch

        features = torch.as_tensor(features, device=ensemble.noise.device)
        state = None if state is None else torch.as_tensor(state, device=ensemble.noise.device)
    passed = forward(ensemble.parameters, ensemble.likelihood, features, state, ensemble.noise)
    match kind:
        case "reconstruction":
            bound = elbo(passed)
            return -bound.column_log_prob, 0 * bound.kl
        case "elbo":
            bound = elbo(passed)
        case "importance":
            bound = importance_bound(passed)
        case "exemplar":
            bound = exemplar_elbo(passed, ensemble.exemplars, row)
        case _:
            raise ValueError(f"unknown score kind {kind!r}")
    return -bound.column_log_prob, bound.kl


def _padded(array: np.ndarray) -> np.ndarray:
    if array.shape[0] == TILE_ROWS:
        return array
    tile = np.zeros((TILE_ROWS, array.shape[1]), array.dtype)
    tile[: array.shape[0]] = array
    return tile


def _numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
