"""Members' scores on one scale: closed forms, laws, and how few rows are pooled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from vaecli.scoring.max_cell import LIMIT, MAX_CELL_PENALTY, CellLimits, MaxCellScale
from vaecli.scoring.surprisal import SurprisalScale
from vaecli.scoring.tail_scale import LEVELS, MIN_OWN_ROWS, SMALLEST_SPREAD, TAIL_BEGINS

seeds = st.integers(0, 2**32 - 1)


def exponential(n: int, scale: float = 1.0) -> np.ndarray:
    """(n,) evenly spaced quantiles of Exp(scale), in an order of no meaning."""
    at = (np.arange(n) + 0.5) / n
    return np.random.default_rng(n).permutation(-scale * np.log1p(-at))


def of(
    *scores: np.ndarray, score_type: list[int] | None = None, mean_column_score: np.ndarray | None = None
) -> SurprisalScale:
    """From one array of held-out scores a member, each of other rows."""
    n, e = sum(map(len, scores)), len(scores)
    nats, held_out = np.full((n, e), -1e6), np.zeros((n, e), bool)
    start = 0
    for k, some in enumerate(scores):
        nats[start : start + len(some), k], held_out[start : start + len(some), k] = some, True
        start += len(some)
    score_type = np.arange(e) if score_type is None else np.array(score_type)
    return SurprisalScale.of(
        nats, np.arange(e), score_type, held_out, np.zeros((e, 1)) if mean_column_score is None else mean_column_score
    )


def with_two_scores(n: int = 900) -> tuple[np.ndarray, SurprisalScale]:
    """Scores (n, 5), and the scale of three members; the first and the last give two. All rows are held out."""
    rng = np.random.default_rng(0)
    nats = rng.gamma(2, [1.0, 5.0, 50.0, 0.3, 8.0], size=(n, 5))
    member, mean_column_score = np.array([0, 2, 0, 1, 2]), rng.normal(size=(3, 4))
    return nats, SurprisalScale.of(nats, member, np.arange(5), np.ones((n, 3), bool), mean_column_score)


# ------------------------------------------------------------------------------------------ what it says


def test_exponential_scores_are_their_own_surprise() -> None:
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
    """Up to the 80 % quantile, exp(−surprise) is the share of held-out rows that score at least as much."""
    held_out = np.random.default_rng(seed).normal(size=4000)
    new = np.quantile(held_out, np.linspace(0.01, TAIL_BEGINS, 40))
    share = (held_out >= new[:, None]).mean(1)
    np.testing.assert_allclose(np.exp(-of(held_out).of_members(new[None])[0]), share, atol=0.01)


def test_the_most_normal_scores_surprise_nobody() -> None:
    """At and below the lowest held-out score the surprise is 0, its least."""
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
    """However odd a row, an odder one is more surprising."""
    found = of(exponential(1000)).of_members(np.array([[2.0, 2.1, 50.0, 51.0, 1e6, 1e6 + 1]]))
    assert (np.diff(found[0]) > 0).all()


def test_no_score_is_no_surprise() -> None:
    """NaN for NaN, infinity for infinity, and each member only for its own."""
    new = np.array([[np.nan, 1.0, np.inf], [1.0, np.nan, -np.inf]])
    found = of(exponential(300), exponential(300)).of_members(new)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(new))
    assert found[0, 2] == np.inf
    assert found[1, 2] == 0


@pytest.mark.parametrize("held_out", [[3.0], [3.0] * 500])
def test_scores_without_a_spread_have_a_scale(held_out: list[float]) -> None:
    """One row or equal ones: their score, which all normal rows reach, is no surprise; nothing is divided by zero."""
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
def test_a_rounding_error_is_no_surprise(held_out: list[float], error: float) -> None:
    """Nowhere, ties among held-out scores or not, does a score that is off by so much move it by more than 100-fold."""
    surprisal, new = of(np.array(held_out)), np.array(held_out)
    moved = surprisal.of_members((new + error)[None]) - surprisal.of_members((new - error)[None])
    assert (np.abs(moved) <= 2 * error / SMALLEST_SPREAD * (1 + 1e-6) + 1e-9).all()


# ------------------------------------------------------------------------------------------ whose rows


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


# ------------------------------------------------------------------------------------------ its parts


@given(seeds)
def test_where_the_scale_is_linear_columns_are_exact(seed: int) -> None:
    """Beyond the last knots a difference in one column's nats is the same difference of surprise, and of its part."""
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
    """A column that costs what it usually costs is no part of the surprise."""
    _, surprisal = with_two_scores()
    found = surprisal.of_columns(np.repeat(surprisal.mean_column_score[:, None], 7, 1))
    np.testing.assert_allclose(found, np.zeros((7, 4)), atol=1e-12)


