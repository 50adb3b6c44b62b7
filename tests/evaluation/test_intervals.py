"""Intervals: SciPy's quantiles, and coverage where the truth is known, from three anomalies on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import beta, norm, t

from tests.conftest import of_a_hundred
from vaecli.evaluation.intervals import (
    auroc_interval,
    beta_quantile,
    beta_share,
    clopper_pearson,
    difference_interval,
    t_quantile,
)
from vaecli.evaluation.metrics import Labelled, evaluate


@of_a_hundred(100)
@given(st.sampled_from([0.025, 0.05, 0.5, 0.975]), st.floats(0.01, 1e6), st.floats(0.5, 1e6))
def test_quantiles_are_those_of_scipy(share: float, a: float, b: float):
    """The beta distribution and its quantiles agree with SciPy, from a hundredth of a count to a million."""
    x = beta_quantile(share, a, b)
    assert x == pytest.approx(beta.ppf(share, a, b), abs=1e-10)
    if 0 < x < 1:
        assert beta_share(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-7)


@pytest.mark.parametrize("degrees", [1, 2, 4, 19, 100_000])
def test_student_is_that_of_scipy(degrees: int):
    """The t quantile agrees with SciPy, far out too."""
    assert t_quantile(degrees) == pytest.approx(t.ppf(0.975, degrees), rel=1e-7)
    for tail in (0.2, 1e-3, 1e-6):
        assert t_quantile(degrees, tail) == pytest.approx(t.isf(tail, degrees), rel=1e-6)


def test_nothing_seen_is_not_nothing_there():
    """0 of 3 reaches up to 0.71, 3 of 3 down to 0.29; of no rows there is no share."""
    assert clopper_pearson(0, 3) == pytest.approx((0, 1 - 0.025 ** (1 / 3)))
    assert clopper_pearson(3, 3) == pytest.approx((0.025 ** (1 / 3), 1))
    assert all(math.isnan(end) for end in clopper_pearson(0, 0))


def test_a_perfect_ranking_has_an_interval():
    """AUROC 1 of five anomalies reaches down to Newcombe's limit, that of more anomalies less far; 0 is its mirror."""
    few, many = auroc_interval(1.0, 0.0, 5, 200), auroc_interval(1.0, 0.0, 50, 200)
    assert few[0] < many[0] < 1 == few[1] == many[1]
    low = few[0]
    alike = 1 + 101.5 * ((1 - low) / (2 - low) + low / (1 + low))
    assert (1 - low) ** 2 == pytest.approx(norm.ppf(0.975) ** 2 * low * (1 - low) * alike / 1000)
    assert auroc_interval(0.0, 0.0, 5, 200) == pytest.approx((0, 1 - low))


def test_one_anomaly_knows_next_to_nothing():
    """DeLong's variance needs two rows of a class; with one the interval is as wide as any distribution calls for."""
    low, high = auroc_interval(0.9, math.nan, 1, 200)
    assert low == pytest.approx(clopper_pearson(0.9, 1)[0])
    assert low < 0.05
    assert high > 0.99


def test_differences_are_squared_and_added():
    """Without correlation the distances to the ends are added as squares; with it they come out shorter."""
    one, other = (0.8, 0.7, 0.85), (0.6, 0.4, 0.75)
    assert difference_interval(one, other, 0.0) == pytest.approx(
        (0.2 - math.hypot(0.1, 0.15), 0.2 + math.hypot(0.05, 0.2))
    )
    low, high = difference_interval(one, other, 0.8)
    assert (0.2 - low, high - 0.2) < (math.hypot(0.1, 0.15), math.hypot(0.05, 0.2))


@pytest.mark.parametrize("auroc", [0.7, 0.9, 0.99])
@pytest.mark.parametrize("n_anomalies", [3, 20])
def test_intervals_cover_the_truth(n_anomalies: int, auroc: float):
    """At least 93 of 100 intervals hold the true figure, with three anomalies too."""
    shift = norm.ppf(auroc) * math.sqrt(2)
    cut, n_normals, n_tables = 2.0, 200, 300
    recall, alarms = norm.sf(cut - shift), norm.sf(cut)
    true, false = n_anomalies * recall, n_normals * alarms
    truth = {
        "auroc": auroc,
        "recall": recall,
        "false_alarm_rate": alarms,
        "precision": true / (true + false),
        "f1": 2 * true / (n_anomalies + true + false),
    }
    held = {metric: [] for metric in truth}
    rng = np.random.default_rng(n_anomalies)
    is_anomaly = np.arange(n_anomalies + n_normals) < n_anomalies
    for _ in range(n_tables):
        score = rng.normal(size=is_anomaly.size) + shift * is_anomaly
        figures = evaluate(Labelled(is_anomaly, score > cut, {"one": score})).figures["one"]
        for metric, value in truth.items():
            if not math.isnan(figures[metric].value):
                held[metric].append(figures[metric].low <= value <= figures[metric].high)
    assert {metric: np.mean(of) for metric, of in held.items() if np.mean(of) < 0.93} == {}
