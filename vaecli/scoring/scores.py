"""Feature batch → column scores → row score: NumPy on the CPU, the same lines in torch on CUDA.

Every score is higher for more anomalous rows, is a pure function of (ensemble, row), and is taken apart by user
column: score = Σ_j column_score_j + latent_score.

| kind             | score of a row by one member, in nats                                        | latent part |
|------------------|------------------------------------------------------------------------------|-------------|
| `reconstruction` | −E_q[log p(x|z)], the reconstruction probability of An & Cho 2015             | 0           |
| `elbo`           | −ELBO = −E_q[log p(x|z)] + KL(q(z|x) ‖ p(z)), Kingma & Welling 2014           | the KL      |
| `latent`         | ½ d², the distance of the code to the nearest exemplar's, `exemplar_prior`    | all         |
| `combined`       | −log p(x|z=μ) + ½ d², the joint density of row and code under an exemplar     | ½ d²        |
|                  | prior; of the reference family also without the ½ d², at half the weight,     | 0           |
|                  | and with the KL added to it                                                   | ½ d² + KL   |

A member's scores become surprisals: minus the log of how probable such a score is for a normal row, on one scale for
all (see `surprisal`). The score of the ensemble is the mean over its members of the mean over their scores; of
`combined`, joined in small tables with that of the nearest rows of training (`neighbour_judge`), and that of the most
extreme cell or string alone where it is larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vaecli.data.preprocessor import FeatureBatch
from vaecli.model import tiles
from vaecli.model.array_namespace import Array
from vaecli.model.ensemble import Ensemble, Family
from vaecli.model.exemplar_prior import nearest_exemplar_distance
from vaecli.model.families import ScoreTerm
from vaecli.model.network import (
    decode,
    elbo_by_draws,
    encoder_inputs,
    kl_to_prior,
    posterior,
    posterior_mean,
)
from vaecli.model.tiles import padded_tile, tile_places
from vaecli.runtime.blas import one_blas_thread
from vaecli.scoring.neighbour_judge import Beside, NeighbourJudge
from vaecli.scoring.single_cells import Opinions, SingleCells
from vaecli.scoring.surprisal import SurprisalScale

if TYPE_CHECKING:
    from vaecli.scoring.string_judge import StringJudge, StringOpinions

KINDS_OF_BOUND = ("reconstruction", "elbo")  # the kinds whose scores are terms of one bound
_BOTH_BOUNDS = "both bounds"
DEVICE_TILE_ROWS = 16_384  # on a GPU, which small products leave idle
# As many tiles are computed together as take this: of the widest layer of all members of a family, and of the cells
# that judges and scales look at.
_LAYER_BYTES, _JUDGED_BYTES = 2 * 2**20, 3 * 2**19


@dataclass(frozen=True, slots=True)
class Scorer:
    """One kind of score: the ensemble that computes it, and the scale on which its members' scores are averaged."""

    ensemble: Ensemble
    kind: str
    scale: SurprisalScale
    cells: SingleCells | None = None  # the judges of single cells, where one cell may decide
    neighbours: NeighbourJudge | None = None  # the judge beside the networks of small tables
    strings: StringJudge | None = None  # the judge of strings, where there are any

    def of_rows(
        self, scores: np.ndarray, column_score: np.ndarray, opinions: Opinions | None, beside: Beside | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`SurprisalScale.of_rows` (n,) and (n, c), raised to the judges' opinions; the difference is the column's."""
        score, parts = self.scale.of_rows(scores, column_score, beside)
        if opinions is None:
            return score, parts
        _raise(score, parts, opinions)
        return score, parts


def _raise(score: np.ndarray, parts: np.ndarray, opinions: Opinions | StringOpinions) -> None:
    """Raise scores (n,) to the opinions where these are higher, and the column's part (n, c) by the difference."""
    raised = np.flatnonzero(opinions.score > score)
    parts[raised, opinions.column[raised]] += opinions.score[raised] - score[raised]
    score[raised] = opinions.score[raised]


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Scores of n rows; higher is more anomalous. score = column_score.sum(1) + latent_score, in nats."""

    row: np.ndarray  # (n,) int64
    score: np.ndarray  # (n,) float64
    column_score: np.ndarray  # (n, c) float64
    latent_score: np.ndarray  # (n,) float64


def score_batch(scorer: Scorer, batch: FeatureBatch, *, small_tiles: bool = False) -> ScoredBatch:
    """Score every row of the batch, in nats, higher is more anomalous; `batch.row` (n,) is consecutive.

    With `small_tiles` a few rows on the CPU take a quarter of the time; the caller then limits BLAS to one thread.
    """
    total, column_score = np.empty(len(batch)), np.empty((len(batch), batch.state.shape[1]))
    for rows, within, scores, cell_nats in _tiles(scorer.ensemble, batch, scorer.kind, small_tiles):
        opinions = beside = None
        if scorer.cells is not None or scorer.neighbours is not None:
            tile = [padded_tile(part[rows], within, scores.shape[1], 0) for part in (batch.values, batch.state)]
            opinions = None if scorer.cells is None else _opinions(scorer.cells, *tile)
            beside = None if scorer.neighbours is None else scorer.neighbours.of_rows(*tile)
        score, parts = scorer.of_rows(scores, cell_nats, opinions, beside)
        total[rows], column_score[rows] = score[within], parts[within]
    if scorer.strings is not None and batch.readouts is not None:
        _raise(total, column_score, scorer.strings.opinions(batch.readouts))
    of_columns = column_score.sum(1)
    latent = total - of_columns
    return ScoredBatch(batch.row, of_columns + latent, column_score, latent)  # exactly the sum of its parts


def _opinions(cells: SingleCells, features: np.ndarray, state: np.ndarray) -> Opinions:
    """The judges' opinions on the rows of tiles, some tiles at once."""
    n_rows = tiles.TILE_ROWS * tiles.tiles_at_once(cells.width, _JUDGED_BYTES)
    parts = [cells.opinions(features[rows], state[rows]) for rows in _slices(len(state), n_rows)]
    return parts[0] if len(parts) == 1 else Opinions.concatenate(parts)


def score_index(ensemble: Ensemble, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(member, score_type) of each of the w scores of a kind, both (w,): by family, within it by type, then by member.

    A member gives several scores of kind `combined`, and one of any other; each family has score types of its own.
    """
    member: list[np.ndarray] = []
    score_type: list[np.ndarray] = []
    n_members = 0
    for family in ensemble.families:
        e = len(family.held_out)
        for _ in range(len(family.score_terms) if kind == "combined" else 1):
            member.append(np.arange(n_members, n_members + e))
            score_type.append(np.full(e, len(score_type)))
        n_members += e
    return np.concatenate(member), np.concatenate(score_type)


def member_scores(ensemble: Ensemble, batch: FeatureBatch, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The members' scores of each row (n, w), see `score_index`, and their nats of each cell (e, n, c), float64.

    While an exemplar prior knows training rows, `batch.row` must number them likewise: a row's own code is left out.
    Raises ValueError on an unknown `kind`.
    """
    member, _ = score_index(ensemble, kind)
    total = np.empty((len(batch), member.size))
    cell_nats = np.empty((ensemble.n_members, len(batch), batch.state.shape[1]))
    for rows, within, scores, nats in _tiles(ensemble, batch, kind):
        total[rows], cell_nats[:, rows] = scores.T[within], nats[:, within]
    return total, cell_nats


def bound_scores(ensemble: Ensemble, batch: FeatureBatch) -> tuple[np.ndarray, np.ndarray]:
    """`member_scores` of both KINDS_OF_BOUND, (2, n, e), and their nats (e, n, c), for the work of one."""
    of_kinds = np.empty((len(KINDS_OF_BOUND), len(batch), ensemble.n_members))
    cell_nats = np.empty((ensemble.n_members, len(batch), batch.state.shape[1]))
    for rows, within, scores, nats in _tiles(ensemble, batch, _BOTH_BOUNDS):
        first = 0
        for family in ensemble.families:
            e = len(family.held_out)
            of_family = scores[2 * first : 2 * (first + e), within].reshape(2, e, -1)
            of_kinds[:, rows, first : first + e] = of_family.transpose(0, 2, 1)
            first += e
        cell_nats[:, rows] = nats[:, within]
    return of_kinds, cell_nats


def _tiles(
    ensemble: Ensemble, batch: FeatureBatch, kind: str, small_tiles: bool = False
) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """For each block of tiles: its rows in the batch, their positions in it, scores (w, t), float32 nats (e, t, c)."""
    on_cpu = isinstance(ensemble.reference_family.noise, np.ndarray)
    if small_tiles and on_cpu and len(batch) <= tiles.MOST_IN_SMALL_TILES:
        for rows, within, size in tiles.small_tile_places(batch.row):
            yield rows, within, *_tile(ensemble, batch, kind, rows, within, size)
        return
    with one_blas_thread():
        for rows, within, size in _block_places(ensemble, batch, on_cpu):
            yield rows, within, *_tile(ensemble, batch, kind, rows, within, size)


def _block_places(ensemble: Ensemble, batch: FeatureBatch, on_cpu: bool) -> Iterator[tuple[slice, slice, int]]:
    """As `tiles.block_places`; on a GPU a block is one tile, which begins where the batch does."""
    if on_cpu:
        width = ensemble.n_members * batch.state.shape[1]
        yield from tiles.block_places(batch.row, tiles.tiles_at_once(width, _JUDGED_BYTES))
        return
    size = min(DEVICE_TILE_ROWS, max(len(batch), 1))
    for rows, within in tile_places(np.arange(len(batch)), size):
        yield rows, within, size


def _tile(
    ensemble: Ensemble, batch: FeatureBatch, kind: str, rows: slice, within: slice, size: int
) -> tuple[np.ndarray, np.ndarray]:
    features, state = (padded_tile(part[rows], within, size, 0) for part in (batch.values, batch.state))
    row = padded_tile(batch.row[rows], within, size, -1)
    is_plain = not ensemble.reference_family.likelihood.has_missing.size and not state.any()
    cell_nats, scores, first = np.empty((ensemble.n_members, *state.shape), np.float32), [], 0
    for family in ensemble.families:
        nats_of_family, latent = cell_nats[first : first + len(family.held_out)], []
        for part in _slices(size, _rows_at_once(family, size)):
            nats, terms = _parts(family, features[part], None if is_plain else state[part], row[part], kind)
            nats_of_family[:, part] = _numpy(nats)
            latent.append([_numpy(term) for term in terms])
        total = np.einsum("enc->en", nats_of_family, dtype=np.float64)
        scores += [total + np.concatenate(term, 1) for term in zip(*latent, strict=True)]
        first += len(family.held_out)
    return np.concatenate(scores), cell_nats


def _rows_at_once(family: Family, size: int) -> int:
    """How many of `size` rows the networks of a family compute at once: some tiles, on a GPU a whole one."""
    if size <= tiles.TILE_ROWS or not isinstance(family.noise, np.ndarray):
        return size
    return tiles.TILE_ROWS * tiles.tiles_at_once(family.width, _LAYER_BYTES)


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _parts(family: Family, features: Any, state: Any, row: Any, kind: str) -> tuple[Array, list[Array]]:
    if not isinstance(family.noise, np.ndarray):
        features = _moved(features, family.noise)
        state = None if state is None else _moved(state, family.noise)
    return member_parts(family, family.likelihood.to_likelihood_space(features, state), state, row, kind)


def member_parts(
    family: Family, x: Array, state: Array | None, row: Array | None, kind: str
) -> tuple[Array, list[Array]]:
    """Nats of each cell (e, n, c), and for each score of a member the latent term (e, n) added to their sum.

    `x` holds features in the family's likelihood space: (n, d), or (e, n, d) where members differ; `state` (n, c) is
    None when no cell is missing or novel. Raises ValueError on an unknown `kind`.
    """
    if kind == "combined":
        return _combined_parts(family, x, state, row)
    if kind == "latent":
        mean = posterior_mean(family.parameters, encoder_inputs(x, state, family.likelihood.has_missing))
        distance = nearest_exemplar_distance(mean, family.nearest, row)
        return np.zeros((*mean.shape[:2], family.likelihood.presence.n_missing.size), np.float32), [distance]
    bound = elbo_by_draws(family.parameters, family.likelihood, x, state, family.noise)
    match kind:
        case "reconstruction":
            return -bound.column_log_prob, [0 * bound.kl]
        case "elbo":
            return -bound.column_log_prob, [bound.kl]
        case "both bounds":
            return -bound.column_log_prob, [0 * bound.kl, bound.kl]
        case _:
            raise ValueError(f"unknown score kind {kind!r}")


def _combined_parts(family: Family, x: Array, state: Array | None, row: Array | None) -> tuple[Array, list[Array]]:
    """`member_parts` of `combined`: at the code z = μ(x), one latent term for each of the family's `score_terms`."""
    likelihood, parameters = family.of_scores
    inputs = encoder_inputs(x, state, likelihood.has_missing)
    latent_terms: dict[ScoreTerm, Array] = {}
    if ScoreTerm.EXEMPLAR_DISTANCE_AND_KL in family.score_terms:
        mean, log_variance = posterior(parameters, inputs)
        distance = nearest_exemplar_distance(mean, family.nearest, row)
        latent_terms[ScoreTerm.EXEMPLAR_DISTANCE_AND_KL] = distance + kl_to_prior(mean, log_variance)
    else:
        mean = posterior_mean(parameters, inputs)
        distance = nearest_exemplar_distance(mean, family.nearest, row)
    latent_terms |= {ScoreTerm.NOTHING: 0 * distance, ScoreTerm.EXEMPLAR_DISTANCE: distance}
    nats = likelihood.column_log_prob(decode(parameters, mean), x, state)
    nats *= -1  # in place: no one else has it
    return nats, [latent_terms[term] for term in family.score_terms]


def _moved(array: np.ndarray, reference: Array) -> Array:
    """The array on the device of `reference`; to a GPU through pinned memory, copied while the GPU computes."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(reference.device, non_blocking=True) if reference.is_cuda else tensor


def _numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
