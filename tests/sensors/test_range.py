"""Readings outside the range of training are named in a warning, whether windows flag them or follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sensors.conftest import call, plant
from vaecli.aggregates.beyond_range import BeyondRange, beyond_both
from vaecli.schema import Column, Kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a plant and a state code that is 0 or 2."""
    folder = tmp_path_factory.mktemp("range")
    with_state(plant(1200)).to_csv(folder / "normal.csv", index=False)
    assert call("fit", folder / "normal.csv", "-o", folder / "m.vae").code == 0
    return folder


def with_state(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(state=np.where(np.arange(len(table)) % 200 < 20, 0, 2))


def named(folder: Path, table: pd.DataFrame, *more: object) -> list[str]:
    """The warnings about the range of training."""
    table.to_csv(folder / "new.csv", index=False)
    done = call("score", folder / "new.csv", "-m", folder / "m.vae", "-o", folder / "s.csv", "--json", *more)
    return [one for one in done.summary["warnings"] if "range of training" in one]


def test_a_drift_and_a_state_that_training_never_had_are_named(folder: Path) -> None:
    """Each sensor is named with its rows and how far it went, in the order of rows, for any cut into batches."""
    table = with_state(plant(600, seed=1))
    table["temperature"] += np.linspace(0, 8, 600)
    table.loc[300:310, "state"] = 7
    [warning] = named(folder, table)
    assert warning.index("'temperature' in ") < warning.index("'state' in 11 rows, up to 7 (training: 0 to 2)")
    assert f"up to {table['temperature'].max():.4g}" in warning
    assert named(folder, table, "--batch-rows", "64", "--workers", "2") == [warning]
    assert named(folder, table, "--offline") == [warning]


def test_fewer_rows_than_eight_and_usual_ones_are_not_named(folder: Path) -> None:
    """A spike is left to its flag; fresh normal rows give no warning."""
    table = with_state(plant(600, seed=1))
    assert named(folder, table) == []
    table.loc[300:306, "pressure"] = -40.0
    assert named(folder, table) == []
    table.loc[307, "pressure"] = -41.0
    [warning] = named(folder, table)
    assert "'pressure' in 8 rows, down to -41 " in warning


def test_the_counts_of_parts_are_those_of_the_whole() -> None:
    """Readings add up over any cut; missing ones, other kinds and columns without a range count nothing."""
    columns = [
        Column("a", Kind.NUMERIC, minimum=0.0, maximum=10.0),
        Column("b", Kind.NUMERIC),
        Column("c", Kind.CATEGORICAL, categories=("x", "y")),
    ]
    values = np.array([[11.0, 5, 9], [11.1, 5, 9], [np.nan, np.nan, 9], [-1.1, 5, 9], [-30.0, 5, 9]])
    whole = BeyondRange.of(values, columns)
    assert whole.n.tolist() == [3, 0, 0]
    assert (whole.lowest[0], whole.highest[0]) == (-30.0, 11.1)
    parts = beyond_both(BeyondRange.of(values[:2], columns), BeyondRange.of(values[2:], columns))
    assert parts is not None
    np.testing.assert_array_equal(parts.n, whole.n)
    np.testing.assert_array_equal(parts.lowest, whole.lowest)
    np.testing.assert_array_equal(parts.highest, whole.highest)
