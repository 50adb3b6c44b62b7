"""One number per column: long loops give the bits of NumPy's broadcasting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.data import per_column as module
from vaecli.data.per_column import per_column

OPERATIONS = (np.add, np.subtract, np.multiply, np.divide, np.greater, np.less_equal)


def drawn(shape: tuple[int, ...], kind: type, seed: int) -> np.ndarray:
    """Numbers of all sizes, with NaN, infinities and zeros of both signs."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 10.0 ** rng.integers(-30, 30, shape)
    values[rng.random(shape) < 0.05] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0])
    return values.astype(kind)


@given(
    n_rows=st.sampled_from([0, 1, 7, 512, 1000, 1024, 2048, 4096]),
    width=st.sampled_from([1, 2, 5, 30, 96, 800, 7000]),
    members=st.sampled_from([None, 1, 3]),
    operation=st.sampled_from(OPERATIONS),
    kind=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_bits_as_broadcasting(n_rows, width, members, operation, kind, seed) -> None:
    """For rows of any number and width, with and without members, into a new array and in place."""
    n_rows = min(n_rows, 2**18 // width)
    lead = () if members is None else (members,)
    values = drawn((*lead, n_rows, width), kind, seed)
    constants = drawn((width,) if members is None else (members, 1, width), kind, seed + 1)
    with np.errstate(all="ignore"):
        expected = operation(values, constants)
        found = per_column(operation, values, constants)
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()
        if found.dtype == kind:
            assert per_column(operation, values, constants, values) is not None
            assert values.tobytes() == expected.tobytes()


@pytest.mark.parametrize("view", [lambda a: a[:, ::2], lambda a: a.T, lambda a: np.asfortranarray(a)])
def test_rows_that_do_not_follow_each_other(view) -> None:
    """Views are computed by NumPy itself, in place too."""
    values = view(np.arange(2048.0 * 2048).reshape(2048, 2048))
    constants = np.arange(float(values.shape[1]))
    expected = values - constants
    np.testing.assert_array_equal(per_column(np.subtract, values, constants), expected)
    per_column(np.subtract, values, constants, values)
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    "shape", [(), (1,), (1, 1), (1, 30), (8192, 1), (8192, 30), (1, 1, 30), (3, 1, 1), (3, 1, 30), (2, 3, 1, 30)]
)
def test_constants_of_other_shapes_are_broadcast(shape: tuple[int, ...]) -> None:
    """Whatever NumPy takes gives what it gives, whether there are rows for long loops or not."""
    constants = np.arange(float(np.prod(shape))).reshape(shape)
    for values in (np.arange(8192.0 * 30).reshape(8192, 30), np.arange(8192.0 * 30).reshape(1, 8192, 30)):
        expected = values * constants
        found = per_column(np.multiply, values, constants)
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("constants", "n_rows"), [((31,), 256), ((31,), 8192), ((256, 30), 8192)], ids=str)
def test_constants_that_do_not_fit_are_refused(constants: tuple[int, ...], n_rows: int) -> None:
    """Or as many rows as there are side by side would be taken for one row."""
    with pytest.raises(ValueError, match="broadcast"):
        per_column(np.add, np.zeros((n_rows, 30)), np.ones(constants))


@pytest.mark.parametrize("shape", [(30, 8192), (2, 8192, 30), (8192 * 30,)], ids=str)
def test_a_result_goes_into_an_array_of_its_shape_or_one_that_numpy_fills(shape: tuple[int, ...]) -> None:
    """An array of as many numbers in another shape is refused; one with more axes is filled."""
    values, out = np.arange(8192.0 * 30).reshape(8192, 30), np.zeros(shape)
    if shape[-2:] != values.shape:
        with pytest.raises(ValueError, match="broadcast"):
            per_column(np.add, values, np.ones(30), out)
        return
    per_column(np.add, values, np.ones(30), out)
    np.testing.assert_array_equal(out, np.broadcast_to(values + 1, shape))


def test_a_single_column_has_one_constant() -> None:
    """Without columns a number is what NumPy takes it for."""
    np.testing.assert_array_equal(per_column(np.add, np.arange(3.0), np.float64(2)), [2.0, 3.0, 4.0])


def test_many_rows_are_few_loops() -> None:
    """What makes it quick: NumPy sees rows of thousands of numbers."""
    seen = []

    def operation(values: np.ndarray, constants: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        seen.append((values.shape, constants.shape))
        return np.add(values, constants, out=out)

    per_column(operation, np.zeros((2, 2048, 30)), np.ones((2, 1, 30)))  # type: ignore[arg-type]
    ((_, n_loops, width), of_constants) = seen[0]
    assert width >= module._LONG
    assert n_loops * width == 2048 * 30
    assert of_constants == (2, 1, width)
