"""Log-variances that no row moves are left out of what scores compute, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.model.test_ppca_init import start, table, viewing
from vaecli.model.fixed_variances import without_fixed_variances
from vaecli.model.network import decode


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("as_numbers", [False, True])
def test_cells_are_as_probable_without_them(gaps: float, as_numbers: bool) -> None:
    """The log-probability of every cell is the same, of numbers, categories, switches and gaps, by fewer outputs."""
    rows, likelihood = table(gaps=gaps)
    likelihood = viewing(rows, likelihood) if as_numbers else likelihood
    parameters = start(rows, likelihood, homoscedastic=True)
    z = np.random.default_rng(0).normal(size=(4, len(rows.fold), 2)).astype(np.float32)
    x = likelihood.to_likelihood_space(rows.values, rows.state)
    fewer, lean = without_fixed_variances(likelihood, parameters)
    assert fewer.n_parameters == likelihood.n_parameters - likelihood.n_gaussian == lean["decoder.out.w"].shape[-1]
    found = fewer.column_log_prob(decode(lean, z), x, rows.state)
    expected = likelihood.column_log_prob(decode(parameters, z), x, rows.state)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-5)


def test_variances_that_rows_move_stay() -> None:
    """A family with a variance for every cell keeps all outputs, and so do tensors, which train or run on a device."""
    rows, likelihood = table()
    free, one = start(rows, likelihood), start(rows, likelihood, homoscedastic=True)
    tensors = {name: torch.as_tensor(value) for name, value in one.items()}
    for parameters in (free, tensors):
        assert without_fixed_variances(likelihood, parameters) == (likelihood, parameters)
