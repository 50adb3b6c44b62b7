"""Tables in memory: pandas, Arrow, polars and NumPy are the same source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from vaecli import tables
from vaecli.errors import InputError


class Polars:
    """Any object that speaks Arrow's C stream, with string views as polars hands them over."""

    def __arrow_c_stream__(self, requested_schema=None):
        table = pa.table({"x": [1.0, 2.0, None], "name": pa.array(["a", "b", None], pa.string_view())})
        return table.__arrow_c_stream__(requested_schema)


EXPECTED = {"x": [1.0, 2.0, None], "name": ["a", "b", None]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1.0, 2.0, np.nan], "name": ["a", "b", None]}, index=[7, 8, 9]),
        pa.table(EXPECTED),
        pa.record_batch(EXPECTED),
        Polars(),
    ],
    ids=["pandas", "table", "batch", "polars"],
)
def test_every_frame_gives_the_same_rows(frame):
    """Values, missing cells and row numbers do not depend on the library that holds them."""
    source = tables.frame_source(frame)
    batches = list(source.batches(tables.ReadRequest(["name", "x"], keep=True, batch_rows=2)))
    assert (source.format, source.names, source.n_rows) == ("frame", ("x", "name"), 3)
    assert pa.concat_tables([batch.whole for batch in batches]).to_pydict() == EXPECTED
    assert [batch.table.column_names for batch in batches] == [["name", "x"]] * 2
    assert [(batch.first_row, batch.n_rows, batch.where(0)) for batch in batches] == [
        (0, 2, "frame, row 1"),
        (2, 1, "frame, row 3"),
    ]


def test_an_array_gets_names():
    """Columns of an array are x0, x1, …; NaN is a missing cell."""
    source = tables.frame_source(np.array([[1.0, np.nan], [3.0, 4.0]]))
    [batch] = source.batches()
    assert batch.table.to_pydict() == {"x0": [1.0, 3.0], "x1": [None, 4.0]}


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_are_the_same_columns_in_any_order_of_memory(n: int, order: str):
    """float64 frames and arrays become columns with their own values and gaps, as Arrow makes them one by one."""
    values = np.asarray(np.arange(3.0 * n).reshape(n, 3), order=order)
    values[n // 2 :, 1] = np.nan
    expected = pa.table({f"x{j}": pa.array(values[:, j], from_pandas=True) for j in range(3)})
    for frame in (values, pd.DataFrame(values, columns=["x0", "x1", "x2"])):
        found = tables.frame_source(frame).table
        found.validate(full=True)
        assert found.equals(expected)
        assert [column.null_count for column in found.columns] == [0, n - n // 2, 0]


def test_names_of_pandas_become_text():
    """Column labels that are numbers are read as their text."""
    assert tables.frame_source(pd.DataFrame([[1, 2]])).names == ("0", "1")


def test_no_columns_asked_still_counts_rows():
    """An empty selection keeps the number of rows."""
    source = tables.frame_source(pa.table({"x": [1, 2, 3]}))
    assert [batch.n_rows for batch in source.batches(tables.ReadRequest([], batch_rows=2))] == [2, 1]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (np.zeros(3), "1 dimensions"),
        ([[1, 2]], "a list is not a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' is given 2 times"),
        (pd.DataFrame({"m": [1, "a"], "n": [b"", 2.5], "x": [1, 2]}), "m: "),
    ],
)
def test_what_is_not_a_frame(frame, said):
    """Wrong shapes, repeated names and columns of mixed types are refused with a way out."""
    with pytest.raises(InputError) as caught:
        tables.frame_source(frame)
    assert said in caught.value.message
    assert caught.value.hint


def test_all_mixed_columns_are_listed():
    """Both columns without one type are named."""
    with pytest.raises(InputError, match=r"(?s)  m: .*  n: "):
        tables.frame_source(pd.DataFrame({"m": [1, "a"], "n": ["b", 2.5]}))


def test_missing_columns_are_listed():
    """Asking for columns that are not there names them all."""
    source = tables.frame_source(pa.table({"x": [1]}))
    with pytest.raises(InputError, match="missing columns 'p', 'q'"):
        list(source.batches(tables.ReadRequest(["p", "x", "q"])))
