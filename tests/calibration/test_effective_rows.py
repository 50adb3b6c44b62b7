"""What rows that resemble each other are worth, and what a calibration then promises: laws on simulated scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.signal import lfilter
from scipy.stats import chi2, norm

from vaecli.calibration.conformal import Calibration, alpha_of
from vaecli.calibration.cross_fitting import cross_fitted_scores, held_out_scores
from vaecli.calibration.effective_rows import Dependence, EffectiveRows, along_time, in_groups

SEEDS = range(12)


def series(n: int, persistence: float, seed: int) -> np.ndarray:
    """(n,) of a stationary first-order autoregressive process with variance 1."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=n) * np.sqrt(1 - persistence**2)
    steps[0] = rng.normal()
    return np.asarray(lfilter([1], [1, -persistence], steps))


def of_series(scores: np.ndarray) -> Calibration:
    return Calibration.of(scores, Dependence(time=np.arange(scores.size)))


@pytest.mark.parametrize(("n", "persistence"), [(2000, 0.0), (2000, 0.9), (20_000, 0.9), (20_000, 0.99)])
def test_a_series_is_worth_its_length_over_its_memory(n: int, persistence: float) -> None:
    """n (1 − φ) / (1 + φ) for the autoregressive process, a third less at most and hardly ever more."""
    true = n * (1 - persistence) / (1 + persistence)
    found = [along_time(series(n, persistence, seed)) for seed in SEEDS]
    assert 0.6 * true <= np.median(found) <= 1.05 * true
    assert max(found) <= 1.4 * true


def test_a_series_shorter_than_its_memory_promises_nothing() -> None:
    """Two thousand steps of memory 1,000 are worth about one row, and are never taken for twenty."""
    for seed in SEEDS:
        calibration = of_series(series(2000, 0.999, seed) ** 2)
        assert calibration.n_independent < 20
        assert calibration.finest_level == 0
        assert not calibration.resolves(0.5)


def test_rows_are_put_in_the_order_of_time() -> None:
    """A shuffled table with its clock is worth what it is in order."""
    scores = series(3000, 0.9, 0) ** 2
    order = np.random.default_rng(1).permutation(scores.size)
    shuffled = Dependence(time=order.astype(float)).effective_rows(scores[order])
    assert shuffled == Dependence(time=np.arange(3000.0)).effective_rows(scores)
    assert shuffled.n < Dependence(time=np.arange(3000.0)).effective_rows(scores[order]).n / 3


def test_the_slowest_column_limits_a_series() -> None:
    """Scores that forget at once are not believed where a column has hardly moved."""
    rng = np.random.default_rng(0)
    scores, time = rng.normal(size=2000), np.arange(2000.0)
    fast = rng.normal(size=(2000, 3)).astype(np.float32)
    slow = np.column_stack([fast, np.linspace(0, 1, 2000, dtype=np.float32)])
    assert Dependence(time).limited_by(fast).effective_rows(scores).n > 1500
    assert Dependence(time).limited_by(slow).effective_rows(scores).finest_level == 0
    group = np.arange(2000)
    assert Dependence(time, group).limited_by(slow).effective_rows(scores).n == 2000


@pytest.mark.parametrize("n_groups", [5, 10, 40])
def test_groups_that_differ_in_all_are_worth_one_row_each(n_groups: int) -> None:
    """Where each group has a score of its own, there are as many rows as groups."""
    group = np.repeat(np.arange(n_groups), 50)
    values = group + 1e-6 * np.random.default_rng(0).normal(size=group.size)
    assert in_groups(values, group) == pytest.approx(n_groups, rel=1e-3)
    assert in_groups(group.astype(float), group) == pytest.approx(n_groups)


@pytest.mark.parametrize("n_groups", [5, 40, 1000])
def test_groups_that_do_not_differ_cost_a_margin(n_groups: int) -> None:
    """Five groups that look alike may still differ by something unseen; a thousand hardly."""
    group = np.repeat(np.arange(n_groups), 20)
    worth = np.median([in_groups(np.random.default_rng(s).normal(size=group.size), group) for s in SEEDS]) / group.size
    assert {5: 0.1, 40: 0.5, 1000: 0.85}[n_groups] < worth <= 1


def test_one_large_group_is_worth_little() -> None:
    """n² over the sum of squared sizes: a group of nine tenths of the rows leaves about one."""
    group = np.concatenate([np.zeros(900, int), np.repeat(np.arange(1, 11), 10)])
    assert in_groups(group.astype(float), group) == pytest.approx(1000**2 / (900**2 + 10 * 10**2))


@pytest.mark.parametrize(("values", "worth"), [(np.arange(6.0), 6), (np.ones(6), 6)])
def test_a_group_for_each_row_is_no_group(values: np.ndarray, worth: int) -> None:
    """Groups of one row say nothing of how rows of a group resemble each other."""
    assert in_groups(values, np.arange(6)) == worth
    assert in_groups(values, np.zeros(6, int)) == 1