def test_a_members_surprise_is_the_mean_over_its_scores() -> None:
    """However many scores a member gives, it counts once: each score on its own scale, then the mean."""
    nats, surprisal = with_two_scores()
    each = of(*nats.T).of_members(nats.T)
    found = surprisal.of_members(nats.T)
    np.testing.assert_allclose(found, [(each[0] + each[2]) / 2, each[3], (each[1] + each[4]) / 2], rtol=1e-12)


def test_a_member_without_one_of_its_scores_has_no_surprise() -> None:
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


# ------------------------------------------------------------------------------------------ one cell alone


def of_cells(nats: np.ndarray) -> MaxCellScale:
    """From nats (n, c) that one member gives to the cells of held-out rows."""
    limits, everyone = CellLimits.of([nats]), np.ones((1, len(nats)), bool)
    return MaxCellScale.of(limits, limits.largest(nats[None], everyone).T, np.zeros(1), everyone.T)


def of_single(max_cell: MaxCellScale, nats: np.ndarray) -> np.ndarray:
    """Surprises (n,) of the oddest of the cells (n, c)."""
    found: np.ndarray = max_cell.of_members(max_cell.largest(nats[None])[0])[0]
    return found


@pytest.mark.parametrize("c", [1, 10, 40])
def test_the_oddest_of_many_cells_pays_for_their_number(c: int) -> None:
    """Of c independent columns with P(nats >= x) = exp(-x), an oddest cell of x has the surprise x - log c."""
    nats = np.random.default_rng(0).exponential(size=(200_000, c))
    new = np.zeros((3, c))
    new[:, c // 2] = [8.0, 12.0, 20.0]
    np.testing.assert_allclose(of_single(of_cells(nats), new), new.max(1) - np.log(c), rtol=0.1)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_units_and_offsets_of_a_column_do_not_matter(seed: int) -> None:
    """A column whose nats are many or few, from wherever they count, is judged as its plain twin."""
    rng = np.random.default_rng(seed)
    nats, new = rng.gamma(2, size=(600, 4)) * 3, rng.gamma(2, size=(50, 4)) * 9
    unit, offset = rng.uniform(1, 1e3, 4), rng.normal(size=4) * 1e3
    plain, other = of_cells(nats), of_cells(nats * unit + offset)
    np.testing.assert_allclose(of_single(other, new * unit + offset), of_single(plain, new), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n", "level"), [(20_001, LIMIT), (2_001, 1 - 100 / 2_001), (101, TAIL_BEGINS)])
def test_beyond_a_limit_are_a_hundred_normal_cells_or_one_in_a_hundred(n: int, level: float) -> None:
    """Or a fifth of few; an excess is how far they are beyond it on the mean, at least the smallest spread."""
    nats = np.column_stack([np.arange(float(n)), np.full(n, 7.0)])
    limits = CellLimits.of([nats])
    np.testing.assert_allclose(limits.limit, [[(n - 1) * level, 7.0]])
    n_beyond = n - 1 - np.floor((n - 1) * level)
    np.testing.assert_array_equal(limits.n_beyond, [[n_beyond, 1]])
    np.testing.assert_allclose(limits.excess, [[(n_beyond + 1) / 2, SMALLEST_SPREAD]], rtol=0.02)


def test_a_row_of_the_limits_is_judged_by_the_others() -> None:
    """What the oddest cell of all exceeds the limit by is counted in what the other cells beyond it do."""
    nats = np.random.default_rng(5).exponential(size=(500, 1))
    nats[7] = 400.0
    limits = CellLimits.of([nats])
    beyond = nats[nats > limits.limit[0, 0]]
    others = beyond[beyond < 400]
    own = np.ones((1, 500), bool)
    expected = (400 - limits.limit[0, 0]) / (others - limits.limit[0, 0]).mean()
    assert limits.largest(nats[None], own)[0, 7] == pytest.approx(expected)
    assert limits.largest(nats[None], ~own)[0, 7] == pytest.approx((400 - limits.limit[0, 0]) / limits.excess[0, 0])
    below = nats[:, 0] <= limits.limit[0, 0]
    np.testing.assert_array_equal(limits.largest(nats[None], own)[0, below], limits.largest(nats[None], ~own)[0, below])


def test_one_cell_alone_decides_where_it_says_more() -> None:
    """A row's score is never below that of its cells together, and what a single one adds is its column's part."""
    rng = np.random.default_rng(3)
    nats = rng.gamma(2, size=(2000, 6)) * [0.2, 30, 30, 30, 30, 30]
    plain = SurprisalScale.of(
        nats.sum(1)[:, None], np.zeros(1, int), np.zeros(1), np.ones((2000, 1), bool), nats.mean(0)[None]
    )
    both = replace(plain, max_cell=of_cells(nats))
    new = np.tile(nats.mean(0), (3, 1))
    new[1, 0] += 8.0  # forty times what this column usually varies by, a quarter of what the others do
    new[2, 1:] += 60.0
    (score, part), (together, shared) = (one.of_rows(new.sum(1)[None], new[None]) for one in (both, plain))
    assert (score >= together).all()
    np.testing.assert_allclose((part - shared).sum(1), score - together, atol=1e-9)
    alone = of_single(both.max_cell, new) - MAX_CELL_PENALTY
    np.testing.assert_allclose(score, np.maximum(together, alone))
    assert together[1] < 2 < 10 < score[1]
    np.testing.assert_allclose((part - shared)[1, 1:], 0, atol=1e-9)
    assert score[2] == together[2]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("limit", np.full((3, 4), np.nan)),
        ("limit", np.zeros((3, 5))),
        ("excess", np.zeros((3, 4))),
        ("knots", np.zeros((3, 65))[:, ::-1] - np.arange(65)),
        ("spread", np.ones(3, np.float32)),
    ],
)
def test_foreign_single_cells_are_refused(name: str, broken: np.ndarray) -> None:
    """Arrays that `to_arrays` cannot have written are a ValueError, a missing one a KeyError."""
    nats, surprisal = with_two_scores()
    cells = np.random.default_rng(1).gamma(2, size=(3, len(nats), 4))
    limits, everyone = CellLimits.of(cells), np.ones((3, len(nats)), bool)
    max_cell = MaxCellScale.of(limits, limits.largest(cells, everyone).T, np.arange(3), everyone.T)
    arrays = replace(surprisal, max_cell=max_cell).to_arrays("s")
    again = SurprisalScale.from_arrays(arrays, "s", surprisal.member, 4)
    np.testing.assert_array_equal(
        again.of_rows(nats.T, cells)[0], replace(surprisal, max_cell=max_cell).of_rows(nats.T, cells)[0]
    )
    with pytest.raises(ValueError, match="single"):
        SurprisalScale.from_arrays(arrays | {f"s.single.{name}": broken}, "s", surprisal.member, 4)
    with pytest.raises(KeyError, match=name):
        SurprisalScale.from_arrays(
            {k: v for k, v in arrays.items() if k != f"s.single.{name}"}, "s", surprisal.member, 4
        )
