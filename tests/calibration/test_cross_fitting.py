"""Scores of training rows are mapped to what they would be if no member had been trained on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from vaecli.calibration.cross_fitting import cross_fitted_scores


def held_out_of(fold: np.ndarray, *member_fold: int) -> np.ndarray:
    """(n, e) which rows each member was not trained on, from the fold that it holds out."""
    return fold[:, None] == np.array(member_fold)


def test_a_single_member_scores_its_held_out_rows() -> None:
    """With one member there is nothing to estimate: the held-out scores are the answer."""
    scores = np.random.default_rng(0).normal(size=(50, 1))
    np.testing.assert_array_equal(cross_fitted_scores(scores, np.ones((50, 1), bool)), scores[:, 0])


def test_members_that_all_held_a_row_out_need_no_map() -> None:
    """A row that no member was trained on has the plain mean of their scores, whatever those of other rows are."""
    rng = np.random.default_rng(0)
    scores, held_out = rng.normal(size=(600, 2)), np.ones((600, 2), bool)
    held_out[300:, 1] = False  # learned by the second member
    scores[300:, 1] -= 50
    found = cross_fitted_scores(scores, held_out)
    np.testing.assert_array_equal(found[:300], scores[:300].mean(axis=1))
    assert np.abs(found[300:] - scores[300:, 0] / 2).max() < 3


def test_rows_that_cannot_be_scored_stay_so_and_disturb_nobody() -> None:
    """A NaN row is NaN, and the others are scored as without it."""
    rng = np.random.default_rng(0)
    scores, held_out = rng.normal(size=(700, 3)), held_out_of(np.arange(700) % 3, 0, 1, 2)
    broken = scores.copy()
    broken[10] = np.nan
    broken[20, 1] = np.nan
    kept = np.delete(np.arange(700), [10, 20])
    found = cross_fitted_scores(broken, held_out)
    assert np.isnan(found[[10, 20]]).all()
    np.testing.assert_array_equal(found[kept], cross_fitted_scores(scores[kept], held_out[kept]))


@pytest.mark.parametrize("member_fold", [(0, 1, 2, 3, 4), (0, 1, 2, 3, 0, 1, 2, 3), (0, 2, 1, 3)])
@pytest.mark.parametrize(("n", "tolerance"), [(60, 0.5), (2000, 0.1)])  # pooled, and each member for itself
def test_a_known_shrinkage_is_undone(n: int, tolerance: float, member_fold: tuple[int, ...]) -> None:
    """Members that score learned rows by a fixed increasing function of the truth are set right.

    One member holds a row out, or two as where two families hold out every fold.
    """
    rng = np.random.default_rng(0)
    truth, fold = rng.gumbel(size=(n, len(member_fold))), np.arange(n) % (max(member_fold) + 1)
    held_out = held_out_of(fold, *member_fold)
    learned = np.where(held_out, truth, np.tanh(truth / 4) - 3)
    error = cross_fitted_scores(learned, held_out) - truth.mean(axis=1)
    assert np.abs(np.median(error)) < tolerance
    # a few of the highest are those of one member alone, which agrees with no other here
    assert np.corrcoef(cross_fitted_scores(learned, held_out), truth.mean(axis=1))[0, 1] > 0.94


@given(seed=st.integers(0, 1000), n=st.sampled_from([12, 60, 1200]), crossed=st.booleans())
@settings(max_examples=25, deadline=None)
def test_members_that_do_not_overfit_are_left_alone(seed: int, n: int, crossed: bool) -> None:
    """Where learned and held-out scores have the same quantiles, the result is the plain mean; order is no matter."""
    rng = np.random.default_rng(seed)
    column, member_fold = rng.normal(size=n // 4), tuple(range(4)) * (1 + crossed)
    scores = np.tile(column, 4)[:, None].repeat(len(member_fold), axis=1)
    held_out = held_out_of(np.arange(4).repeat(n // 4), *member_fold)
    found = cross_fitted_scores(scores, held_out)
    np.testing.assert_allclose(found, scores.mean(axis=1), atol=0.8 if n < 1200 else 0.2)
    order = rng.permutation(n)
    np.testing.assert_allclose(cross_fitted_scores(scores[order], held_out[order]), found[order])


def test_what_lies_beyond_all_training_surprises_every_member() -> None:
    """Rows far out explode for the member that has not learned them, as new ones will for all: that score counts."""
    rng = np.random.default_rng(0)
    n = 2_000
    fold = np.arange(n) % 5
    held_out = held_out_of(fold, 0, 1, 2, 3, 4)
    scores = rng.gumbel(size=(n, 1)) + 0.1 * rng.normal(size=(n, 5))
    far = np.arange(4)
    scores[far] += 8
    scores[far, fold[far]] += 50
    found = cross_fitted_scores(scores, held_out)
    np.testing.assert_array_less(50, found[far])
    ordinary = np.argsort(found)[: int(0.99 * n)]
    np.testing.assert_allclose(found[ordinary], scores[ordinary].mean(axis=1), atol=0.6)
