"""Tables that a fit of rows reads in another way than they mean are named in a warning with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Done

N = 240
RNG = np.random.default_rng(5)
WHEN = pd.date_range("2026-03-14", periods=N, freq="37min")
ROWS = pd.DataFrame({"a": RNG.normal(size=N).round(3), "b": RNG.normal(size=N).round(3)})
LONG = pd.DataFrame({"time": WHEN.repeat(2)[:N], "tag": ["flow", "level"] * (N // 2), "value": ROWS["a"]})


@pytest.fixture
def warned(run: Callable[..., Done], quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The warnings of a fit of a table."""
    monkeypatch.chdir(tmp_path)

    def fit(table: pd.DataFrame, *more: str) -> str:
        table.to_csv("t.csv", index=False)
        done = run("fit", "t.csv", "-o", "m.vae", "--config", str(quick), "--json", *more)
        assert done.code == 0, done.err
        return "\n".join(json.loads(done.out)["warnings"])

    return fit


def test_codes_that_are_modelled_as_numbers_are_named(warned) -> None:
    """Repeated identifiers and padded codes are named with the option that leaves them out; measurements are not."""
    table = ROWS.assign(
        customer_id=RNG.integers(1000, 1100, N),
        zip=[f"{code:05}" for code in RNG.integers(1067, 99999, N)],
        refractive_index=RNG.integers(1000, 1100, N),
        hours=RNG.integers(1000, 1100, N),
    )
    found = warned(table)
    assert "look like identifiers or codes: customer_id, zip;" in found
    assert "--exclude customer_id,zip leaves" in found
    assert "identifiers or codes" not in warned(table, "--exclude", "customer_id,zip")


@pytest.mark.parametrize(("tag", "value"), [("tag", "value"), ("Sensor Name", "Reading"), ("entity_id", "state")])
def test_a_row_per_reading_is_named_with_its_option(warned, tag: str, value: str) -> None:
    """The option of the warning makes a fit of the same table; other numbers beside the reading are no such table."""
    table = LONG.rename(columns={"tag": tag, "value": value})
    option = f"name={tag},value={value}"
    assert f"--long {option} judges" in warned(table, "--window", "0").replace("'", "")
    assert "a row per sensor" not in warned(table.assign(other=ROWS["b"]), "--window", "0")


def test_a_date_and_a_time_of_day_are_named(warned) -> None:
    """Days in one column and times in another are no clock; one column of both is one."""
    apart = ROWS.assign(Date=WHEN.strftime("%d.%m.%Y"), Time=WHEN.strftime("%H:%M:%S"))
    assert "'Date' holds days and 'Time' times of day" in warned(apart)
    assert "times of day" not in warned(ROWS.assign(Date=WHEN.strftime("%d.%m.%Y %H:%M:%S")))
