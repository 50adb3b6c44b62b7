"""The two families of members: their likelihoods, and the scores that make up `combined`."""

from __future__ import annotations

from enum import Enum

import numpy as np

from vaecli.data.code_features import Booleans
from vaecli.data.preprocessor import Preprocessor
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.schema import Layout


class ScoreTerm(Enum):
    """What one score of a member adds to −log p(x|z=μ) for the code z = μ, in nats."""

    NOTHING = "nothing"
    EXEMPLAR_DISTANCE = "exemplar distance"  # ½d², see `exemplar_prior`
    EXEMPLAR_DISTANCE_AND_KL = "exemplar distance and KL"


# The scores that make up `combined`, by family; a term listed twice counts twice. Part of the bundle format.
# The second family is trained with a small β: its KL is not what it learned, and did not help
# (docs/adr/0008-two-families-one-scale.md).
FAMILIES = {
    "heteroscedastic": (
        ScoreTerm.NOTHING,
        ScoreTerm.EXEMPLAR_DISTANCE,
        ScoreTerm.EXEMPLAR_DISTANCE,
        ScoreTerm.EXEMPLAR_DISTANCE_AND_KL,
        ScoreTerm.EXEMPLAR_DISTANCE_AND_KL,
    ),
    "homoscedastic": (ScoreTerm.EXEMPLAR_DISTANCE,),
}


def likelihoods_of(
    layout: Layout,
    preprocessor: Preprocessor,
    n_missing: np.ndarray,
    n_rows: int,
    min_log_variance: float,
    *,
    schema_order: bool = True,
) -> tuple[Likelihood, Likelihood]:
    """The likelihood of each family, in the order of FAMILIES: the second models booleans as numbers.

    A Bernoulli sees which combinations of yes and no are unusual, a Gaussian how far apart they are; which of the two
    detects more differs between tables. `n_missing` (c,) counts the missing cells of each column among `n_rows` rows.
    For `schema_order` see `Likelihood.of`.
    """
    booleans = preprocessor.encoder(Booleans).as_numbers
    return (
        Likelihood.of(layout, n_missing, n_rows, min_log_variance),
        Likelihood.of(layout, n_missing, n_rows, min_log_variance, booleans, schema_order=schema_order),
    )
