"""Moving statistics by doubling equal those that NumPy computes window by window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.data import windows

LENGTHS = st.integers(1, 70)


def drawn(seed: int, n_sensors: int, n_rows: int) -> np.ndarray:
    """Scaled readings of float32, some of them constant."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_sensors, n_rows)).cumsum(1) / 4
    x[rng.random(n_sensors) < 0.3] = 1.5
    return np.clip(x, -10, 10).astype(np.float32)


def all_columns(x: np.ndarray) -> windows.Columns:
    return windows.Columns.of(np.arange(x.shape[1]))


def window_statistics(x: np.ndarray, length: int) -> np.ndarray:
    """The seven statistics at all columns (sensors, 7, rows)."""
    return windows.statistics_at(windows.Rolling(x, (length,)), length, all_columns(x))


def shape_statistics(x: np.ndarray, length: int) -> np.ndarray:
    """The six statistics without level at all columns (sensors, 6, rows)."""
    return windows.shape_of(window_statistics(x, length))


def row_statistics(x: np.ndarray) -> np.ndarray:
    """The statistics of single rows at all columns (sensors, 4, rows)."""
    return windows.row_statistics_at(windows.Rolling(x), all_columns(x))


def each_window(x: np.ndarray, length: int) -> np.ndarray:
    """(sensors, rows - length + 1, length) float64, oldest first."""
    return np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), length, axis=1)


@given(seed=st.integers(0, 2**32 - 1), length=LENGTHS, extra=st.integers(0, 60))
def test_sums_and_extremes(seed: int, length: int, extra: int):
    x = drawn(seed, 3, length + extra)
    view = each_window(x, length)
    np.testing.assert_allclose(windows.Rolling(x).sums(length)[:, length - 1 :], view.sum(2), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(windows.Rolling(x).least(length)[:, length - 1 :], view.min(2))
    np.testing.assert_array_equal(windows.Rolling(x).most(length)[:, length - 1 :], view.max(2))


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(2, 70), extra=st.integers(1, 60))
def test_statistics(seed: int, length: int, extra: int):
    x = drawn(seed, 3, length + extra)
    found = window_statistics(x, length)[:, :, length:].astype(np.float64)
    view = each_window(x, length)[:, 1:]
    mean, variance, steps = view.mean(2), view.var(2), np.diff(view, axis=2)
    at = np.arange(length) - (length - 1) / 2
    slope = (view * at).sum(2) / (at**2).sum() * length
    rough = (steps**2).mean(2)
    # a variance is a difference of squares in float32
    close = 2e-5 * (1 + np.abs(x).max() ** 2)
    np.testing.assert_allclose(found[:, 0], mean, atol=1e-4)
    np.testing.assert_allclose((np.exp(found[:, 1]) - 0.03) ** 2, variance, atol=close)
    np.testing.assert_allclose(found[:, 2], slope, atol=2e-3)
    np.testing.assert_array_equal(found[:, 3], view.min(2))
    np.testing.assert_array_equal(found[:, 4], view.max(2))
    smooth = np.clip(1 - rough / (2 * variance + 0.02), -3, 1)
    np.testing.assert_allclose(found[:, 5], smooth, atol=0.02 + 200 * close)
    np.testing.assert_allclose(np.exp(found[:, 6]) - 0.03, np.abs(steps).mean(2), atol=1e-4)


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 128), extra=st.integers(1, 40))
def test_movement_is_the_distance_from_the_rows_before(seed: int, length: int, extra: int):
    x = drawn(seed, 2, length + extra)
    before = each_window(x, length).mean(2)[:, :-1]
    np.testing.assert_allclose(windows.movement(x, length)[:, length:], x[:, length:] - before, atol=1e-4)


