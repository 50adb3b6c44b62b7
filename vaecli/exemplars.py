"""Which training rows become the exemplar prior of each ensemble member."""

from __future__ import annotations

import numpy as np

from vaecli.features import Rows
from vaecli.likelihoods import Likelihood
from vaecli.network import Exemplars, Parameters, encoder_inputs, posterior


def choose_exemplars(
    likelihood: Likelihood, parameters: Parameters, rows: Rows, n_exemplars: int, seed: int
) -> Exemplars:
    """The posteriors of rows that each member was trained on, drawn uniformly, with their numbers in `rows`.

    N is `n_exemplars`, or what the smallest member has. No row of fold k is an exemplar of member k.
    """
    rng = np.random.default_rng([seed, 0xE8E3])
    n_members = next(iter(parameters.values())).shape[0]
    n_exemplars = min(n_exemplars, int((rows.fold.size - np.bincount(rows.fold, minlength=n_members)).min()))
    means, log_variances, numbers = [], [], []
    for k in range(n_members):
        number = np.sort(rng.choice(np.flatnonzero(rows.fold != k), n_exemplars, replace=False))
        chosen = rows.take(number)
        member = {name: value[k : k + 1] for name, value in parameters.items()}
        mean, log_variance = posterior(member, encoder_inputs(chosen.values, chosen.state, likelihood.gappy))
        means.append(mean[0])
        log_variances.append(log_variance[0])
        numbers.append(number)
    return Exemplars.of(np.stack(means), np.stack(log_variances), np.stack(numbers))
