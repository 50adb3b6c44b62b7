"""Clocks as devices write them: the same moments give the same windows, steps and scores, in CSV and Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.sensors.conftest import fitted, plant, read, scored_and_summary, write
from vaecli.cli.app import main
from vaecli.data.clock_units import clock_seconds, unit_of
from vaecli.schema import Column, Kind, Role

Spell = Callable[[pd.Series], Any]
EPOCH = pd.Timestamp("1970-01-01")


def since_1970(unit: str) -> Spell:
    return lambda moments: (moments - EPOCH) // pd.Timedelta(1, unit)


CLOCKS: dict[str, Spell] = {
    "seconds": since_1970("s"),
    "seconds with fractions": lambda moments: (moments - EPOCH) / pd.Timedelta(1, "s") + 0.25,
    "milliseconds": since_1970("ms"),
    "microseconds": since_1970("us"),
    "nanoseconds": since_1970("ns"),
    "spreadsheet days": lambda moments: (moments - pd.Timestamp("1899-12-30")) / pd.Timedelta(1, "D"),
    "ISO": lambda moments: moments.dt.strftime("%Y-%m-%dT%H:%M:%S"),
    "ISO with Z": lambda moments: moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "ISO with an offset": lambda moments: (moments + pd.Timedelta("2h")).dt.strftime("%Y-%m-%d %H:%M:%S+02:00"),
    "day first": lambda moments: moments.dt.strftime("%d.%m.%Y %H:%M:%S"),
}


def with_clock(table: pd.DataFrame, spell: Spell) -> pd.DataFrame:
    moments = pd.to_datetime(table["when"]) + pd.Timedelta("20D")  # a day above 12 settles which number is the day
    return table.drop(columns="when").assign(timestamp=spell(moments))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        pytest.param(name, suffix, marks=[] if suffix == (".csv", ".parquet")[i % 2] else pytest.mark.slow)
        for i, name in enumerate(CLOCKS)
        for suffix in (".csv", ".parquet")
    ],
)
def test_a_clock_is_found_and_means_seconds(bundle: Path, tmp_path: Path, name: str, suffix: str):
    """`fit` finds it; `--max-gap` is in its terms; the scores are those of the same moments in ISO."""
    table, new = plant(600), plant(200, 5)
    source = write(with_clock(table, CLOCKS[name]), tmp_path / f"normal{suffix}")
    made = tmp_path / "m.vae"
    with pytest.raises(SystemExit) as left:
        main(["fit", str(source), "-o", str(made), "--quiet", "--max-gap", "10m"])
    assert not left.value.code
    new["when"] = pd.to_datetime(new["when"]) + pd.to_timedelta(np.where(np.arange(200) >= 100, 11, 0), unit="min")
    found, summary = scored_and_summary(with_clock(new, CLOCKS[name]), made, tmp_path, suffix=suffix)
    expected, same = scored_and_summary(new.assign(when=new["when"].dt.strftime("%Y-%m-%dT%H:%M:%S")), bundle, tmp_path)
    assert summary["gaps"] == same["gaps"] == 1
    np.testing.assert_array_equal(found["anomaly_score"], expected["anomaly_score"])


@pytest.mark.parametrize("name", CLOCKS)
def test_the_summary_is_in_seconds(tmp_path: Path, name: str):
    _, summary = fitted(with_clock(plant(300), CLOCKS[name]), tmp_path)
    assert (summary["model"], summary["time_column"], summary["is_date"]) == ("sensors", "timestamp", True)
    assert summary["step"] == pytest.approx(60, abs=1e-3)
    assert summary["max_gap"] == pytest.approx(600, abs=1e-2)
    assert pd.Timestamp(summary["first_time"], unit="s").strftime("%Y-%m-%d %H:%M") == "2024-03-21 00:00"


def test_a_clock_that_counts_keeps_its_units(tmp_path: Path):
    """Cycles since the start are not moments: steps and gaps are in them."""
    table = plant(300).drop(columns="when").assign(cycle=np.arange(300) * 5)
    made, summary = fitted(table, tmp_path, "--max-gap", "20")
    assert (summary["is_date"], summary["step"], summary["max_gap"]) == (False, 5, 20)
    assert not any("of a day" in warning for warning in summary["warnings"])
    new = plant(100, 5).drop(columns="when").assign(cycle=np.arange(100) * 5)
    new.loc[50:, "cycle"] += 20
    assert scored_and_summary(new, made, tmp_path)[1]["gaps"] == 1


def column(name: str, minimum: float, maximum: float, *, whole: bool) -> Column:
    return Column(name, Kind.NUMERIC, Role.TIME, whole=whole, minimum=minimum, maximum=maximum)


@pytest.mark.parametrize(
    ("name", "ends", "whole", "unit"),
    [
        ("ts", (1.7e9, 1.8e9), True, "seconds"),
        ("ts", (1.7e12, 1.8e12), True, "milliseconds"),
        ("ts", (1.7e15, 1.8e15), True, "microseconds"),
        ("ts", (1.7e18, 1.8e18), True, "nanoseconds"),
        ("ts", (1.7e9, 1.8e10), True, None),
        ("ts", (0, 1.8e9), True, None),
        ("time", (45_000.25, 45_010.5), False, "days since 1899-12-30"),
        ("time", (45_000, 45_010), True, None),
        ("seconds", (45_000.25, 45_010.5), False, None),
        ("elapsed time", (45_000.25, 45_010.5), False, None),
        ("time", (0.0, 300.5), False, None),
    ],
)
def test_a_unit_is_told_by_the_range(name: str, ends: tuple[float, float], whole: bool, unit: str | None):
    found = unit_of(column(name, *ends, whole=whole))
    assert (found and found.name) == unit


@pytest.mark.parametrize(("per_second", "whole"), [(1, True), (10**3, True), (10**6, True), (10**9, True)])
def test_the_same_moment_in_every_unit(per_second: int, whole: bool):
    moments = np.array([1_709_251_200, 1_709_251_260, 1_709_337_600])
    clock = column("ts", moments[0] * float(per_second), moments[-1] * float(per_second), whole=whole)
    np.testing.assert_array_equal(clock_seconds(moments * float(per_second), clock), moments)


def test_what_was_written_is_passed_through(tmp_path: Path):
    """The clock's cells stay as they were written, whatever they mean."""
    table = with_clock(plant(300), CLOCKS["milliseconds"])
    made, _ = fitted(table, tmp_path)
    source = write(table[:50], tmp_path / "new.csv")
    with pytest.raises(SystemExit):
        main(["score", str(source), "-m", str(made), "-o", str(tmp_path / "out.csv"), "--quiet"])
    assert read(tmp_path / "out.csv")["timestamp"].tolist() == table["timestamp"][:50].tolist()
