"""Readings that no training row supports are flagged and named: slow drifts, and status words that are new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.sensors.conftest import Done, call, plant
from vaecli.data.sensor_columns import SensorColumns
from vaecli.data.sensor_scale import CONTINUOUS, SensorScale
from vaecli.data.series import Stretch
from vaecli.data.support import RAISED_ROWS, UNSEEN_ROWS
from vaecli.schema import Column, Kind
from vaecli.sensors.fit_support import FEWEST_ROWS, fit_support

N = 1600
BEGIN = 200
RISE = 8


def with_state(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A machine that idles at times, and a bearing whose temperature follows that slowly."""
    n = len(table)
    idle = np.arange(n) % 100 < 30
    bearing, noise = np.empty(n), np.random.default_rng([seed, 1]).normal(size=n)
    level = 40.0
    for i in range(n):
        level += 0.05 * ((25 if idle[i] else 50) - level) + 0.3 * noise[i]
        bearing[i] = level
    return table.assign(state=np.where(idle, "idle", "run"), bearing=bearing.round(2))


def drifting(n: int = N, rise: float = RISE) -> pd.DataFrame:
    """The bearing, whose range is 25 degrees, becomes eight degrees hotter, far slower than windows see."""
    table = with_state(plant(n, seed=1), 1)
    table["bearing"] += np.clip((np.arange(n) - BEGIN) / (n - 2 * BEGIN), 0, 1) * rise
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a plant with a state, `m.vae`."""
    folder = tmp_path_factory.mktemp("support")
    with_state(plant(1200)).to_csv(folder / "normal.csv", index=False)
    assert call("fit", folder / "normal.csv", "-o", folder / "m.vae").code == 0
    return folder


def scored(folder: Path, table: pd.DataFrame, *more: object) -> tuple[pd.DataFrame, Done]:
    table.to_csv(folder / "new.csv", index=False)
    done = call("score", folder / "new.csv", "-m", folder / "m.vae", "-o", folder / "s.csv", "--json", *more)
    assert done.code == 0, done.err
    return pd.read_csv(folder / "s.csv"), done


def names_first(found: pd.DataFrame, name: str) -> np.ndarray:
    return found.top_columns.astype("str").str.startswith(f"{name}:").to_numpy(bool)


def test_a_slow_drift_is_flagged_and_named(folder: Path):
    """Sixteen rows that the same bundle flags none of without what training supports."""
    found, _ = scored(folder, drifting(), "--explain", 1)
    model = vaecli.load(folder / "m.vae")
    before = replace(model.detector, judge=replace(model.detector.judge, support=None))
    flagged = replace(model, detector=before).score(drifting())["is_anomaly"]
    assert (names_first(found, "bearing") & found.is_anomaly & ~flagged)[BEGIN:].sum() >= RAISED_ROWS


def test_the_event_names_the_reason(folder: Path):
    """Up, with the reading and the range of training."""
    _, _ = scored(folder, drifting(), "--events", folder / "e.csv")
    events = pd.read_csv(folder / "e.csv")
    mine = events[events.sensors.str.startswith("bearing:up:")]
    assert mine.sentence.str.contains("its mean of 8 rows is beyond those of training (28 to 51)", regex=False).any(), (
        events
    )
    found = call("explain", folder / "new.csv", "-m", folder / "m.vae", "--json").summary
    mine = (one for event in found["shown"] for one in event["sensors"] if one["column"] == "bearing")
    first = max(mine, key=lambda one: one["nats"])
    assert 27 < first["low"] < 29 < 51 < first["high"] < 52 < first["value"]


def test_a_long_event_names_the_reason_too(folder: Path):
    """A level beyond the range decides a few rows of an event that windows see throughout: it is up, and beyond."""
    scored(folder, drifting(rise=40), "--events", folder / "e.csv")
    events = pd.read_csv(folder / "e.csv")
    long = events.loc[events["rows"].idxmax()]
    assert long["rows"] > 1000
    assert "up: bearing = 89, its mean of 8 rows is beyond those of training (28 to 51)" in long.sentence


@pytest.mark.parametrize("ahead", [(), ("--offline",)])
def test_a_new_status_is_flagged_as_long_as_it_lasts(folder: Path, ahead: tuple[str, ...]):
    """From its first row on, and named as never seen; rows before it keep their scores."""
    whole, _ = scored(folder, with_state(plant(600, 1)), *ahead)
    table = with_state(plant(600, 1))
    table.loc[BEGIN : BEGIN + 9, "state"] = "E07"
    found, _ = scored(folder, table, "--explain", 1, "--events", folder / "e.csv", *ahead)
    assert found.is_anomaly[BEGIN : BEGIN + 10].all()
    assert names_first(found, "state")[BEGIN : BEGIN + 10].all()
    assert pd.read_csv(folder / "e.csv").sentence.str.contains("state = E07, never seen").any()
    if not ahead:
        np.testing.assert_array_equal(found.anomaly_score[:BEGIN], whole.anomaly_score[:BEGIN])


def test_normal_rows_score_as_without(folder: Path):
    """Fresh normal rows keep every bit of their scores."""
    table, model = with_state(plant(600, seed=2)), vaecli.load(folder / "m.vae")
    without = replace(model.detector, judge=replace(model.detector.judge, support=None))
    found, before = model.score(table), replace(model, detector=without).score(table)
    np.testing.assert_array_equal(found["anomaly_score"], before["anomaly_score"])


@pytest.mark.parametrize("cuts", [(BEGIN + 3, BEGIN + 40, 700), (650, 900)])
def test_files_that_follow_each_other_count_on(folder: Path, tmp_path: Path, cuts: tuple[int, ...]):
    """With --state, alarms of the files before count: pieces score as the whole, to the bit."""
    table = drifting()
    table.loc[BEGIN : BEGIN + 199, "state"] = "E07"
    whole, _ = scored(folder, table, "--batch-rows", "64")
    edges = zip((0, *cuts), (*cuts, N), strict=True)
    parts = [scored(folder, table[a:b], "--state", tmp_path / "state")[0] for a, b in edges]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    assert whole.is_anomaly[BEGIN : BEGIN + UNSEEN_ROWS].all()


def learned(table: pd.DataFrame, kinds: list[Kind]) -> tuple[np.ndarray, np.ndarray]:
    """The margins in units of the readings (2, D), infinite where there is none, and which indicators decide (D,)."""
    columns = SensorColumns(
        tuple(
            Column(name, kind, categories=tuple(sorted(set(table[name]))) if kind is Kind.CATEGORICAL else ())
            for name, kind in zip(table, kinds, strict=True)
        )
    )
    parts = []
    for column in columns.columns:
        values = table[column.name].to_numpy()
        if column.kind is Kind.CATEGORICAL:
            parts += [(values == one).astype(float) for one in (*column.categories, None)]
        else:
            parts.append(values.astype(float))
    readings = np.stack(parts, axis=1)
    scale = SensorScale.of(readings)
    scaled = scale.scaled(readings)
    stretch = Stretch(np.repeat(scaled[:1], 8, axis=0), scaled, np.arange(len(scaled)), 0)
    found = fit_support([stretch], columns, np.arange(scaled.shape[1]), scale.kind)
    assert (scale.kind[np.isfinite(found.margin[0])] <= CONTINUOUS).all()
    return found.margin * scale.deviation, found.unseen


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_short_training_has_no_range():
    """A few hundred rows do not show how far a level goes."""
    assert np.isinf(learned(pd.DataFrame({"x": noise(FEWEST_ROWS - 1)}), [Kind.NUMERIC])[0]).all()
    assert np.isfinite(learned(pd.DataFrame({"x": noise(FEWEST_ROWS)}), [Kind.NUMERIC])[0]).all()


def test_a_sensor_that_wanders_gets_a_wider_margin():
    """Extremes of its blocks differ by more; the margin of white noise is a tenth of its range or little more."""
    wanders = pd.DataFrame({"white": noise(8000), "walk": noise(8000, 1).cumsum() / 20})
    margin, _ = learned(wanders, [Kind.NUMERIC, Kind.NUMERIC])
    range_of_walk = np.ptp(wanders["walk"])
    assert margin[:, 0].max() < 0.1 * np.ptp(wanders["white"])
    assert margin[:, 1].min() > 0.2 * range_of_walk


@pytest.mark.parametrize(("seldom", "decides"), [(False, True), (True, False)])
def test_numbers_of_few_values_have_a_range_where_no_value_came_once(seldom: bool, decides: bool):
    """A code that came in one block of time only announces others that never came."""
    code = np.tile(np.repeat([0, 1, 2], 20), 50)[:2400].astype(float)
    code[700:710] = 4.0 if seldom else 2.0
    margin, _ = learned(pd.DataFrame({"x": noise(2400), "code": code}), [Kind.NUMERIC, Kind.NUMERIC])
    assert np.isfinite(margin[:, 0]).all()
    assert np.isfinite(margin[:, 1]).all() == decides


def test_commands_that_outnumber_sensors_have_no_range():
    """Of many switches that hardly moved in training some will."""
    switches = {f"s{i}": (np.arange(2400) // 50 % (i + 2) == 0).astype(float) for i in range(3)}
    margin, _ = learned(pd.DataFrame({"x": noise(2400)} | switches), [Kind.NUMERIC] * 4)
    assert np.isfinite(margin[:, 0]).all()
    assert np.isinf(margin[:, 1:]).all()


@pytest.mark.parametrize(("rows_of_new", "decides"), [(3, True), (60, False)])
def test_a_word_is_no_news_where_words_often_are(rows_of_new: int, decides: bool):
    """Words that came in one block of time, in more than half a per cent of the rows, announce others."""
    state = np.where(np.arange(2400) % 60 < 20, "idle", "run").astype(object)
    state[500 : 500 + rows_of_new] = "test run"
    _, unseen = learned(pd.DataFrame({"x": noise(2400), "state": state}), [Kind.NUMERIC, Kind.CATEGORICAL])
    assert unseen.tolist() == [False, False, False, False, decides]
