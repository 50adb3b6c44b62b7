"""When the share of flags suggests that the process has changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from vaecli.calibration.conformal import Calibration
from vaecli.decisions.threshold import Decision
from vaecli.workflows.drift_warning import nats_of_count, warnings_of

CALIBRATION = Calibration.of(np.arange(2000.0))
AT_99 = Decision("combined", 0.99, 0.01, 1980.0, uses_tail_model=False)


@given(st.integers(1, 400), st.floats(1e-4, 0.5), st.data())
def test_the_bound_is_below_the_binomial_tail(n: int, alpha: float, data: st.DataObject) -> None:
    """Never more nats than SciPy's exact probability of so many flags."""
    k = data.draw(st.integers(0, n))
    assert nats_of_count(k, n, alpha) <= -stats.binom.logsf(k - 1, n, alpha) + 1e-9


@pytest.mark.parametrize(("n_flagged", "n_rows"), [(40, 40), (4, 4), (12, 60), (11, 200)])
def test_flags_beyond_chance_are_a_warning(n_flagged: int, n_rows: int) -> None:
    """Also in a table of 40 rows, all of which are flagged."""
    (warning,) = warnings_of(CALIBRATION, AT_99, n_rows, n_flagged)
    assert f"{n_flagged / n_rows:.1%} of the rows are flagged where 1.00% of normal rows would be" in warning


def test_a_table_whose_rows_are_all_flagged_is_a_warning_from_four_rows_on() -> None:
    """Whatever its number of rows: three flags of three come once in a million tables by chance."""
    has_warning = [bool(warnings_of(CALIBRATION, AT_99, n, n)) for n in range(201)]
    assert has_warning == [False] * 4 + [True] * 197


@pytest.mark.parametrize(("n_flagged", "n_rows"), [(0, 0), (0, 40), (1, 1), (3, 40), (3, 199), (10, 200), (20, 2000)])
def test_chance_is_no_warning(n_flagged: int, n_rows: int) -> None:
    """A few flags in a small table are not evidence."""
    assert warnings_of(CALIBRATION, AT_99, n_rows, n_flagged) == ()


def test_the_bound_is_exact_where_all_are_flagged() -> None:
    """n flags of n: −n log alpha."""
    assert nats_of_count(40, 40, 0.01) == pytest.approx(-40 * math.log(0.01))
