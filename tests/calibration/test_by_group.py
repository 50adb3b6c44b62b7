"""Calibrations by group: each row has the p-value that its own group's calibration gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.calibration.by_group import GroupCalibrations
from vaecli.calibration.conformal import N_BULK, N_TOP, Calibration
from vaecli.calibration.effective_rows import Dependence

SCORES = st.lists(st.floats(-5, 50).map(lambda x: round(x, 1)), min_size=1, max_size=30)


@given(st.lists(SCORES, min_size=0, max_size=4), SCORES, st.data())
def test_each_row_by_its_own_group_and_others_by_all(groups: list[list[float]], everyone: list[float], data) -> None:
    """As one by one; unseen groups and rows without one use all rows; so after a round trip through arrays."""
    names = tuple(f"g{i}" for i in range(len(groups)))
    calibrations = tuple(Calibration.of(np.array(scores)) for scores in groups)
    of_all = Calibration.of(np.array(everyone))
    kept = GroupCalibrations("device", names, {"elbo": calibrations})
    read = GroupCalibrations.from_arrays("device", names, ["elbo"], kept.to_arrays())
    group = data.draw(st.lists(st.sampled_from([*names, "unseen", None]), max_size=20))
    score = np.array(data.draw(st.lists(st.floats(-5, 60), min_size=len(group), max_size=len(group))))
    own = [calibrations[names.index(name)] if name in names else of_all for name in group]
    expected = [float(one.p_value(np.array([x]))[0]) for one, x in zip(own, score, strict=True)]
    floors = [1 / (one.n_rows + 1) for one in own]
    for found in (kept, read):
        np.testing.assert_array_equal(found.p_value("elbo", score, group, of_all), expected)
        np.testing.assert_array_equal(found.smallest_p("elbo", group, of_all), floors)


@given(SCORES, SCORES)
def test_a_calibration_extended_is_that_of_all_scores(first: list[float], more: list[float]) -> None:
    """Where nothing is thinned, the calibration by both at once."""
    extended = Calibration.of(np.array(first)).extended(np.array(more))
    both = Calibration.of(np.array(first + more))
    np.testing.assert_array_equal(extended.scores, both.scores)
    np.testing.assert_array_equal(extended.ranks, both.ranks)


def test_a_thinned_calibration_extended_never_lowers_a_p_value() -> None:
    """Against a count of all rows, p-values are too large by at most one in a thousand."""
    rng = np.random.default_rng(0)
    first, more = rng.normal(size=5 * (N_TOP + N_BULK)), rng.normal(size=1000)
    score = np.linspace(-3, 5, 200)
    extended = Calibration.of(first).extended(more).p_value(score)
    every = np.concatenate([first, more])
    score = score[score <= every.max()]
    extended = extended[: score.size]
    exact = (1 + (every[None, :] >= score[:, None]).sum(1)) / (every.size + 1)
    assert (extended >= exact).all()
    np.testing.assert_allclose(extended, exact, atol=1e-3)


def test_dependent_rows_are_not_extended() -> None:
    """What two series are worth together is not known."""
    dependent = Calibration.of(np.arange(50.0), Dependence(np.arange(50.0)))
    with pytest.raises(ValueError, match="is not known"):
        dependent.extended(np.arange(5.0))


def test_groups_scatter_by_the_law_of_order_statistics() -> None:
    """The share of new normal rows flagged at 0.99 after 1,000 rows is Beta(10, 991), whatever the scores are."""
    from scipy.stats import beta, kstest

    rng = np.random.default_rng(5)
    shares = []
    for _ in range(200):
        calibration = Calibration.of(rng.exponential(size=1000) ** 2)
        shares.append(np.exp(-np.sqrt(calibration.threshold(0.99))))  # the survival of such a score
    law = beta(10, 991)
    assert kstest(shares, law.cdf).pvalue > 0.01
    assert law.mean() == pytest.approx(10 / 1001)
    assert law.cdf(0.005) + law.sf(0.015) == pytest.approx(0.1, abs=0.001)  # docs/how-to/decisions.md: one in ten