@pytest.mark.parametrize(("n", "persistence"), [(2000, 0.9), (5000, 0.9), (20_000, 0.9), (20_000, 0.99)])
def test_promised_levels_hold_for_a_series(n: int, persistence: float) -> None:
    """The rate in the long run, on average over series, is the level within a factor of two, and never above by more.

    The square of a normal number is a score; its true tail is known.
    """
    calibrations = [of_series(series(n, persistence, seed) ** 2) for seed in range(20)]
    for level in (0.9, 0.95, 0.99):
        rates = [chi2.sf(c.threshold(level), 1) for c in calibrations if c.resolves(level)]
        if rates:
            assert 0.5 <= np.mean(rates) / (1 - level) <= 1.5
    assert calibrations[0].resolves(0.9)


@pytest.mark.parametrize("n_groups", [5, 10, 40, 300])
def test_promised_levels_hold_for_new_groups(n_groups: int) -> None:
    """Rows of groups with effects as large as their noise: never twice the level, on average over sets of groups."""
    group = np.repeat(np.arange(n_groups), 50)
    rates: dict[float, list[float]] = {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        calibration = Calibration.of(
            rng.normal(size=n_groups)[group] + rng.normal(size=group.size), Dependence(group=group)
        )
        assert calibration.finest_level <= 1 - 1 / (n_groups * 10)
        for level in (0.5, 0.8, 0.9, 0.95, 0.99):
            if calibration.resolves(level):
                rates.setdefault(level, []).append(norm.sf(calibration.threshold(level) / np.sqrt(2)))
    often = {level: found for level, found in rates.items() if len(found) >= 20}
    assert 0.5 in often
    for level, found in often.items():
        assert 0.3 <= np.mean(found) / (1 - level) <= 1.5, level


@given(
    seed=st.integers(0, 10_000),
    persistence=st.sampled_from([0.0, 0.5, 0.95]),
    level=st.floats(0.01, 0.9999),
    n=st.integers(2, 300),
)
def test_p_values_and_thresholds_agree(seed: int, persistence: float, level: float, n: int) -> None:
    """A score is flagged from the threshold on just when its p-value is at most 1 − level; p-values never rise."""
    scores = series(n, persistence, seed)
    calibration = of_series(scores)
    asked = np.sort(np.concatenate([scores, scores + 1e-9, np.linspace(-5, 50, 200)]))
    p_value = calibration.p_value(asked)
    assert ((p_value > 0) & (p_value <= 1)).all()
    assert (np.diff(p_value) <= 0).all()
    np.testing.assert_array_equal(asked >= calibration.threshold(level), p_value <= alpha_of(level))


def test_dependent_rows_claim_less() -> None:
    """Within the scores that were seen, no p-value is below that of independent rows."""
    scores = series(2000, 0.95, 0) ** 2
    inside = np.linspace(0, scores.max(), 500)
    assert (of_series(scores).p_value(inside) >= Calibration.of(scores).p_value(inside)).all()
    assert of_series(scores).p_value(scores.max()) > 10 * Calibration.of(scores).p_value(scores.max())


def test_missing_scores_are_left_out() -> None:
    """A row without a score is worth nothing; the others are what they were."""
    scores, time = series(500, 0.5, 0), np.arange(500.0)
    with_gaps = np.insert(scores, [0, 250], np.nan)
    expected = Dependence(time).effective_rows(scores)
    assert Dependence(np.insert(time, [0, 250], [-1, 249.5])).effective_rows(with_gaps) == expected


def test_what_is_stored_comes_back() -> None:
    """A bundle holds the number of rows; rows taken as independent store nothing."""
    scores = series(2000, 0.9, 0)
    for dependence in (Dependence(np.arange(2000.0)), Dependence(group=np.arange(2000) % 7), None):
        calibration = Calibration.of(scores, dependence)
        arrays = calibration.to_arrays("x")
        assert ("x.effective" in arrays) == (dependence is not None)
        assert Calibration.from_arrays(arrays, "x").effective == calibration.effective


@pytest.mark.parametrize(
    "numbers", [np.array([0, 0]), np.array([11, 0]), np.array([5, -1]), np.array([5]), np.array([5.0, 0.0])]
)
def test_a_number_that_no_fit_gives_is_refused(numbers: np.ndarray) -> None:
    """More rows than there are, none at all, or another shape or type."""
    with pytest.raises(ValueError, match="effective number"):
        EffectiveRows.from_array(numbers, 10)


def test_members_that_agree_about_unseen_groups_need_their_held_out_scores() -> None:
    """All members find a new group unusual, and learned ones usual: the model of cross-fitting misses that."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 200)
    unusual, noise = rng.gamma(0.5, 4, size=10)[group], rng.normal(size=(2000, 5))
    held_out = (group % 5)[:, None] == np.arange(5)
    scores = np.where(held_out, unusual[:, None], 0) + noise
    new = rng.gamma(0.5, 4, size=20_000) + rng.normal(size=(20_000, 5)).mean(1)
    of_mean, of_held_out = (of(scores, held_out) for of in (cross_fitted_scores, held_out_scores))
    np.testing.assert_array_equal(of_held_out, scores[held_out])
    assert np.mean(new > np.quantile(of_mean, 0.95)) > 0.1
    assert np.mean(new > np.quantile(of_held_out, 0.95)) < 0.1
