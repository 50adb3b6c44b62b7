"""Members' scores on one scale: missing scores, parts of columns, several scores per member, and the bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from tests.scoring.scales import exponential, of, seeds, with_two_scores
from vaecli.scoring.surprisal import SurprisalScale


def test_no_score_has_no_surprisal() -> None:
    """NaN for NaN, infinity for infinity, and each member only for its own."""
    new = np.array([[np.nan, 1.0, np.inf], [1.0, np.nan, -np.inf]])
    found = of(exponential(300), exponential(300)).of_members(new)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(new))
    assert found[0, 2] == np.inf
    assert found[1, 2] == 0


@given(seeds)
def test_where_the_scale_is_linear_columns_are_exact(seed: int) -> None:
    """Beyond the last knots a difference in one column's nats is the same difference of surprisal, and of its part."""
    rng = np.random.default_rng(seed)
    column = 1000 + 50 * rng.random((2, 6, 3))
    other = column.copy()
    other[..., 1] += 10 * rng.random((2, 6))
    twice = SurprisalScale.of(  # the second member gives two scores
        np.stack([exponential(400), exponential(400, 25.0), exponential(400, 3.0)], 1),
        np.array([0, 1, 1]),
        np.arange(3),
        np.ones((400, 2), bool),
        rng.normal(size=(2, 3)),
    )
    nats, others = (np.stack([some[0], some[1], some[1] + 7]).sum(-1) for some in (column, other))
    risen = twice.of_members(others).mean(0) - twice.of_members(nats).mean(0)
    difference = twice.of_columns(other) - twice.of_columns(column)
    assert difference.shape == (6, 3)
    np.testing.assert_allclose(difference[:, 1], risen, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(difference[:, [0, 2]], 0, atol=1e-9)


def test_a_typical_column_adds_nothing() -> None:
    """A column that costs what it usually costs is no part of the surprisal."""
    _, surprisal = with_two_scores()
    found = surprisal.of_columns(np.repeat(surprisal.mean_column_score[:, None], 7, 1))
    np.testing.assert_allclose(found, np.zeros((7, 4)), atol=1e-12)


def test_a_members_surprisal_is_the_mean_over_its_scores() -> None:
    """However many scores a member gives, it counts once: each score on its own scale, then the mean."""
    nats, surprisal = with_two_scores()
    each = of(*nats.T).of_members(nats.T)
    found = surprisal.of_members(nats.T)
    np.testing.assert_allclose(found, [(each[0] + each[2]) / 2, each[3], (each[1] + each[4]) / 2], rtol=1e-12)


def test_scores_on_one_scale_may_differ() -> None:
    """A score that counts twice is looked up once; where the two differ, each has its own surprisal."""
    scores, member = exponential(300), np.array([0, 0, 1])
    normal = np.stack([scores, scores, exponential(300, 9.0)], 1)
    scale = SurprisalScale.of(normal, member, np.array([0, 0, 1]), np.ones((300, 2), bool), np.zeros((2, 1)))
    alone = of(scores)
    for new in (normal[:40].T, np.stack([scores[:40], scores[40:80], normal[:40, 2]])):
        mean = (alone.of_members(new[:1])[0] + alone.of_members(new[1:2])[0]) / 2
        np.testing.assert_allclose(scale.of_members(new)[0], mean, rtol=1e-12)


def test_a_member_without_one_of_its_scores_has_no_surprisal() -> None:
    """NaN where any of a member's scores is; the other members are as they were."""
    nats, surprisal = with_two_scores()
    broken = nats.T.copy()
    broken[2, 5] = np.nan
    found, whole = surprisal.of_members(broken), surprisal.of_members(nats.T)
    assert np.isnan(found[0, 5])
    found[0, 5] = whole[0, 5]
    np.testing.assert_array_equal(found, whole)


# ------------------------------------------------------------------------------------------ in the bundle


MEMBER = np.array([0, 2, 0, 1, 2])


def test_the_bundle_gives_back_the_same_scale() -> None:
    """`from_arrays` undoes `to_arrays`, to the last bit."""
    nats, surprisal = with_two_scores()
    arrays = surprisal.to_arrays("surprise/elbo")
    assert all(name.startswith("surprise/elbo.") for name in arrays)
    again = SurprisalScale.from_arrays(arrays, "surprise/elbo", MEMBER, 4)
    np.testing.assert_array_equal(again.of_members(nats.T), surprisal.of_members(nats.T))
    columns = np.random.default_rng(0).normal(size=(3, 5, 4))
    np.testing.assert_array_equal(again.of_columns(columns), surprisal.of_columns(columns))


@pytest.mark.parametrize("name", ["member", "knots", "spread", "typical"])
def test_damaged_arrays_are_refused(name: str) -> None:
    """An array that is missing, of another shape or type, or no number is refused by name."""
    arrays = with_two_scores()[1].to_arrays("x")
    with pytest.raises(KeyError, match=name):
        SurprisalScale.from_arrays({key: value for key, value in arrays.items() if key != f"x.{name}"}, "x", MEMBER, 4)
    good = arrays[f"x.{name}"]
    bad = [good[:1], good[..., None], good.ravel()[:0], np.array(1.0), good.astype(np.float32), good * np.nan]
    for damaged in bad:
        with pytest.raises(ValueError, match=rf"x\.{name}"):
            SurprisalScale.from_arrays(arrays | {f"x.{name}": damaged}, "x", MEMBER, 4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("knots", lambda a: a[:, ::-1]),
        ("spread", lambda a: 0 * a),
        ("spread", lambda a: -a),
        ("member", lambda a: a[::-1].copy()),
    ],
)
def test_impossible_numbers_are_refused(name: str, change: Any) -> None:
    """Descending knots, spreads below the smallest and scores of other members cannot have been written."""
    arrays = with_two_scores()[1].to_arrays("x")
    with pytest.raises(ValueError, match=r"not ascending, or a spread is below|not the members"):
        SurprisalScale.from_arrays(arrays | {f"x.{name}": change(arrays[f"x.{name}"])}, "x", MEMBER, 4)


@pytest.mark.parametrize(
    ("member", "n_columns"), [(MEMBER[:4], 4), (np.append(MEMBER, 1), 4), (np.array([0, 1, 0, 1, 1]), 4), (MEMBER, 3)]
)
def test_the_scale_of_another_ensemble_is_refused(member: np.ndarray, n_columns: int) -> None:
    """Other numbers of members, scores or columns do not fit."""
    with pytest.raises(ValueError, match="finite numbers"):
        SurprisalScale.from_arrays(with_two_scores()[1].to_arrays("x"), "x", member, n_columns)
