"""Feature batch → column scores → row score: NumPy on the CPU, the same lines in torch on CUDA.

Every score is higher for odder rows, is a pure function of (ensemble, row), and is taken apart by user
column: score = Σ_j column_score_j + latent_score.

| kind             | score of a row by one member, in nats                                        | latent part |
|------------------|------------------------------------------------------------------------------|-------------|
| `reconstruction` | −E_q[log p(x|z)], the reconstruction probability of An & Cho 2015             | 0           |
| `elbo`           | −ELBO = −E_q[log p(x|z)] + KL(q(z|x) ‖ p(z)), Kingma & Welling 2014           | the KL      |
| `latent`         | ½ d², the distance of the code to the nearest exemplar's, `exemplar_prior`        | all         |
| `combined`       | −log p(x|z=μ) + ½ d², the joint density of row and code under an exemplar     | ½ d²        |
|                  | prior; of the first family also without the ½ d², at half the weight,         | 0           |
|                  | and with the KL beside it                                                     | ½ d² + KL   |

A member's scores become surprises: how improbable such a score is of a normal row, on one scale for all (see
`surprisal`). The score of the ensemble is the mean over its members of the mean over their scores; of `combined`, that
of the oddest cell alone where it says more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.data.preprocessor import FeatureBatch
from vaecli.model import tiles
from vaecli.model.array_namespace import Array
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import nearest_exemplar_distance
from vaecli.model.network import (
    decode,
    elbo,
    encoder_inputs,
    forward_in_likelihood_space,
    kl_to_prior,
    posterior,
    posterior_mean,
)
from vaecli.model.tiles import padded_tile, tile_places
from vaecli.scoring.surprisal import SurprisalScale

DEVICE_TILE_ROWS = 16_384  # on a GPU, which small products leave idle


@dataclass(frozen=True, slots=True)
class Ensemble:
    """All members, and the scale on which their scores are averaged, one a score kind."""

    families: tuple[Family, ...]
    surprisal_scales: Mapping[str, SurprisalScale]

    @property
    def held_out(self) -> np.ndarray:
        """(e,) the fold that each member was not trained on, family after family."""
        return np.concatenate([family.held_out for family in self.families])

    @property
    def n_members(self) -> int:
        """e."""
        return len(self.held_out)

    def on(self, device: str) -> Ensemble:
        """The same ensemble computing on a torch device, in full float32 whatever the environment asks for."""
        import torch

        torch.set_float32_matmul_precision("highest")
        return Ensemble(tuple(family.on(device) for family in self.families), self.surprisal_scales)


def score_owners(families: Sequence[Family], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(member, sort) of each of the w scores of a kind, both (w,): family after family, sort after sort."""
    members: list[np.ndarray] = []
    score_types: list[np.ndarray] = []
    n_members = 0
    for family in families:
        e = len(family.held_out)
        for _ in range(len(family.score_terms) if kind == "combined" else 1):
            members.append(n_members + np.arange(e))
            score_types.append(np.full(e, len(score_types)))
        n_members += e
    return np.concatenate(members), np.concatenate(score_types)


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Scores of n rows; higher is odder. score = column_score.sum(1) + latent_score, in nats."""

    row: np.ndarray  # (n,) int64
    score: np.ndarray  # (n,) float64
    column_score: np.ndarray  # (n, c) float64
    latent_score: np.ndarray  # (n,) float64


def score_batch(ensemble: Ensemble, batch: FeatureBatch, kind: str) -> ScoredBatch:
    """Score every row of the batch by one of the kinds above. Its rows are numbered one after the other."""
    surprisal = ensemble.surprisal_scales[kind]
    total, column_score = np.empty(len(batch)), np.empty((len(batch), batch.state.shape[1]))
    for rows, within, scores, columns in _tiles(ensemble.families, batch, kind):
        score, parts = surprisal.of_rows(scores, columns)
        total[rows], column_score[rows] = score[within], parts[within]
    latent = total - column_score.sum(1)
    return ScoredBatch(batch.row, column_score.sum(1) + latent, column_score, latent)  # exactly the sum of its parts


def member_scores(families: tuple[Family, ...], batch: FeatureBatch, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The members' scores of each row (n, w) in nats, float64, and their column parts (e, n, c).

    While the codes know which training rows they are, `batch.row` must number rows likewise: a row's own code
    is left out.
    """
    member, _ = score_owners(families, kind)
    total = np.empty((len(batch), member.size))
    column_score = np.empty((int(member.max()) + 1, len(batch), batch.state.shape[1]))
    for rows, within, scores, columns in _tiles(families, batch, kind):
        total[rows], column_score[:, rows] = scores.T[within], columns[:, within]
    return total, column_score


