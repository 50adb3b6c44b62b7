"""Clocks as loggers write them: found, left out of the model, and not turned into features by one step back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

N = 300
START = pd.Timestamp("2024-02-14 23:00:00")  # days above 12 settle which number is the day


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def readings(clock: pd.DatetimeIndex | pd.Series, spelling: str) -> pd.DataFrame:
    load = np.random.default_rng(0).normal(size=len(clock))
    stamps = pd.Series(clock).dt.strftime(spelling)
    return pd.DataFrame({"when": stamps, "a": (5 + load).round(3), "b": (50 + 20 * load).round(2)})


def columns(run, quick: Path, table: pd.DataFrame, *more: str) -> dict[str, dict]:
    table.to_csv("normal.csv", index=False)
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json", *more)
    assert done.code == 0, done.err
    return {column["name"]: column for column in json.loads(done.out)["columns"]}


SPELLINGS = {
    "two-digit year": "%d/%m/%y %H:%M:%S",
    "two-digit year with points": "%d.%m.%y %H:%M:%S",
    "two-digit year with a month": "%d-%b-%y %H:%M:%S",
    "ISO basic": "%Y%m%dT%H%M%S",
    "four digits": "%d/%m/%Y %H:%M:%S",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_clock_is_found_however_it_is_spelled(run, quick: Path, name: str):
    """It orders the rows, so it is not modelled; `--time` takes it as well."""
    table = readings(pd.date_range(START, periods=N, freq="1h"), SPELLINGS[name])
    found = columns(run, quick, table)["when"]
    assert (found["role"], found["kind"]) == ("time", "datetime")
    assert "orders the rows" in found["reason"]
    assert columns(run, quick, table, "--time", "when")["when"]["role"] == "time"


@pytest.mark.parametrize("name", SPELLINGS)
def test_dates_out_of_order_are_dates(run, quick: Path, name: str):
    """Whatever the spelling they are the same moments: a table of four-digit years is scored the same."""
    moments = START + pd.to_timedelta(np.random.default_rng(1).integers(0, 10**7, N), unit="s")
    scores = []
    for spelling in (SPELLINGS[name], "%Y-%m-%dT%H:%M:%S"):
        assert columns(run, quick, readings(moments, spelling))["when"]["kind"] == "datetime"
        assert run("score", "normal.csv", "-m", "m.vae", "-o", "out.csv", "--quiet").code == 0
        scores.append(pd.read_csv("out.csv")["anomaly_score"])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-9)


@pytest.mark.parametrize(("year", "meant"), [("68", 2068), ("69", 1969), ("99", 1999), ("00", 2000)])
def test_years_of_two_digits_are_those_of_posix(run, quick: Path, year: str, meant: int):
    """69 to 99 are of the last century."""
    rng = np.random.default_rng(0)
    table = readings(pd.date_range(START, periods=N, freq="1h"), "%d.%m.%y")
    table["when"] = [f"{day:02}.03.{year}" for day in rng.integers(1, 29, N)]
    minimum = columns(run, quick, table)["when"]["minimum"]
    assert pd.Timestamp(minimum, unit="s").year == meant if isinstance(minimum, float) else str(meant) in str(minimum)


def swapped(clock: pd.DatetimeIndex) -> pd.Series:
    moved = pd.Series(clock)
    moved[[100, 101]] = moved[[101, 100]].to_numpy()
    return moved


def double_hour(clock: pd.DatetimeIndex) -> pd.Series:
    moved = pd.Series(clock)
    moved[100:] -= pd.Timedelta("1h")
    return moved


@pytest.mark.parametrize("step_back", [swapped, double_hour])
@pytest.mark.parametrize("spelling", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M"])
def test_one_step_back_leaves_a_clock_a_clock(run, quick: Path, step_back, spelling: str):
    """A swapped line or the double hour in October does not make it a feature that flags the future."""
    clock = pd.date_range(START, periods=N + 40, freq="10min")
    found = columns(run, quick, readings(step_back(clock[:N]), spelling))["when"]
    assert found["role"] == "time"
    readings(clock[N:], spelling).to_csv("new.csv", index=False)
    done = run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--json")
    assert json.loads(done.out)["anomalies"] <= 8


def test_dates_that_go_back_often_are_a_feature(run, quick: Path):
    """One step in twenty back is not a clock."""
    clock = pd.Series(pd.date_range(START, periods=N, freq="1h"))
    clock[::20] = clock[0]
    assert columns(run, quick, readings(clock, "%Y-%m-%d %H:%M"))["when"]["role"] == "feature"
