"""The benchmark of p-values: what it counts as met, and what it calls chance."""

from __future__ import annotations

import numpy as np
import pytest


def run(n_beyond: float, seed: int = 0, *, kind: str = "gaussian", n: int = 20_000, reached: bool = True) -> dict:
    """A run in which so many of 200,000 fresh rows are within the level 1e-4, and as many as promised within others."""
    levels = (1e-2, 1e-3, 1e-4)
    shares = {f"{level:g}": level for level in levels} | {"0.0001": n_beyond / 200_000, "1e-06": 0.0}
    of_reached = {f"{level:g}": shares[f"{level:g}"] / level for level in levels}
    if not reached:
        of_reached["0.0001"] = None
    shares |= {"1e-09": 0.0, "1e-12": 0.0}
    row = {"kind": kind, "n": n, "seed": seed, "n_fresh": 200_000, "finest_level": 0.9999, "smallest": 1e-5}
    return row | {"shares": shares, "reached": of_reached}


def test_chance_is_that_of_an_exact_calibration(bench):
    """Two sides of what so many fresh rows beyond the second largest of 20,000 scores are, by simulation too."""
    rng = np.random.default_rng(0)
    share = rng.beta(2, 19_999, size=(40_000, 3))
    simulated = rng.binomial(200_000, share).sum(1)
    for count in (9, 30, 60, 120, 170):
        told = bench._chance([run(count / 3, seed) for seed in range(3)], 1e-4)
        few, many = (simulated <= count).mean(), (simulated >= count).mean()
        assert told == pytest.approx(min(1.0, 2 * min(few, many)), rel=0.1, abs=2e-3)


def test_a_quiet_calibration_is_named(bench):
    """A tenth of what is promised is hardly chance in three runs, and may be chance in one."""
    assert "Of 3 promised levels 2 are met" in bench.report([run(2, seed) for seed in range(3)])
    several, one = (bench._chance([run(2, seed) for seed in range(n_runs)], 1e-4) for n_runs in (3, 1))
    assert several < 1e-3 < 0.02 < one
    assert f"gaussian, 20,000 rows, 0.0001: {several:.2g}" in bench.report([run(2, seed) for seed in range(3)])
    assert "expected to be): none." in bench.report([run(20)])


def test_a_level_that_chance_alone_reaches_is_asked_of_all_runs(bench):
    """In a table of few different rows a p-value so small exists where too few rows of a kind were drawn."""
    runs = [run(60, kind="categories"), run(0, 1, kind="categories", reached=False)]
    text, met = bench._cell(runs, 1e-4, 2.5)
    assert (text, met) == ("3.00 (3.00, –)", True)
    assert not bench._cell(runs[:1], 1e-4, 2.5)[1]


@pytest.mark.parametrize("kind", ["gaussian", "correlated", "skewed", "with_gaps"])
def test_the_law_of_a_kind_is_known(bench, kind):
    """By it fresh rows are as rare as they are: the covariance, the logarithms and the gaps are right."""
    found = [bench.by_the_law(kind, 4000, seed) for seed in range(12)]
    # the k-th of n is exceeded by a share of fresh rows that is Beta(k, n + 1 - k)
    for level, k in ((1e-2, 40), (1e-3, 4)):
        mean = np.mean([one[level] for one in found])
        assert abs(mean - 1) < 4 / np.sqrt(k * len(found))


def test_other_kinds_have_no_law_here(bench):
    """And are left out of the comparison."""
    assert bench.by_the_law("categories", 100, 0) is None
    assert bench._beside_the_law([run(20, kind="categories")]).count("\n") == 1
