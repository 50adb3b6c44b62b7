"""Which training rows become the exemplar prior of each ensemble member."""

from __future__ import annotations

import numpy as np

from vaecli.data.training_rows import Rows
from vaecli.model.exemplar_prior import Codes
from vaecli.model.likelihoods import Likelihood
from vaecli.model.network import Parameters, encode


def choose_exemplars(
    likelihood: Likelihood, parameters: Parameters, held_out: tuple[int, ...], rows: Rows, n_exemplars: int, seed: int
) -> Codes:
    """The codes of rows that each member was trained on, drawn uniformly, with their numbers in `rows`.

    N is `n_exemplars`, or what the smallest member has. No row of fold `held_out[k]` is an exemplar of member k.
    """
    rng = np.random.default_rng([seed, 0xE8E3])
    n_exemplars = min(n_exemplars, *(int((rows.fold != fold).sum()) for fold in held_out))
    means, log_variances, numbers = [], [], []
    for k, fold in enumerate(held_out):
        number = np.sort(rng.choice(np.flatnonzero(rows.fold != fold), n_exemplars, replace=False))
        chosen = rows.take(number)
        member = {name: value[k : k + 1] for name, value in parameters.items()}
        mean, log_variance = encode(member, likelihood, chosen.values, chosen.state)
        means.append(mean[0])
        log_variances.append(log_variance[0])
        numbers.append(number)
    return Codes.of(np.stack(means), np.stack(log_variances), np.stack(numbers))
