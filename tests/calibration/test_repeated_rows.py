"""Copies of a row count with one score: that of a new row like them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from vaecli.calibration.repeated_rows import FEWEST_COPIES, TIE, RepeatedRows
from vaecli.data.training_rows import Rows


def rows_of(values: np.ndarray, state: np.ndarray) -> Rows:
    """The rows with two folds."""
    return Rows(values.astype(np.float32), state.astype(np.uint8), np.arange(len(values)) % 2)


@given(number=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 2.0]), st.integers(0, 1)), min_size=1, max_size=60))
def test_rows_that_come_often_are_found_by_counting(number: list[tuple[float, int]]) -> None:
    """A row is repeated when its values and states together come often, and `one` stands for it."""
    values, state = np.array([[v, 1.0] for v, _ in number]), np.array([[s] for _, s in number])
    repeated = RepeatedRows.among(rows_of(values, state))
    for row, place in zip(number, repeated.of_row, strict=True):
        assert (place >= 0) == (number.count(row) >= FEWEST_COPIES)
        assert place < 0 or number[repeated.one[place]] == row


def test_copies_tie_above_the_score_of_a_new_row() -> None:
    """Held-out scores of copies scatter; what a new row like them scores is at most as much as each of them counts."""
    values = np.repeat([[0.0], [1.0], [2.0]], [50, 8, 2], axis=0)
    repeated = RepeatedRows.among(rows_of(values, np.zeros((60, 1))))
    held_out = np.random.default_rng(0).normal(size=60)
    counted = repeated.counted(held_out, lambda number: values[number, 0] * 10)
    np.testing.assert_array_equal(counted[:58], np.repeat([0.0, 10.0], [50, 8]) + TIE)
    np.testing.assert_array_equal(counted[58:], held_out[58:])


def test_a_table_of_different_rows_is_calibrated_as_before() -> None:
    """Where no row comes often nothing is scored again."""
    repeated = RepeatedRows.among(rows_of(np.arange(40.0)[:, None], np.zeros((40, 1))))
    scores = np.arange(40.0)
    assert repeated.counted(scores, lambda _: np.zeros(0)) is scores


def test_rows_that_are_nearly_copies_are_alike() -> None:
    """Numbers within the same standard deviation count as equal, categories and states have to be equal."""
    values = np.array([[0.1, 1.0], [0.9, 1.0], [1.1, 1.0], [0.5, 0.0]]).repeat([3, 3, 6, 5], axis=0)
    found = RepeatedRows.alike(rows_of(values, np.zeros((17, 1)))).of_row >= 0
    np.testing.assert_array_equal(found, np.array([True, True, True, False]).repeat([3, 3, 6, 5]))
