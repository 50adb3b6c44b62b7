"""What a cell is expected to hold given the others of its row: one value, or the probability of each of several.

`impute`: a cell is taken as unknown and set to the mean of its column; then, a few times over, the row is encoded,
decoded at z = μ, and the unknown cells become what the decoder expects (the imputation of Rezende, Mohamed & Wierstra
2014, appendix F, by means instead of draws). Known cells stay. The decoder's variance is not the uncertainty of a cell
so filled: the code was found with the filled cell as if it had been observed.

`conditional`: p(x_j = v | the rest) ∝ p(x with x_j = v), the evidence of the whole row, for which its bound stands in.

NumPy only. Shapes: n rows, d features, c columns, e members, g values.
"""

from __future__ import annotations

import numpy as np

from vaecli.model.ensemble import Family
from vaecli.model.network import decode, elbo, encoder_inputs, forward, posterior_mean

# Measured: of readings swapped between rows of shuttle, four plain rounds name the right column in 94 % of flagged
# rows, eight in 98 and twelve in 99 %; three accelerated ones in 99, five in 100 %.
N_ROUNDS = 5
LONGEST_STRIDE = 10.0  # rounds that one acceleration skips at most, since the line is only a local guide


def impute(
    family: Family,
    x: np.ndarray,
    state: np.ndarray | None,
    unknown: np.ndarray,
    n_rounds: int | None = None,
    *,
    accelerated: bool = False,
) -> np.ndarray:
    """Rows (e, n, d), one estimate per member, with the features marked `unknown` (n, d) of `x` (n, d) imputed.

    Features are in the family's likelihood space; `state` (n, c) marks the unknown cells as present. `n_rounds` is
    N_ROUNDS if not given. `accelerated` is for one unknown cell per row: a round starts where the line through the last
    two rounds predicts no further change (the secant method; Anderson 1965 with a memory of one). The last round is a
    plain one.
    """
    parameters, likelihood = family.parameters, family.likelihood
    start = np.broadcast_to(np.where(unknown, np.float32(0), x), (len(family.held_out), *x.shape))
    imputed = start
    before: tuple[np.ndarray, np.ndarray] | None = None
    for _ in range(n_rounds or N_ROUNDS):
        mean = posterior_mean(parameters, encoder_inputs(start, state, likelihood.has_missing))
        imputed = np.where(unknown, likelihood.mean(decode(parameters, mean)), start)
        step = imputed - start
        start = imputed
        if accelerated and before is not None:
            bend = step - before[1]
            share = (step * bend).sum(-1, keepdims=True) / np.maximum((bend * bend).sum(-1, keepdims=True), _TINY)
            start = imputed - np.clip(share, -LONGEST_STRIDE, 0.5) * (imputed - before[0])
        before = imputed, step
    return imputed


_TINY = np.float32(1e-12)


def conditional(family: Family, features: np.ndarray, state: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The probability of each of g versions of one row, (g,), the mean over members; they add up to 1.

    `features` (g, d) and `state` (g, c) are the row with one cell set to each of its possible values; `weight` (g,) is
    the width of the interval that a value stands for, 1 for a category.
    """
    bound = elbo(forward(family.parameters, family.likelihood, features, state, family.noise)).value.astype(np.float64)
    odds = weight * np.exp(bound - bound.max(1, keepdims=True))
    share: np.ndarray = (odds / odds.sum(1, keepdims=True)).mean(0)
    return share
