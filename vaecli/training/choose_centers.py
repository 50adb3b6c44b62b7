"""Chooses what stands for the codes of many training rows when rows are scored: the centres of k-means.

A centre is the mean code of a few neighbouring rows. It shows better where codes of normal rows lie than the code of
one of them does, so fewer are needed (docs/adr/0032-centres-of-codes.md).
"""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.data.training_rows import Rows
from vaecli.model.exemplar_prior import ExemplarPrior, LeftOut
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters, encode
from vaecli.runtime.parallel import map_in_order, n_cores

MOST_ROWS = 10_000  # that the centres of a member are learned from
N_PARTS = 3  # a row that calibrates is compared with centres learned without its part of the rows
N_STEPS = 6  # of Lloyd's algorithm


def choose_centers(
    likelihood: Likelihood,
    parameters: Parameters,
    held_out: tuple[int, ...],
    rows: Rows,
    exemplars: ExemplarPrior,
    n_centers: int,
    seed: int,
    distrusted: np.ndarray | None = None,
) -> ExemplarPrior | None:
    """The centres of the codes of the rows that each member learned from, in the units of its `exemplars`.

    None where a member learned from no more than `n_centers` rows: then the exemplars are all of them. While `rows`
    calibrate, each is compared with centres that were learned without it, by its position in `rows`. Rows that are
    `distrusted` (n,) bool have no part in any.
    """
    may_stand = np.ones(rows.fold.size, bool) if distrusted is None else ~distrusted
    if min(int((may_stand & (rows.fold != fold)).sum()) for fold in held_out) <= n_centers:
        return None
    rng = np.random.default_rng([seed, 0xCE27])
    part_of_row = rng.integers(N_PARTS, size=rows.fold.size)
    part = np.full((len(held_out), rows.fold.size), -1)
    codes = []
    for k, fold in enumerate(held_out):
        number = np.flatnonzero(may_stand & (rows.fold != fold))
        if number.size > MOST_ROWS:
            number = np.sort(rng.choice(number, MOST_ROWS, replace=False))
        part[k, number] = part_of_row[number]
        learned = rows.take(number)
        member = {name: value[k : k + 1] for name, value in parameters.items()}
        mean, _ = encode(member, likelihood, learned.values, learned.state)
        z = (mean[0] - exemplars.center[k]) * exemplars.scale[k]
        codes += [z, *(z[part_of_row[number] != q] for q in range(N_PARTS))]
    from sklearn.exceptions import ConvergenceWarning

    with threadpool_limits(1, "blas"), warnings.catch_warnings():  # both hold in all threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different codes than centres: some coincide
        found = list(map_in_order(lambda z: _centers(z, n_centers, seed), codes, n_cores()))
    of_members = [found[i :: 1 + N_PARTS] for i in range(1 + N_PARTS)]  # of all rows, and without each part
    fewest = [min(map(len, centers)) for centers in of_members]
    whole, *without = (
        exemplars.with_codes(np.stack([one[:n] for one in centers]))
        for n, centers in zip(fewest, of_members, strict=True)
    )
    return whole.leaving_out(LeftOut(part, tuple(without)))


def _centers(z: np.ndarray, n_centers: int, seed: int) -> np.ndarray:
    """The centres (N, k) of the codes z (n, k), or all of them, in a random order, where they are no more."""
    if len(z) <= n_centers:
        return np.asarray(np.random.default_rng([seed, 0xCE28]).permutation(z))
    from sklearn.cluster import KMeans

    # sums of several threads depend on their number; a limit of OpenMP holds only in the thread that sets it
    with threadpool_limits(1, "openmp"):
        found = KMeans(n_centers, init="random", n_init=1, max_iter=N_STEPS, random_state=seed % 2**32).fit(z)
    return np.asarray(found.cluster_centers_, np.float32)
