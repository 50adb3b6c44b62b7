"""Folds are balanced, deterministic, and keep together what belongs together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import vaecli
from vaecli.data.folds import BLOCKS_PER_FOLD, assign_blocks, assign_folds, assign_groups
from vaecli.errors import InputError

rows = st.integers(1, 3000)
folds = st.integers(2, 20)
seeds = st.integers(0, 2**63 - 1)
groups = st.lists(st.integers(0, 30), min_size=1, max_size=300).map(
    lambda values: np.unique(values, return_inverse=True)[1]  # codes without gaps
)


@given(rows, folds, seeds)
def test_folds_are_balanced_to_one_row(n_rows: int, n_folds: int, seed: int) -> None:
    """No fold has two rows more than another, and every row has one."""
    fold = assign_folds(n_rows, n_folds, seed)
    sizes = np.bincount(fold, minlength=n_folds)
    assert fold.dtype == np.int64
    assert sizes.size == n_folds
    assert sizes.sum() == n_rows
    assert sizes.max() - sizes.min() <= 1


def test_folds_are_a_function_of_the_seed() -> None:
    """The same seed deals the same folds, another seed other ones, and neighbours are not dealt in turn."""
    first = assign_folds(1000, 5, 1)
    np.testing.assert_array_equal(first, assign_folds(1000, 5, 1))
    assert (first != assign_folds(1000, 5, 2)).any()
    assert 0.15 < (first[1:] == first[:-1]).mean() < 0.25


@given(rows, folds)
def test_blocks_are_contiguous_and_even(n_rows: int, n_folds: int) -> None:
    """Each fold is at most four unbroken stretches, in turn, and all stretches are equally long to one row."""
    fold = assign_blocks(n_rows, n_folds)
    edges = np.flatnonzero(np.diff(fold)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [n_rows]]))
    assert lengths.size == min(n_rows, n_folds * BLOCKS_PER_FOLD)
    assert lengths.max() - lengths.min() <= 1
    np.testing.assert_array_equal(fold[np.concatenate([[0], edges])], np.arange(lengths.size) % n_folds)


@given(groups, folds, seeds)
def test_groups_are_never_split(group: np.ndarray, n_folds: int, seed: int) -> None:
    """All rows of a group are in one fold, no fold is empty, and folds differ by at most the largest group."""
    fold = assign_groups(group, n_folds, seed)
    for code in range(group.max() + 1):
        assert np.unique(fold[group == code]).size == 1
    sizes = np.bincount(fold)
    assert sizes.size == min(n_folds, group.max() + 1)
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= np.bincount(group).max()
    np.testing.assert_array_equal(fold, assign_groups(group, n_folds, seed))


def test_groups_of_equal_size_are_dealt_by_the_seed() -> None:
    """Which of many equal groups share a fold depends on the seed."""
    group = np.repeat(np.arange(20), 3)
    assert (assign_groups(group, 5, 0) != assign_groups(group, 5, 1)).any()


@pytest.mark.parametrize(("n_other", "said"), [(0, "one value only"), (1, "all but 1 row"), (7, "all but 7 rows")])
def test_a_group_that_is_nearly_everything_is_refused(n_other: int, said: str) -> None:
    """Where holding out the largest group leaves too few rows to learn from, the fit refuses instead of guessing."""
    table = pd.DataFrame({"load": np.arange(200.0) % 17, "plant": ["A"] * (200 - n_other) + ["B"] * n_other})
    with pytest.raises(InputError, match=f"'plant' has .*{said}"):
        vaecli.fit(table, group="plant")


@pytest.mark.parametrize(("below", "n_members"), [(0, 2), (1000, 4)])
def test_two_groups_are_enough(below: int, n_members: int) -> None:
    """With two groups there are two folds: a member of each family for each, or one of either where rows are many."""
    table = pd.DataFrame({"load": np.random.default_rng(0).normal(size=60), "plant": ["A"] * 45 + ["B"] * 15})
    settings = {"train.max_steps": 5, "heteroscedastic.n_hidden": 4, "homoscedastic.n_hidden": 4}
    model = vaecli.fit(table, group="plant", **settings, **{"model.full_crossfit_below": below})
    assert model.summary is not None
    assert model.summary.n_members == n_members
    assert sorted(model.detector.ensemble.held_out) == sorted([0, 1] * (n_members // 2))


@pytest.mark.parametrize(("below", "held_out"), [(81, ((0, 1, 2, 3), (0, 1, 2, 3))), (80, ((0, 2), (1, 3)))])
def test_families_hold_out_every_fold_or_take_turns(below: int, held_out: tuple[tuple[int, ...], ...]) -> None:
    """Below `model.full_crossfit_below` rows both families hold out all folds; from there on they take turns."""
    table = pd.DataFrame({"load": np.random.default_rng(0).normal(size=80)})
    settings = {"train.max_steps": 5, "heteroscedastic.n_hidden": 4, "homoscedastic.n_hidden": 4}
    model = vaecli.fit(table, **settings, **{"model.full_crossfit_below": below})
    assert tuple(family.held_out for family in model.detector.ensemble.families) == held_out
