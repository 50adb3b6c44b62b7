"""The most extreme cell of a row, scored alone: closed forms, limits of columns, and when it decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from tests.scoring.scales import seeds, with_two_scores
from vaecli.scoring.max_cell import LIMIT, MAX_CELL_PENALTY, CellLimits, MaxCellScale, larger_of
from vaecli.scoring.surprisal import SurprisalScale
from vaecli.scoring.tail_scale import SMALLEST_SPREAD, TAIL_BEGINS


def of_cells(nats: np.ndarray) -> MaxCellScale:
    """From nats (n, c) that one member gives to the cells of held-out rows."""
    limits, everyone = CellLimits.of([nats]), np.ones((1, len(nats)), bool)
    return MaxCellScale.of(limits, limits.largest(nats[None], everyone).T, np.zeros(1), everyone.T)


def of_single(max_cell: MaxCellScale, nats: np.ndarray) -> np.ndarray:
    """Surprisals (n,) of the most extreme of the cells (n, c)."""
    found: np.ndarray = max_cell.of_members(max_cell.largest(nats[None])[0])[0]
    return found


@pytest.mark.parametrize("c", [1, 10, 40])
def test_the_most_extreme_of_many_cells_pays_for_their_number(c: int) -> None:
    """Of c independent columns with P(nats >= x) = exp(-x), a most extreme cell of x has the surprisal x - log c."""
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


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_no_row_that_one_cell_decides_is_left_out(seed: int) -> None:
    """Rows are looked at closely only where a cell may decide: those left out keep their score, to the bit."""
    rng = np.random.default_rng(seed)
    unit, offset = 10 ** rng.uniform(-2, 4, 5), rng.normal(size=5) * 10 ** rng.uniform(0, 5) * (seed % 2)
    scale = of_cells((rng.gamma(1, size=(800, 5)) * unit + offset).astype(np.float32))
    nats = (rng.gamma(1, size=(2_000, 5)) * unit + offset).astype(np.float32)[None]
    together = rng.exponential(size=2_000)
    raised = larger_of(together, scale.of_members(scale.largest(nats)[0])[0]) > together
    may = scale.may_decide(nats, together)
    assert set(np.flatnonzero(raised)) <= set(may)
    assert seed % 2 or len(may) < 1_000  # and few others, unless float32 hardly resolves the nats of a column


def test_a_row_of_the_limits_is_judged_by_the_others() -> None:
    """What the most extreme cell of all exceeds the limit by is counted in what the other cells beyond it do."""
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


def test_one_cell_alone_decides_where_it_scores_more() -> None:
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


@pytest.mark.parametrize("n_members", [3, 8, 10, 17])
def test_a_row_that_a_cell_decides_has_the_bits_that_it_has_among_others(n_members: int) -> None:
    """How many rows of a tile are looked at closely does not matter; NumPy adds up a single one in another order."""
    rng = np.random.default_rng(n_members)
    nats = rng.gamma(2, size=(n_members, 1000, 5))
    limits, everyone = CellLimits.of(nats), np.ones((n_members, 1000), bool)
    kinds = np.arange(n_members)
    plain = SurprisalScale.of(nats.sum(2).T, kinds, kinds, everyone.T, nats.mean(1))
    scale = replace(plain, max_cell=MaxCellScale.of(limits, limits.largest(nats, everyone).T, kinds, everyone.T))
    new = rng.gamma(2, size=(n_members, 50, 5))
    new[:, :, 2] += 40.0
    score, parts = scale.of_rows(new.sum(2), new)
    assert (score > scale.of_members(new.sum(2)).mean(0)).all()
    for i in range(50):
        alone, its_parts = scale.of_rows(new[:, i : i + 1].sum(2), new[:, i : i + 1])
        assert alone.tobytes() == score[i : i + 1].tobytes()
        assert its_parts.tobytes() == parts[i : i + 1].tobytes()