@given(seed=st.integers(0, 2**32 - 1), extra=st.integers(1, 40))
def test_statistics_of_single_rows(seed: int, extra: int):
    x = drawn(seed, 2, 32 + extra)
    found = row_statistics(x)[:, :, 32:]
    np.testing.assert_array_equal(found[:, 0], x[:, 32:])
    np.testing.assert_array_equal(found[:, 1], np.diff(x, axis=1)[:, 31:])
    for j, length in ((2, 8), (3, 32)):
        mean = each_window(x, length).mean(2)[:, 33 - length :]
        np.testing.assert_allclose(found[:, j], x[:, 32:] - mean, atol=1e-4)


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(2, 64), cut=st.integers(0, 50))
def test_a_value_does_not_depend_on_where_the_array_begins(seed: int, length: int, cut: int):
    """To the bit, once the window is full: so pieces of a table score as the whole."""
    x = drawn(seed, 2, 130)
    for statistics in (window_statistics, shape_statistics, windows.movement):
        whole = statistics(x, length)[..., cut + length + 1 :]
        piece = statistics(np.ascontiguousarray(x[:, cut:]), length)[..., length + 1 :]
        assert whole.tobytes() == piece.tobytes()


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 40), data=st.data())
def test_windows_are_the_columns_up_to_each(seed: int, length: int, data: st.DataObject):
    x = drawn(seed, 3, 60)
    ends = np.array(data.draw(st.lists(st.integers(length - 1, 59), min_size=1, max_size=8)))
    found = windows.windows(x, length, ends)
    for column, end in zip(found.T, ends, strict=True):
        np.testing.assert_array_equal(column, x[:, end - length + 1 : end + 1].ravel())
    np.testing.assert_array_equal(windows.each_window(x, length)[:, :, 0].ravel(), x[:, :length].ravel())


@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(2, 128), min_size=1, max_size=4))
def test_several_lengths_at_once_are_each_by_itself(seed: int, lengths: list[int]):
    """To the last bit: a score does not depend on what else is measured."""
    x = drawn(seed, 2, 150)
    rolling = windows.Rolling(x, lengths)
    for length in lengths:
        found = windows.statistics_at(rolling, length, all_columns(x))
        assert found.tobytes() == window_statistics(x, length).tobytes()


@given(seed=st.integers(0, 2**32 - 1), lengths=st.sets(st.integers(1, 128), min_size=1), other=st.integers(1, 128))
def test_rolling_sums_are_the_same_alone_and_together(seed: int, lengths: set[int], other: int):
    x = drawn(seed, 2, 140)
    rolling = windows.Rolling(x, tuple(lengths))
    for length in [other, *sorted(lengths)]:
        assert rolling.sums(length).tobytes() == windows.Rolling(x).sums(length).tobytes()
        assert rolling.least(length).tobytes() == windows.Rolling(x).least(length).tobytes()
        assert rolling.most(length).tobytes() == windows.Rolling(x).most(length).tobytes()


runs = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=8)


def ascending(gaps: list[tuple[int, int]], first: int = 0) -> np.ndarray:
    """Columns in runs: after each (gap, number) a run of so many columns."""
    columns: list[int] = []
    for gap, number in gaps:
        first += gap
        columns += range(first, first + number)
        first += number
    return np.array(columns)


@given(gaps=runs, seed=st.integers(0, 2**32 - 1), length=st.sampled_from([2, 8, 32, 128]))
def test_statistics_at_columns_are_those_of_all_columns(gaps: list[tuple[int, int]], seed: int, length: int):
    index = ascending(gaps, 128)
    x = drawn(seed, 3, int(index[-1]) + 5)
    rolling, columns = windows.Rolling(x, (8, length)), windows.Columns.of(index)
    whole = window_statistics(x, length)[:, :, index]
    assert windows.statistics_at(rolling, length, columns).tobytes() == whole.tobytes()
    assert windows.row_statistics_at(rolling, columns).tobytes() == row_statistics(x)[:, :, index].tobytes()


@given(gaps=runs, by=st.integers(0, 20), start=st.integers(0, 60), number=st.integers(1, 60))
def test_columns_are_taken_run_by_run(gaps: list[tuple[int, int]], by: int, start: int, number: int):
    index = ascending(gaps, 20)
    x, columns = np.arange(2 * (int(index[-1]) + 1)).reshape(2, -1), windows.Columns.of(index)
    np.testing.assert_array_equal(columns.take(x, by=by), x[:, index - by])
    found = np.full(number, -1)
    for first, at, many in columns.within(start, start + number):
        found[at : at + many] = np.arange(first, first + many)
    wanted = index[start : start + number]
    np.testing.assert_array_equal(found[: wanted.size], wanted)
    assert (found[wanted.size :] == -1).all()


def test_a_window_of_one_row_has_no_statistics():
    with pytest.raises(ValueError, match="at least 2 rows"):
        window_statistics(np.zeros((1, 5), np.float32), 1)
