"""Distances have closed forms, and chance stays within its limits."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.data.marginals import Marginal
from vaecli.decisions.drift import Reference, least_by_chance, most_by_chance


@pytest.mark.parametrize("shift", [-0.5, 0.5, 1.0])
def test_the_distance_of_a_shifted_normal_column(shift: float):
    """√12 |Φ(s/√2) − ½| for a normal column shifted by s standard deviations."""
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / 20_000) for i in range(20_000)])
    reference = Reference.of_numbers(Marginal.of(quantiles), 20_000)
    expected = math.sqrt(12) * abs(NormalDist().cdf(shift / math.sqrt(2)) - 0.5)
    assert reference.distance(reference.counts(quantiles + shift)) == pytest.approx(expected, rel=0.02)
    assert reference.distance(reference.counts(quantiles)) < 0.01


def test_few_values_between_and_beyond():
    """Values below, between and above those of a column of two values are all seen."""
    reference = Reference.of_numbers(Marginal.of(np.repeat([0.0, 1.0], [900, 100])), 1000)
    assert reference.distance(reference.counts(np.repeat([0.0, 1.0], [90, 10]))) == pytest.approx(0)
    for moved in (-0.5, 0.5, 2.0):
        assert reference.distance(reference.counts(np.full(100, moved))) > 0.25


def test_total_variation_of_categories():
    """Half the absolute differences of the shares."""
    reference = Reference.of_codes(np.array([70, 30, 0]), 100)
    assert reference.distance(np.array([50, 30, 20])) == pytest.approx(0.2)


@pytest.mark.parametrize("n_rows", [50, 5000])
def test_chance_stays_below_its_limit(n_rows: int):
    """Of 1,000 fresh columns none of 100 tests is beyond chance but about once in 10,000."""
    rng = np.random.default_rng(0)
    beyond = 0
    for i in range(200):
        reference = Reference.of_numbers(Marginal.of(rng.exponential(size=1000).round(1)), 1000)
        limit = reference.by_chance(n_rows, 100, i)
        beyond += int(reference.distance(reference.counts(rng.exponential(size=n_rows).round(1))) > limit)
    assert beyond <= 1


def test_shares_that_were_0():
    """(n / (N + n))^k is the chance that k cells are all in the batch: the limit solves it for 1 %."""
    limit = most_by_chance(1000, 0, 1000, 1)
    assert 1000 * limit == pytest.approx(math.log(100) / math.log(2), abs=0.01)
    assert least_by_chance(1000, 500, 1000, 1) == pytest.approx(1 - most_by_chance(1000, 500, 1000, 1))


def test_words_that_occurred_once_announce_unseen_ones():
    """Fresh rows of a column with many rare words have unseen ones, and are within chance in 200 of 200 tables."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 401)
    share /= share.sum()
    for _ in range(200):
        training, fresh = rng.multinomial(300, share), rng.multinomial(500, share)
        reference = Reference.of_codes(training, 300)
        assert reference.n_once == (training == 1).sum()
        unseen = fresh[training == 0].sum() / 500
        assert 0.05 < unseen < most_by_chance(300, reference.n_once, 500, 100)


@given(st.lists(st.integers(0, 50), min_size=16, max_size=16))
def test_a_shift_is_at_most_the_distance(counts: list[int]):
    """Both ends of the ranks that come seldom are a distance and no shift; lower p-values are a positive one."""
    reference = Reference.of_p_values(1e6)
    values = np.repeat((np.arange(16) + 0.5) / 16, counts)
    if values.size:
        found = reference.counts(values)
        assert abs(reference.shift(found)) <= float(reference.distance(found)) + 1e-9
        assert reference.shift(found) == pytest.approx(np.sqrt(12) * (0.5 - values.mean()), abs=0.02)
    middling = reference.counts(np.linspace(0.2, 0.8, 1000))
    assert abs(reference.shift(middling)) < 0.01 < 0.1 < reference.distance(middling)
