"""The two families of members, and what makes up their scores."""

from __future__ import annotations

import numpy as np

from vaecli.data.preprocessor import Preprocessor
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.schema import Layout

# What the scores that make up `combined` add to −log p(x|z=μ); named twice, counted twice. Part of the bundle format.
# The second family is trained with a small β: its KL is not what it learned, and did not help
# (docs/adr/0008-two-families-one-scale.md).
FAMILIES = {
    "heteroscedastic": ("nothing", "code", "code", "code and KL", "code and KL"),
    "homoscedastic": ("code",),
}


def likelihoods_of(
    layout: Layout, preprocessor: Preprocessor, n_missing: np.ndarray, n_rows: int, min_log_variance: float
) -> tuple[Likelihood, Likelihood]:
    """One a family, in the order of FAMILIES: the second takes booleans as numbers.

    A Bernoulli sees which combinations of yes and no are odd, a Gaussian how far apart they are; tables differ in
    which of the two tells more.
    """
    return (
        Likelihood.of(layout, n_missing, n_rows, min_log_variance),
        Likelihood.of(layout, n_missing, n_rows, min_log_variance, preprocessor.boolean_values),
    )
