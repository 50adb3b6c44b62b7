"""What is decided before training does not depend on the machine."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from vaecli.config import FitConfig
from vaecli.data.cells import PRESENT
from vaecli.data.training_rows import Rows, RowsInMemory
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.schema import Column, Kind, Layout
from vaecli.training.fit_ensemble import plans_of


@pytest.mark.parametrize("n_columns", [3, 700])
def test_start_parameters_do_not_depend_on_the_number_of_cores(n_columns: int) -> None:
    """The same bits with one thread of BLAS and with several, for principal components of either kind."""
    n = 1200
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, 2)) @ rng.normal(size=(2, n_columns)) + rng.normal(size=(n, n_columns))
    rows = Rows(values.astype(np.float32), np.full((n, n_columns), PRESENT, np.uint8), np.arange(n) % 4)
    layout = Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(n_columns)])
    likelihood = Likelihood.of(layout, np.zeros(n_columns, np.int64), n, -3.0)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            found.append(plans_of(RowsInMemory(rows), 4, (likelihood, likelihood), FitConfig()))
    for one, other in zip(*found, strict=True):
        assert one.held_out == other.held_out
        for name in one.start:
            np.testing.assert_array_equal(one.start[name], other.start[name], err_msg=name)
