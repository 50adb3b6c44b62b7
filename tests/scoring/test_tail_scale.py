"""The surprisal of a score: closed forms, laws, and how few held-out rows are pooled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tests.scoring.scales import exponential, of, seeds
from vaecli.scoring.surprisal import SurprisalScale
from vaecli.scoring.tail_scale import (
    LEVELS,
    MIN_OWN_ROWS,
    SMALLEST_SPREAD,
    TAIL_BEGINS,
    TailScales,
    surprisal_at,
)


def test_exponential_scores_are_their_own_surprisal() -> None:
    """Where P(S >= s) = exp(−s), −log P(S >= s) is s: to a thousandth within the knots, and beyond without an end."""
    surprisal = of(exponential(100_000))
    s = np.concatenate([np.linspace(0, 2, 50), [5.0, 10.0, 100.0, 1e4]])
    np.testing.assert_allclose(surprisal.of_members(s[None])[0], s, rtol=1e-3, atol=1e-3)


@given(seeds, st.floats(1.0, 1e4), st.floats(-1e4, 1e4))
@settings(max_examples=40, deadline=None)
def test_units_and_offsets_of_a_score_do_not_matter(seed: int, unit: float, offset: float) -> None:
    """A member whose nats are many or few, from wherever they count, is as surprised as its plain twin."""
    rng = np.random.default_rng(seed)
    held_out, new = 3 * rng.gamma(2, size=500), 20 * rng.random(30)
    twins = of(held_out, unit * held_out + offset)
    plain, other = twins.of_members(np.stack([new, unit * new + offset]))
    np.testing.assert_allclose(other, plain, rtol=1e-6, atol=1e-6)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_it_is_the_tail_probability_of_held_out_rows(seed: int) -> None:
    """Up to the 80 % quantile, exp(−surprisal) is the share of held-out rows that score at least as much."""
    held_out = np.random.default_rng(seed).normal(size=4000)
    new = np.quantile(held_out, np.linspace(0.01, TAIL_BEGINS, 40))
    share = (held_out >= new[:, None]).mean(1)
    np.testing.assert_allclose(np.exp(-of(held_out).of_members(new[None])[0]), share, atol=0.01)


def test_the_most_normal_scores_have_no_surprisal() -> None:
    """At and below the lowest held-out score the surprisal is 0, its least."""
    surprisal = of(exponential(1000) + 7)
    np.testing.assert_array_equal(surprisal.of_members(np.array([[-1e30, -np.inf, 0.0, 7.0]])), 0.0)


def test_beyond_the_last_knot_a_mean_excess_is_a_nat() -> None:
    """There it is log 5, and one nat more for every mean excess of held-out scores over the 80 % quantile."""
    held_out = np.random.default_rng(0).normal(size=3000) ** 3
    last = np.quantile(held_out, TAIL_BEGINS)
    excess = (held_out[held_out > last] - last).mean()
    found = of(held_out).of_members(last + excess * np.array([[0.0, 1.0, 2.0, 7.5]]))[0]
    np.testing.assert_allclose(found, np.log(5) + np.array([0.0, 1.0, 2.0, 7.5]), rtol=1e-9)


@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=400),
    st.lists(st.floats(allow_nan=False, min_value=-1e30, max_value=1e30), min_size=2, max_size=60),
)
def test_it_never_decreases(held_out: list[float], new: list[float]) -> None:
    """A higher score is at least as surprising, ties and gaps among held-out scores or not, but for rounding."""
    found = of(np.array(held_out)).of_members(np.sort(np.array(new + held_out))[None])[0]
    assert (found >= 0).all()
    assert (np.diff(found) >= -1e-12).all()


def test_it_strictly_increases_beyond_the_last_knot() -> None:
    """However anomalous a row, a more anomalous one scores higher."""
    found = of(exponential(1000)).of_members(np.array([[2.0, 2.1, 50.0, 51.0, 1e6, 1e6 + 1]]))
    assert (np.diff(found[0]) > 0).all()


@pytest.mark.parametrize("held_out", [[3.0], [3.0] * 500])
def test_scores_without_a_spread_have_a_scale(held_out: list[float]) -> None:
    """One row or equal ones: their score, which all normal rows reach, has surprisal 0; nothing is divided by zero."""
    found = of(np.array(held_out)).of_members(np.array([[2.0, 3.0, 3.0 + SMALLEST_SPREAD]]))[0]
    np.testing.assert_allclose(found, [0.0, 0.0, 1.0], atol=1e-9)


def test_tied_scores_are_as_probable_as_all_of_them() -> None:
    """Where many rows share a score, P(S >= s) counts them all, as in a table of a few categories."""
    surprisal = of(np.repeat([1.0, 2.0, 3.0], [500, 300, 200]))
    np.testing.assert_allclose(np.exp(-surprisal.of_members(np.array([[1.0, 2.0]])))[0], [1.0, 0.5], atol=0.02)


@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.0 + 1e-6, 2.0, 50.0]) | st.floats(-100, 100), min_size=1, max_size=300),
    st.floats(1e-7, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_a_rounding_error_adds_no_surprisal(held_out: list[float], error: float) -> None:
    """Nowhere, ties among held-out scores or not, does a score that is off by so much move it by more than 100-fold."""
    surprisal, new = of(np.array(held_out)), np.array(held_out)
    moved = surprisal.of_members((new + error)[None]) - surprisal.of_members((new - error)[None])
    assert (np.abs(moved) <= 2 * error / SMALLEST_SPREAD * (1 + 1e-6) + 1e-9).all()


def test_only_held_out_rows_count() -> None:
    """However low a member scores the rows it has learned, its scale is that of the rows it has not."""
    rng = np.random.default_rng(0)
    scores, held_out = rng.gamma(3, size=(900, 3)), np.arange(900)[:, None] % 3 == np.arange(3)
    changed = np.where(held_out, scores, -1e3)
    one = np.arange(3), np.zeros(3), held_out, np.zeros((3, 1))
    found, expected = SurprisalScale.of(changed, *one), SurprisalScale.of(scores, *one)
    np.testing.assert_array_equal(found.knots, expected.knots)
    np.testing.assert_array_equal(found.spread, expected.spread)


def test_few_rows_are_pooled_with_scores_of_their_sort() -> None:
    """Below 200 held-out rows a score has the scale of all scores of its sort together; from 200 on its own."""
    few, many = MIN_OWN_ROWS - 1, MIN_OWN_ROWS
    scores = [exponential(few, 1.0), exponential(few, 2.0), exponential(few, 30.0), exponential(many, 40.0)]
    found = of(*scores, score_type=[0, 0, 1, 1])
    first, second = np.concatenate(scores[:2]), np.concatenate(scores[2:])
    for k, expected in enumerate([first, first, second, scores[3]]):
        np.testing.assert_allclose(found.knots[k], np.quantile(expected, LEVELS), atol=SMALLEST_SPREAD)
        excess = expected[expected > found.knots[k, -1]] - found.knots[k, -1]
        assert found.spread[k] == pytest.approx(excess.mean())


def test_rows_without_a_score_are_left_out() -> None:
    """NaN and infinite held-out scores change nothing."""
    scores = exponential(500)
    broken = np.concatenate([scores, [np.nan, np.inf, -np.inf]])
    np.testing.assert_array_equal(of(broken).knots, of(scores).knots)
    np.testing.assert_array_equal(of(broken).spread, of(scores).spread)


@pytest.mark.parametrize("scores", [[], [np.nan] * 3])
def test_no_scores_at_all_are_refused(scores: list[float]) -> None:
    """Without one held-out score there is no scale."""
    with pytest.raises(ValueError, match="no calibration row has a score"):
        of(np.array(scores))


@given(seeds, st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_many_scores_at_once_have_the_surprisals_of_one(seed: int, w: int) -> None:
    """`TailScales` finds without a search what interpolation finds, also where knots crowd and beyond them."""
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.exponential(size=(w, LEVELS.size)) ** rng.integers(1, 9, (w, 1)), axis=1)
    knots[0, 3:20] = knots[0, 3]
    spread = rng.uniform(SMALLEST_SPREAD, 9, w)
    scores = rng.choice([1e-9, 0.5, 1.0, 1.1], size=(w, 40_000 // w)) * rng.choice(knots.ravel(), (w, 40_000 // w))
    scores[:, :4] = [np.nan, np.inf, -np.inf, 1e300]
    expected = [surprisal_at(*one) for one in zip(scores, knots, spread, strict=True)]
    np.testing.assert_allclose(TailScales(knots, spread).at(scores), expected, rtol=1e-9, atol=1e-9)
