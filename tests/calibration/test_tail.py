"""Beyond the largest calibration score a generalised Pareto law continues the p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.tail import Tail, fit_pareto


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.5])
def test_a_pareto_tail_is_recovered(shape: float) -> None:
    """From 2,000 draws of scipy's generalised Pareto, shape and scale come back on average."""
    draws = np.sort(stats.genpareto(shape, scale=3.0).rvs((200, 2000), random_state=np.random.default_rng(1)), axis=1)
    fits = np.array([fit_pareto(row) for row in draws])
    assert fits[:, 0].mean() == pytest.approx(shape, abs=0.03)
    assert fits[:, 1].mean() == pytest.approx(3.0, rel=0.03)


def test_no_tail_declares_a_score_impossible() -> None:
    """Scores that end abruptly, as uniform ones do, still get a tail without an end."""
    calibration = Calibration.of(np.random.default_rng(0).uniform(size=2000))
    assert calibration.tail is not None
    assert math.isfinite(calibration.threshold(1 - 1e-12))


def test_the_survival_is_that_of_scipy() -> None:
    """Beyond the largest score the model is the generalised Pareto law, to the precision of its steps."""
    excess = np.array([0.0, 1e-3, 0.5, 3.0, 40.0])
    for shape in (0.0, 0.1, 0.9):
        found = Tail("pareto", 2.0, shape, 50).survival(excess)
        np.testing.assert_allclose(found, stats.genpareto(shape, scale=2.0).sf(excess), rtol=2e-6)


def test_few_rows_make_a_wide_exponential_tail() -> None:
    """Below 25 rows no shape is fitted: the tail is marked, and wider than the scores suggest."""
    rng = np.random.default_rng(0)
    few, enough = Calibration.of(rng.exponential(size=20)), Calibration.of(rng.exponential(size=25))
    assert few.tail is not None
    assert few.tail.kind == "exponential"
    assert few.tail.scale > 1.5
    assert enough.tail is not None
    assert enough.tail.kind == "pareto"
