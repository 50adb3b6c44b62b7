"""The bars of the score histogram: every score is in one, and the threshold is visible between them."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.aggregates.score_bars import N_BARS, ScoreBars
from vaecli.calibration.conformal import Calibration

CALIBRATION = Calibration.of(np.random.default_rng(0).gamma(2.0, 1.0, 500))


def test_every_score_stands_in_one_bar():
    """Scores far beyond in the last one, far below in the first; rows without a score in none."""
    bars = ScoreBars.of(CALIBRATION, CALIBRATION.threshold(0.99))
    found = bars.counts(np.array([-1e9, 0.5, 3.0, 1e9, np.inf, np.nan]))
    assert found.sum() == 5
    assert found[0] >= 1
    assert found[-1] == 2
    assert found.size == N_BARS


def test_bars_are_fine_where_the_threshold_is():
    """More than ten lie between the median calibration row and the threshold, which no bar hides."""
    threshold = CALIBRATION.threshold(0.99)
    bars = ScoreBars.of(CALIBRATION, threshold)
    edges = bars.scores(bars.edges)
    assert (np.diff(edges) > 0).all()
    assert ((edges > bars.middle) & (edges < threshold)).sum() > 10


@pytest.mark.parametrize("min_score", [np.inf, -5.0])
def test_bars_stand_on_any_threshold(min_score: float):
    """Also where no row is flagged, every row is, or all calibration rows score the same."""
    for calibration in (CALIBRATION, Calibration.of(np.full(10, 3.0))):
        assert np.isfinite(ScoreBars.of(calibration, min_score).edges).all()
