"""How far a row's code is from those of training rows: the exemplar prior of each member.

    ½ min_i (μ − μ_i)ᵀ Λ̄ (μ − μ_i)          over N training rows i, Λ̄ the mean posterior precision, in nats

Up to a constant −log p(μ) under the nearest component of (1/N) Σ_i N(μ_i, Λ̄⁻¹): the aggregated posterior (Tomczak
& Welling 2018) of N exemplars (Norouzi et al. 2020) with a shared covariance.

Which code is nearest is read off a matrix product, ½|z − c|² − ½|z|² = ½|c|² − z·c. The distance is not: the product
cancels most digits of codes far from the centre. So the distance to the nearest code is computed by difference.

Where training rows are many, the centres of clusters of their codes stand for all of them when rows are scored.

Pure functions of arrays, NumPy or torch (see `array_namespace`).
Shapes: n rows, k latent dimensions, N codes, e members.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from vaecli.model.array_namespace import Array, empty_like, like, namespace
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters, encode

if TYPE_CHECKING:
    from vaecli.data.training_rows import Rows

# Rows and codes compared at once, in one buffer: fresh memory for the distances costs more than the product. With
# fewer rows workers wait more often for the interpreter's lock; on a GPU all rows of a tile are compared at once.
BLOCK_ROWS = 1024
BLOCK_CODES = 3072


@dataclass(frozen=True, slots=True)
class ExemplarPrior:
    """Codes of N training rows per member, in units in which the members' codes are uncertain by about 1.

    A code z becomes (z − center)·scale, where scale² is the mean precision of q(z|x) over training rows.
    """

    center: Array  # (e, 1, k)
    scale: Array  # (e, 1, k)
    codes: Array  # (e, N, k)
    augmented_codes: Array  # (e, k + 1, N) minus the codes, and below them half their squared norms
    # only while training rows are scored: (e, 1, N) the numbers of these rows, or priors that do without some of them
    row: Array | None = None
    left_out: LeftOut | None = None

    @classmethod
    def of(cls, mean: np.ndarray, log_variance: np.ndarray, row: np.ndarray | None = None) -> ExemplarPrior:
        """The prior by means and log-variances (e, N, k) of q(z|x_i), and the numbers (e, N) of the rows i."""
        center = mean.mean(1, keepdims=True)
        scale = np.sqrt(np.exp(-log_variance.astype(np.float64)).mean(1, keepdims=True)).astype(np.float32)
        weight = np.ascontiguousarray(((mean - center) * scale).transpose(0, 2, 1), np.float32)
        offset = 0.5 * (weight**2).sum(1, keepdims=True)
        return cls.stored(center, scale, weight, offset, None if row is None else row[:, None, :])

    @classmethod
    def stored(
        cls,
        center: np.ndarray,
        scale: np.ndarray,
        weight: np.ndarray,
        offset: np.ndarray,
        row: np.ndarray | None = None,
    ) -> ExemplarPrior:
        """The prior by codes (e, k, N) in their units, half their squared norms (e, 1, N), and units (e, 1, k)."""
        codes = np.ascontiguousarray(weight.transpose(0, 2, 1))
        return cls(center, scale, codes, np.concatenate([-weight, offset], axis=1), row)

    def with_codes(self, codes: np.ndarray) -> ExemplarPrior:
        """The prior of other codes (e, N, k) in the same units."""
        weight = np.ascontiguousarray(codes.transpose(0, 2, 1), np.float32)
        return self.stored(self.center, self.scale, weight, 0.5 * (weight**2).sum(1, keepdims=True))

    def leaving_out(self, left_out: LeftOut | None) -> ExemplarPrior:
        """The same prior, by which training rows are scored as `left_out` has it."""
        return replace(self, left_out=left_out)

    def of_member(self, k: int) -> ExemplarPrior:
        """The prior of member `k` alone, (1, …)."""
        one = slice(k, k + 1)
        return ExemplarPrior(self.center[one], self.scale[one], self.codes[one], self.augmented_codes[one])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `stored` is the inverse."""
        weight, offset = -self.augmented_codes[:, :-1], self.augmented_codes[:, -1:]
        return {"center": self.center, "scale": self.scale, "weight": weight, "offset": offset}

    def on(self, device: str) -> ExemplarPrior:
        """The same prior as torch tensors on a torch device, without row numbers."""
        import torch

        def moved(array: Array) -> Array:
            return torch.as_tensor(array, device=device)

        return ExemplarPrior(moved(self.center), moved(self.scale), moved(self.codes), moved(self.augmented_codes))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Priors that have not seen some of the training rows: a row of part q is compared with the prior without q.

    `part` (e, m) has the part of each of m training rows; −1 of one that the member's prior has never seen.
    """

    part: np.ndarray
    priors: tuple[ExemplarPrior, ...]


def nearest_exemplar_distance(mean: Array, prior: ExemplarPrior, row: Array | None = None) -> Array:
    """½ min_i (μ − μ_i)ᵀ Λ̄ (μ − μ_i) in nats, (e, n), for posterior means `mean` (e, n, k).

    With `row` (n,), the numbers of training rows, a row's own exemplar is left out: its distance would be 0.
    """
    if row is not None and prior.left_out is not None:
        return _without_own_part(mean, prior, prior.left_out, row)
    xp = namespace(mean)
    with_one = empty_like(mean, (*mean.shape[:2], mean.shape[2] + 1))
    with_one[..., :-1] = (mean - prior.center) * prior.scale
    with_one[..., -1] = 1
    z = with_one[..., :-1]
    n_members, n_rows = z.shape[0], z.shape[1]
    n_codes = prior.codes.shape[1]
    height = BLOCK_ROWS if isinstance(mean, np.ndarray) else n_rows
    width = -(-n_codes // -(-n_codes // BLOCK_CODES))
    buffer, distance = empty_like(z, (min(height, n_rows), width)), []
    for k in range(n_members):  # one member after the other, while its codes are in the processor's cache
        of_blocks = []
        for start in range(0, n_codes, width):
            block, nearest = slice(start, min(start + width, n_codes)), []
            for top in range(0, n_rows, height):
                rows = slice(top, min(top + height, n_rows))
                into = buffer[: rows.stop - top, : block.stop - start]
                difference = xp.matmul(with_one[k, rows], prior.augmented_codes[k, :, block], out=into)
                if row is not None and prior.row is not None:
                    difference = xp.where(prior.row[k, :, block] == row[rows, None], like(_FAR, z), difference)
                nearest.append(difference.argmin(-1))
            apart = z[k] - prior.codes[k, start + xp.concatenate(nearest)]
            of_blocks.append(0.5 * xp.einsum("nk,nk->n", apart, apart))
        distance.append(reduce(xp.minimum, of_blocks))
    return xp.stack(distance)


def _without_own_part(mean: np.ndarray, prior: ExemplarPrior, left_out: LeftOut, row: np.ndarray) -> np.ndarray:
    """`nearest_exemplar_distance` (e, n) of training rows by priors that have not seen them; rows below 0 are none."""
    distance = np.empty(mean.shape[:2], mean.dtype)
    part = np.where(row >= 0, left_out.part[:, row], -1)
    for k in range(len(mean)):
        for q, other in enumerate((prior, *left_out.priors), start=-1):
            rows = np.flatnonzero(part[k] == q)
            if rows.size:
                distance[k, rows] = nearest_exemplar_distance(mean[k : k + 1, rows], other.of_member(k))[0]
    return distance


_FAR = np.full((), 1e30, np.float32)


def choose_exemplars(
    likelihood: Likelihood,
    parameters: Parameters,
    held_out: tuple[int, ...],
    rows: Rows,
    n_exemplars: int,
    seed: int,
    distrusted: np.ndarray | None = None,
) -> ExemplarPrior:
    """The prior of N rows per member that it was trained on, drawn uniformly, with their numbers in `rows`.

    N is `n_exemplars`, or fewer: the smallest number of rows that a member was trained on. No row of fold `held_out[k]`
    is an exemplar of member k, and no `distrusted` one (n,) bool of any. Raises ValueError where none is left.
    """
    may_stand = np.ones(rows.fold.size, bool) if distrusted is None else ~distrusted
    rng = np.random.default_rng([seed, 0xE8E3])
    n_exemplars = min(n_exemplars, *(int((may_stand & (rows.fold != fold)).sum()) for fold in held_out))
    if not n_exemplars:
        raise ValueError("no row is left to be an exemplar")
    means, log_variances, numbers = [], [], []
    for k, fold in enumerate(held_out):
        number = np.sort(rng.choice(np.flatnonzero(may_stand & (rows.fold != fold)), n_exemplars, replace=False))
        chosen = rows.take(number)
        member = {name: value[k : k + 1] for name, value in parameters.items()}
        mean, log_variance = encode(member, likelihood, chosen.values, chosen.state)
        means.append(mean[0])
        log_variances.append(log_variance[0])
        numbers.append(number)
    return ExemplarPrior.of(np.stack(means), np.stack(log_variances), np.stack(numbers))
