"""Scores without what no row moves: the log-variances of a homoscedastic family are biases of its decoder.

A decoder whose log-variances are the same for every row need not multiply for them, and the Gaussian need not take
their exponentials and logarithms row by row.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaecli.model.likelihoods.gaussian import Gaussian
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters
from vaecli.model.ppca_init import VARIANCE_WEIGHTS, variance_outputs


def without_fixed_variances(likelihood: Likelihood, parameters: Parameters) -> tuple[Likelihood, Parameters]:
    """The likelihood and parameters by which `column_log_prob` of decoded codes is the same, up to rounding.

    Where no row moves a log-variance, and parameters are NumPy arrays, the decoder's outputs are those for means alone;
    otherwise they are returned as they are. Other functions of the likelihood need all outputs.
    """
    of_variances, m = variance_outputs(likelihood), likelihood.n_gaussian
    bias = parameters["decoder.out.b"]
    if not m or not isinstance(bias, np.ndarray):
        return likelihood, parameters
    if any(parameters[name][..., of_variances].any() for name in VARIANCE_WEIGHTS):
        return likelihood, parameters
    others = np.delete(np.arange(likelihood.n_parameters), of_variances)
    fewer = {name: np.ascontiguousarray(parameters[name][..., others]) for name in (*VARIANCE_WEIGHTS, "decoder.out.b")}
    first = likelihood.blocks[0]
    of_means = Gaussian(m, likelihood.min_log_variance, bias[..., of_variances])
    blocks = [replace(first, distribution=of_means, outputs=slice(0, m))]
    for block in likelihood.blocks[1:]:
        blocks.append(replace(block, outputs=slice(block.outputs.start - m, block.outputs.stop - m)))
    return replace(likelihood, blocks=tuple(blocks)), parameters | fewer
