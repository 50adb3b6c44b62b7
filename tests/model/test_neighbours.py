"""The distance to the nearest rows of training: what it is by brute force, far from the origin too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.model.neighbours import BLOCK_ROWS, K, Neighbours

COLUMN = (0, 1, 1, 2)


def drawn(n: int, seed: int, center: float = 0.0) -> np.ndarray:
    """Rows (n, 4) float32 around `center`."""
    return (center + np.random.default_rng(seed).normal(size=(n, len(COLUMN)))).astype(np.float32)


def brute_force(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean distance (n,) to the K nearest of `rows`."""
    distance = np.sqrt(np.square(values[:, None].astype(float) - rows).sum(2))
    return np.sort(distance, axis=1)[:, :K].mean(1)


@given(st.integers(K + 1, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 3.0, 1e3]))
def test_distances_are_those_of_brute_force(n: int, seed: int, center: float) -> None:
    """Within the rounding of which rows are nearest, however far a new row is from all of them."""
    rows, values = drawn(n, seed), drawn(20, seed + 1, center)
    found, right = Neighbours(rows, COLUMN).distances(values), brute_force(rows, values)
    assert (found >= right - 1e-9).all()
    np.testing.assert_allclose(found, right, rtol=1e-5)


def test_rows_of_several_blocks() -> None:
    """A row's distance does not depend on how many others are asked for."""
    rows, values = drawn(300, 0), drawn(2 * BLOCK_ROWS + 7, 1)
    among = Neighbours(rows, COLUMN)
    np.testing.assert_allclose(among.distances(values)[-3:], among.distances(values[-3:]), rtol=1e-6)
    assert among.distances(values[:0]).shape == (0,)


def test_a_row_is_not_its_own_neighbour() -> None:
    """With groups of one row, the distances within are those to all other rows; by column they add up."""
    rows = drawn(400, 2)
    square = Neighbours(rows, COLUMN).squares_to_others(rows, np.arange(400), np.arange(400))
    assert square.shape == (400, K, 3)
    right = [brute_force(np.delete(rows, i, 0), rows[i : i + 1])[0] for i in range(400)]
    np.testing.assert_allclose(np.sqrt(square.sum(2)).mean(1), right, rtol=1e-6)


def test_no_neighbour_is_of_the_same_group() -> None:
    """Copies of a row that stand in its group do not make it usual."""
    rows = np.repeat(drawn(40, 3), 10, axis=0)
    square = Neighbours(rows, COLUMN).squares_to_others(rows, np.arange(400) // 10, np.arange(400) // 10)
    assert (square.sum(2) > 0).all()
    with pytest.raises(ValueError, match="another group"):
        Neighbours(rows, COLUMN).squares_to_others(rows, np.zeros(400), np.zeros(400))


@given(st.integers(0, 2**32 - 1))
def test_without_a_column_its_difference_is_typical(seed: int) -> None:
    """The same as brute force over the other columns, plus the typical square in each distance."""
    rows, value, typical = drawn(50, seed), drawn(1, seed + 1), np.array([0.5, 1.0, 2.0])
    found = Neighbours(rows, COLUMN).distances_without(value[0], np.eye(3, dtype=bool), typical)
    for j, features in enumerate(([1, 2, 3], [0, 3], [0, 1, 2])):
        square = np.square(value[:, features].astype(float) - rows[:, features]).sum(1)
        assert found[j] == pytest.approx(np.sqrt(np.sort(square)[:K] + typical[j]).mean())
