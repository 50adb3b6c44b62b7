"""Feature batch → column scores → row score: NumPy on the CPU, the same lines in torch on CUDA.

Every score is higher for odder rows, is a pure function of (ensemble, row), and is taken apart by user
column: score = Σ_j column_score_j + latent_score.

| kind             | score of a row by one member, in nats                                        | latent part |
|------------------|------------------------------------------------------------------------------|-------------|
| `reconstruction` | −E_q[log p(x|z)], the reconstruction probability of An & Cho 2015             | 0           |
| `elbo`           | −ELBO = −E_q[log p(x|z)] + KL(q(z|x) ‖ p(z)), Kingma & Welling 2014           | the KL      |
| `latent`         | ½ d², the distance of the code to the nearest exemplar's, see `nearest_code`  | all         |
| `combined`       | −log p(x|z=μ) + ½ d², the joint density of row and code under an exemplar     | ½ d²        |
|                  | prior; of the first family also without the ½ d², at half the weight,         | 0           |
|                  | and with the KL beside it                                                     | ½ d² + KL   |

A member's scores become surprises: how improbable such a score is of a normal row, on one scale for all (see
`surprise`). The score of the ensemble is the mean over its members of the mean over their scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.arrays import Array
from vaecli.cores import n_cores
from vaecli.likelihoods import Likelihood
from vaecli.network import Codes, Parameters, elbo, forward, nearest_code
from vaecli.preprocess import FeatureBatch
from vaecli.surprise import Surprise

# Rows are computed in tiles of this fixed size, the last one padded, each by one thread: a matrix product rounds
# differently for another number of rows or threads. What is left is a row's place in its tile, about 1e-6 nats.
TILE_ROWS = 256


@dataclass(frozen=True, slots=True)
class Family:
    """e trained members of one kind and all that their scores depend on besides the row.

    `noise` (s, e, 1, k): standard normal draws, made once at fit, the same for every row.
    """

    likelihood: Likelihood
    parameters: Parameters
    noise: Array
    codes: Codes
    held_out: tuple[int, ...]  # the fold that each member was not trained on
    latents: tuple[str, ...]  # what is added to −log p(x|z=μ) in each of the scores that make up `combined`

    def on(self, device: str) -> Family:
        """The same family as torch tensors on a torch device."""
        import torch

        def moved(array: Array) -> Array:
            return torch.as_tensor(array, device=device)

        codes = Codes(*(moved(getattr(self.codes, name)) for name in ("center", "scale", "weight", "offset")))
        parameters = {name: moved(value) for name, value in self.parameters.items()}
        return Family(self.likelihood, parameters, moved(self.noise), codes, self.held_out, self.latents)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """All members, and the scale on which their scores are averaged, one a score kind."""

    families: tuple[Family, ...]
    surprises: Mapping[str, Surprise]

    @property
    def held_out(self) -> np.ndarray:
        """(e,) the fold that each member was not trained on, family after family."""
        return np.concatenate([family.held_out for family in self.families])

    @property
    def n_members(self) -> int:
        """e."""
        return len(self.held_out)

    def on(self, device: str) -> Ensemble:
        """The same ensemble computing on a torch device."""
        return Ensemble(tuple(family.on(device) for family in self.families), self.surprises)


def score_owners(families: Sequence[Family], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(member, sort) of each of the w scores of a kind, both (w,): family after family, sort after sort."""
    members: list[np.ndarray] = []
    sorts: list[np.ndarray] = []
    n_members = 0
    for family in families:
        e = len(family.held_out)
        for _ in range(len(family.latents) if kind == "combined" else 1):
            members.append(n_members + np.arange(e))
            sorts.append(np.full(e, len(sorts)))
        n_members += e
    return np.concatenate(members), np.concatenate(sorts)


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
    surprise = ensemble.surprises[kind]
    scores, columns = [], []
    for score, column in _tiles(ensemble.families, batch, kind):
        scores.append(surprise.of_members(score).mean(0))
        columns.append(surprise.of_columns(column))
    total, column_score = np.concatenate(scores)[: len(batch)], np.concatenate(columns)[: len(batch)]
    latent = total - column_score.sum(1)
    return ScoredBatch(batch.row, column_score.sum(1) + latent, column_score, latent)  # exactly the sum of its parts


def member_scores(families: tuple[Family, ...], batch: FeatureBatch, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The members' scores of each row (n, w) in nats, float64, and their column parts (e, n, c).

    While the codes know which training rows they are, `batch.row` must number rows likewise: a row's own code
    is left out.
    """
    parts = list(_tiles(families, batch, kind))
    scores = np.concatenate([score for score, _ in parts], axis=1)[:, : len(batch)]
    return scores.T, np.concatenate([column for _, column in parts], axis=1)[:, : len(batch)]


def _tiles(families: tuple[Family, ...], batch: FeatureBatch, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores (w, TILE_ROWS) and column parts (e, TILE_ROWS, c) of each tile in order, float64."""
    starts = range(0, max(len(batch), 1), TILE_ROWS)  # no rows make one empty tile, so that the shapes are right
    compute = partial(_tile, families, batch, kind)
    n_threads = min(len(starts), n_cores())
    with threadpool_limits(1, "blas"):
        if n_threads < 2 or not isinstance(families[0].noise, np.ndarray):
            yield from map(compute, starts)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            yield from pool.map(compute, starts)


def _tile(families: tuple[Family, ...], batch: FeatureBatch, kind: str, start: int) -> tuple[np.ndarray, np.ndarray]:
    features = _padded(batch.values[start : start + TILE_ROWS])
    state = _padded(batch.state[start : start + TILE_ROWS])
    row = batch.row[start : start + TILE_ROWS]
    row = np.concatenate([row, np.full(TILE_ROWS - row.size, -1)])
    is_plain = not families[0].likelihood.gappy.size and not state.any()
    scores, columns = [], []
    for family in families:
        column, latents = _parts(family, features, None if is_plain else state, row, kind)
        columns.append(_numpy(column).astype(np.float64))
        nats = columns[-1].sum(-1)
        scores += [nats + _numpy(latent) for latent in latents]
    return np.concatenate(scores), np.concatenate(columns)


def _parts(family: Family, features: Any, state: Any, row: Any, kind: str) -> tuple[Array, list[Array]]:
    """Column parts (e, n, c), and for each score of a member what is added to their sum (e, n)."""
    if not isinstance(family.noise, np.ndarray):
        import torch

        features = torch.as_tensor(features, device=family.noise.device)
        state = None if state is None else torch.as_tensor(state, device=family.noise.device)
    at_mean = kind in ("combined", "latent")
    noise = 0 * family.noise[:1] if at_mean else family.noise
    passed = forward(family.parameters, family.likelihood, features, state, noise)
    bound = elbo(passed)
    match kind:
        case "combined":
            code = nearest_code(passed.mean, family.codes, row)
            added = {"nothing": 0 * code, "code": code, "code and KL": code + bound.kl}
            return -bound.column_log_prob, [added[name] for name in family.latents]
        case "latent":
            return 0 * bound.column_log_prob, [nearest_code(passed.mean, family.codes, row)]
        case "reconstruction":
            return -bound.column_log_prob, [0 * bound.kl]
        case "elbo":
            return -bound.column_log_prob, [bound.kl]
        case _:
            raise ValueError(f"unknown score kind {kind!r}")


def _padded(array: np.ndarray) -> np.ndarray:
    if array.shape[0] == TILE_ROWS:
        return array
    tile = np.zeros((TILE_ROWS, array.shape[1]), array.dtype)
    tile[: array.shape[0]] = array
    return tile


def _numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
