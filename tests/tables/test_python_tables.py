"""DataFrames get the scores of their rows beside their own columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from vaecli.tables.python_tables import with_added

ADDED = {"anomaly_score": np.array([1.5, np.nan, 3.0]), "is_anomaly": np.array([True, False, True])}
ADDED |= {"top_columns": np.array(["a:1.0", None, None], object)}


def named(**names: object) -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}, **names)


class Rows(pd.DataFrame):
    """A DataFrame of another package."""

    @property
    def _constructor(self) -> type[Rows]:
        return Rows


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "plain": named,
    "repeated index": lambda: named(index=[7, 7, 3]),
    "times as index": lambda: named(index=pd.date_range("2024", periods=3, tz="UTC", name="when")),
    "numbers as names": lambda: pd.DataFrame(np.ones((3, 2))),
    "no columns": lambda: pd.DataFrame(index=[1, 2, 3]),
    "names with a name": lambda: named().rename_axis("sensor", axis=1),
    "names of two parts": lambda: pd.DataFrame(
        np.ones((3, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    ),
    "types": lambda: named().astype({"a": "Int64", "b": "category"}),
    "another class": lambda: Rows({"a": [1.0, 2.0, 3.0]}),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.filterwarnings("ignore:Setting a new column on a DataFrame with a MultiIndex")
def test_columns_are_added_as_pandas_assigns_them(kind: str):
    """Rows, index, names, types, class and attributes are those of `assign`, and the frame that was given stays."""
    frame, before = FRAMES[kind](), FRAMES[kind]()
    frame.attrs = {"unit": "bar"}
    found, expected = with_added(frame, ADDED), frame.assign(**ADDED)
    pd.testing.assert_frame_equal(found, expected)
    assert type(found) is type(expected)
    assert (found.attrs, found.columns.names) == (expected.attrs, expected.columns.names)
    assert found.columns.dtype == expected.columns.dtype
    found.loc[:, "is_anomaly"] = False
    found.iloc[:, 0] = found.iloc[::-1, 0].to_numpy()
    pd.testing.assert_frame_equal(frame, before)
    assert ADDED["is_anomaly"].tolist() == [True, False, True]
