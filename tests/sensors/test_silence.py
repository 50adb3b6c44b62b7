"""A sensor that has no reading for long is flagged, named, and then left to a warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tests.sensors.conftest import Done, call, plant
from vaecli.data.series import missing_runs
from vaecli.sensors.fit_single_sensors import silence_limits

BEGIN = 100


def steps(n: int, seed: int = 0) -> pd.DataFrame:
    """A plant, a setpoint and a valve that hold for long and then step: without readings they look as usual."""
    table, rng = plant(n, seed), np.random.default_rng([seed, 1])
    level = np.cumsum(rng.random(n) < 0.02)
    return table.assign(setpoint=rng.normal(20, 1, n).round(1)[level], valve=rng.normal(40, 2, n).round(1)[level // 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of five sensors of which all but one never miss a reading; it misses five in a row."""
    folder = tmp_path_factory.mktemp("silence")
    normal = steps(1200)
    normal.loc[300:304, "valve"] = np.nan
    normal.to_csv(folder / "normal.csv", index=False)
    assert call("fit", folder / "normal.csv", "-o", folder / "m.vae").code == 0
    return folder


def scored(folder: Path, table: pd.DataFrame, *more: object) -> tuple[pd.DataFrame, Done]:
    table.to_csv(folder / "new.csv", index=False)
    done = call("score", folder / "new.csv", "-m", folder / "m.vae", "-o", folder / "s.csv", "--json", *more)
    assert done.code == 0, done.err
    return pd.read_csv(folder / "s.csv"), done


def silent(name: str, rows: int, seed: int = 1) -> pd.DataFrame:
    table = steps(600, seed)
    table.loc[BEGIN : BEGIN + rows - 1, name] = np.nan
    return table


@pytest.mark.parametrize(("name", "first"), [("setpoint", 8), ("valve", 11)])
def test_silence_is_flagged_from_twice_the_longest_of_training(folder: Path, name: str, first: int):
    """From the eighth row on, or more than twice as many rows as in training, and named first."""
    whole, _ = scored(folder, steps(600, 1), "--explain", 1)
    found, _ = scored(folder, silent(name, 40), "--explain", 1)
    other = found.is_anomaly != whole.is_anomaly
    assert other.idxmax() == BEGIN + first - 1
    assert found.is_anomaly[BEGIN + first - 1 : BEGIN + 40].all()
    assert found.top_columns[BEGIN + first - 1 : BEGIN + 40].str.startswith(f"{name}:").all()


def test_short_silence_changes_no_flag(folder: Path):
    """Seven rows without a reading are none that a person is woken for."""
    whole, _ = scored(folder, steps(600, 1))
    found, done = scored(folder, silent("setpoint", 7))
    assert (found.is_anomaly == whole.is_anomaly)[: BEGIN + 7].all()
    assert not any("without a reading" in line for line in done.summary["warnings"])


def test_what_stays_silent_is_no_news(folder: Path):
    """After 128 more rows flags end, so that other faults show; a warning names the sensor and its rows."""
    found, done = scored(folder, silent("setpoint", 500))
    assert found.is_anomaly[BEGIN + 7 : BEGIN + 7 + 128].all()
    assert found.is_anomaly[BEGIN + 7 + 128 + 64 :].mean() < 0.1
    assert any("'setpoint' for 500 rows" in line for line in done.summary["warnings"]), done.summary["warnings"]


def test_an_event_says_silent(folder: Path):
    """The event of a silent sensor names it so."""
    _, _ = scored(folder, silent("setpoint", 60), "--events", folder / "e.csv")
    events = pd.read_csv(folder / "e.csv")
    assert events.sensors.str.contains("setpoint:silent:").any()
    assert events.sentence.str.contains("silent: setpoint is missing").any(), events.sentence.tolist()


@pytest.mark.parametrize("cut", [BEGIN + 3, BEGIN + 8, BEGIN + 90])
def test_files_that_follow_each_other_count_on(folder: Path, tmp_path: Path, cut: int):
    """With --state, silence that began in the file before counts."""
    table = silent("setpoint", 300)
    whole, _ = scored(folder, table)
    parts = [scored(folder, part, "--state", tmp_path / "state")[0] for part in (table[:cut], table[cut:])]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_silence_begins_anew_after_a_gap(folder: Path):
    """Rows without a reading before and after a gap of the clock are not added up."""
    table = silent("setpoint", 14)
    table["when"] = pd.to_datetime(table["when"])
    table.loc[BEGIN + 7 :, "when"] += pd.Timedelta("1D")
    found, _ = scored(folder, table, "--explain", 1)
    assert not found.top_columns[BEGIN : BEGIN + 14].astype("str").str.startswith("setpoint:").any()


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), max_size=12), st.integers(0, 5))
def test_runs_are_those_of_counting(rows: list[list[bool]], before: int):
    """Counted row by row, they are the same."""
    missing, run, expected = np.array(rows, bool).reshape(-1, 2), [before, before], []
    for row in rows:
        run = [one + 1 if is_missing else 0 for one, is_missing in zip(run, row, strict=True)]
        expected.append(list(run))
    assert missing_runs(missing, np.array([before, before])).tolist() == expected


def test_limits_are_twice_the_longest_run():
    """Seven rows at least; runs of different pieces are not joined."""
    missing = np.zeros((20, 3), bool)
    missing[-6:, 1], missing[:, 2] = True, True
    assert silence_limits([missing, missing], 3).tolist() == [7, 12, 40]
