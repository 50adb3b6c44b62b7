"""The procedure of Benjamini and Hochberg against its definition, and the rate that it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.calibration.conformal import Calibration
from vaecli.decisions.false_discoveries import fewest_discoveries, largest_discovery


def by_definition(p_value: list[float], q: float) -> int:
    """How many of the smallest p-values are flagged: the largest k with p_(k) <= q k / n, by trying every k."""
    ascending = sorted(p_value)
    return max((k for k in range(1, len(ascending) + 1) if ascending[k - 1] <= q * k / len(ascending)), default=0)


@given(
    st.lists(st.integers(1, 50).map(lambda i: i / 50), min_size=1, max_size=40), st.sampled_from([0.05, 0.1, 0.2, 0.5])
)
def test_it_flags_what_the_definition_flags(p_value: list[float], q: float) -> None:
    """Ties included: all rows up to the cut-off are flagged, and their number is the k of the definition."""
    cutoff = largest_discovery(np.array(p_value), len(p_value), q)
    n_flagged = 0 if cutoff is None else sum(p <= cutoff for p in p_value)
    assert n_flagged == by_definition(p_value, q)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40), st.floats(0.01, 0.9))
def test_larger_p_values_than_the_rate_need_not_be_kept(p_value: list[float], q: float) -> None:
    """The pass over the table keeps only those up to q."""
    every = np.array(p_value)
    assert largest_discovery(every, every.size, q) == largest_discovery(every[every <= q], every.size, q)


@given(st.integers(1, 300), st.integers(1, 200), st.sampled_from([0.01, 0.05, 0.1]))
def test_so_many_rows_at_the_smallest_p_value_are_needed(n_tests: int, m: int, q: float) -> None:
    """One row fewer at 1/(m + 1) than `fewest_discoveries` flags nothing; so many flag them all."""
    smallest = 1 / (m + 1)
    needed = fewest_discoveries(n_tests, smallest, q)
    for n_at_floor, expected in ((needed - 1, None), (needed, smallest)):
        if n_at_floor <= n_tests:
            p_value = np.r_[np.full(n_at_floor, smallest), np.ones(n_tests - n_at_floor)]
            assert largest_discovery(p_value, n_tests, q) == expected


@pytest.mark.parametrize(("floored", "low", "high"), [(True, 0.0, 0.2), (False, 0.25, 1.0)])
def test_only_floored_p_values_keep_the_rate(*, floored: bool, low: float, high: float) -> None:
    """Of tables of normal rows alone, about q = .1 have a discovery with the floor, and far more by the tail model."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(200):
        calibration = Calibration.of(rng.pareto(0.5, size=199))
        p_value = calibration.p_value(rng.pareto(0.5, size=1000))
        p_value = np.maximum(p_value, 1 / 200) if floored else p_value
        found += largest_discovery(p_value, 1000, 0.1) is not None
    assert low <= found / 200 <= high
