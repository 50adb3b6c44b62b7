"""Sensors that follow the hour of the day or of the week are compared with what they usually read then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sensors.conftest import call, fitted, scored
from vaecli.bundle.save_load import load_any_detector
from vaecli.data.cycle_profile import PERIODS, CycleProfile, find_profile
from vaecli.sensors.detector import SensorDetector

STEP = 600.0
DAY = 144  # rows


def shifts(n_days: int, seed: int, first_day: int = 0) -> pd.DataFrame:
    """A machine that runs from 6 to 22 o'clock: its power, a flow that follows it, and a wandering pressure."""
    rng = np.random.default_rng(seed)
    row = np.arange(n_days * DAY)
    hour = row / 6 % 24
    noise = rng.normal(size=(row.size, 3))
    for t in range(1, row.size):
        noise[t] += 0.6 * noise[t - 1]
    runs = ((hour >= 6) & (hour < 22)).astype(float)
    time = pd.Timestamp("2026-03-02") + pd.to_timedelta(first_day * 1440 + 10 * row, unit="min")
    power, flow = 50 * runs + noise[:, 0], 10 * runs + noise[:, 1]
    return pd.DataFrame({"when": time.astype(str), "power": power, "flow": flow, "pressure": noise[:, 2]}).round(4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of ten days of shifts."""
    bundle, summary = fitted(shifts(10, 1), tmp_path_factory.mktemp("shifts"))
    assert (summary["n_sensors"], summary["n_compared"], summary["cycle_days"]) == (3, 2, 1)
    return bundle


def test_a_machine_that_runs_at_night_is_seen(model: Path, tmp_path: Path):
    """And named, with what it usually reads then; other nights raise little."""
    new = shifts(6, 2, 10)
    new.loc[3 * DAY + 18 : 3 * DAY + 23, ["power", "flow"]] += [50, 10]
    new.to_csv(tmp_path / "new.csv", index=False)
    done = call("explain", tmp_path / "new.csv", "-m", model, "--json")
    event = json.loads(done.out)["shown"][0]
    assert "2026-03-15T03:00" <= event["start"][:16] <= "2026-03-15T03:30"
    assert json.loads(done.out)["anomalies"] - event["flagged_rows"] < 0.06 * len(new)
    sensor = next(sensor for sensor in event["sensors"] if sensor["column"] == "power")
    assert sensor["direction"] == "up"
    assert sensor["value"] == pytest.approx(50, abs=6)
    assert sensor["expected"] == pytest.approx(0, abs=3)


def test_files_that_follow_each_other_score_as_the_whole(model: Path, tmp_path: Path):
    new = shifts(3, 3, 10)
    new.loc[50:60, "flow"] = np.nan
    whole = scored(new, model, tmp_path)
    parts = [scored(new[a:b], model, tmp_path, "--state", tmp_path / "s") for a, b in ((0, 55), (55, 200), (200, 432))]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, check_exact=True)


def test_a_table_without_a_cycle_has_no_companions(tmp_path: Path):
    table = shifts(10, 1)
    table[["power", "flow", "pressure"]] = table[["power", "flow", "pressure"]] * 0 + np.random.default_rng(0).normal(
        size=(len(table), 3)
    ).cumsum(0)
    bundle, summary = fitted(table, tmp_path, "--window", 32)
    assert (summary["n_compared"], summary["cycle_days"]) == (0, 0)
    detector = load_any_detector(bundle)[0]
    assert detector.cycle is None
    assert not any(name.startswith("cycle/") for name in detector.to_parts()[1])


def found(n_days: int, of_week: float = 0.0, of_day: float = 1.0) -> CycleProfile | None:
    """The profile of a sensor that swings with the day and is off on weekends."""
    time = np.arange(n_days * DAY) * STEP
    noise = np.random.default_rng(0).normal(size=time.size)
    weekend = (time // PERIODS[0]) % 7 >= 5
    x = of_day * 2 * np.sin(time / PERIODS[0] * 2 * np.pi) - of_week * weekend + noise
    scaled = ((x - x.mean()) / x.std()).astype(np.float32)[:, None]
    result = find_profile(scaled, time, np.arange(time.size) * 3 // time.size, np.array([0]), STEP)
    return None if result is None else result[0]


@pytest.mark.parametrize(
    ("n_days", "of_week", "of_day", "period"),
    [(3, 0, 1, None), (8, 0, 1, 0), (35, 0, 1, 0), (35, 6, 1, 1), (20, 2, 1, 0), (35, 0, 0, None)],
    ids=["three days", "a week", "five weeks alike", "five weeks with weekends", "too few weeks", "no cycle"],
)
def test_the_cycle_that_helps_is_taken(n_days: int, of_week: float, of_day: float, period: int | None):
    """From four days, or four weeks where weekdays differ; none where the hour does not help."""
    profile = found(n_days, of_week, of_day)
    assert (None if profile is None else profile.period) == (None if period is None else PERIODS[period])


@pytest.mark.parametrize(
    "changed",
    [
        {"cycle/period": np.array([7.0])},
        {"cycle/sensor": np.array([5])},
        {"cycle/sensor": np.array([0.0])},
        {"cycle/deviation": np.full((48, 1), 0.09, np.float32)},
        {"cycle/mean": np.full((48, 1), 11, np.float32)},
        {"cycle/mean": np.full((48, 1), np.nan, np.float32)},
        {"cycle/mean": np.zeros((48, 2), np.float32)},
    ],
)
def test_foreign_profiles_are_refused(changed: dict[str, np.ndarray]):
    profile = found(8)
    assert profile is not None
    arrays = profile.to_arrays()
    assert CycleProfile.from_arrays(arrays, 1) is not None
    with pytest.raises(ValueError, match="cycle"):
        CycleProfile.from_arrays(arrays | changed, 1)


@pytest.mark.parametrize("lost", ["cycle/period", "cycle/mean"])
def test_a_bundle_that_lost_its_profile_is_refused(model: Path, lost: str):
    """As by an earlier build, which does not know the profile: the sensors do not fit, and nothing is scored."""
    detector = load_any_detector(model)[0]
    assert isinstance(detector, SensorDetector)
    settings, arrays = detector.to_parts()
    del arrays[lost]
    with pytest.raises((KeyError, ValueError)):
        SensorDetector.from_parts(detector.schema, settings, arrays)