def _tiles(
    families: tuple[Family, ...], batch: FeatureBatch, kind: str
) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """For each tile its rows in the batch and where they stand in the tile; scores (w, t), column parts (e, t, c)."""
    on_cpu = isinstance(families[0].noise, np.ndarray)
    size = tiles.TILE_ROWS if on_cpu else min(DEVICE_TILE_ROWS, max(len(batch), 1))
    with threadpool_limits(1, "blas"):
        for rows, within in tile_places(batch.row if on_cpu else np.arange(len(batch)), size):
            yield rows, within, *_tile(families, batch, kind, rows, within, size)


def _tile(
    families: tuple[Family, ...], batch: FeatureBatch, kind: str, rows: slice, within: slice, size: int
) -> tuple[np.ndarray, np.ndarray]:
    features, state = (padded_tile(part[rows], within, size, 0) for part in (batch.values, batch.state))
    row = padded_tile(batch.row[rows], within, size, -1)
    is_plain = not families[0].likelihood.has_missing.size and not state.any()
    scores, columns = [], []
    for family in families:
        column, score_terms = _parts(family, features, None if is_plain else state, row, kind)
        columns.append(_numpy(column).astype(np.float64))
        nats = columns[-1].sum(-1)
        scores += [nats + _numpy(latent) for latent in score_terms]
    return np.concatenate(scores), np.concatenate(columns)


def _parts(family: Family, features: Any, state: Any, row: Any, kind: str) -> tuple[Array, list[Array]]:
    if not isinstance(family.noise, np.ndarray):
        features = _moved(features, family.noise)
        state = None if state is None else _moved(state, family.noise)
    return member_parts(family, family.likelihood.to_likelihood_space(features, state), state, row, kind)


def member_parts(
    family: Family, seen: Array, state: Array | None, row: Array | None, kind: str
) -> tuple[Array, list[Array]]:
    """Column parts (e, n, c), and for each score of a member what is added to their sum (e, n), in nats.

    `seen` are features as the family's likelihood views them: (n, d), or other ones for each member, (e, n, d).
    """
    parameters, likelihood = family.parameters, family.likelihood
    if kind in ("latent", "combined"):
        return _parts_at_the_mean(family, seen, state, row, kind)
    passed = forward_in_likelihood_space(parameters, likelihood, seen, state, family.noise)
    bound = elbo(passed)
    match kind:
        case "reconstruction":
            return -bound.column_log_prob, [0 * bound.kl]
        case "elbo":
            return -bound.column_log_prob, [bound.kl]
        case _:
            raise ValueError(f"unknown score kind {kind!r}")


def _parts_at_the_mean(
    family: Family, seen: Array, state: Array | None, row: Array | None, kind: str
) -> tuple[Array, list[Array]]:
    """`member_parts` of the kinds that look at the code z = μ(x) only."""
    parameters, likelihood = family.parameters, family.likelihood
    inputs = encoder_inputs(seen, state, likelihood.has_missing)
    kl = None
    if kind == "combined" and "code and KL" in family.score_terms:
        mean, log_variance = posterior(parameters, inputs)
        kl = kl_to_prior(mean, log_variance)
    else:
        mean = posterior_mean(parameters, inputs)
    code = nearest_exemplar_distance(mean, family.codes, row)
    if kind == "latent":
        return np.zeros((*mean.shape[:2], likelihood.order.size), np.float32), [code]
    added = {"nothing": 0 * code, "code": code, "code and KL": code if kl is None else code + kl}
    nats = -likelihood.column_log_prob(decode(parameters, mean), seen, state)
    return nats, [added[name] for name in family.score_terms]


def _moved(array: np.ndarray, reference: Array) -> Array:
    """The array beside `reference`; to a GPU through pinned memory, which is copied while others compute."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(reference.device, non_blocking=True) if reference.is_cuda else tensor


def _numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
