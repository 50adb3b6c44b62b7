"""Values that come often: a 0 is normal while the pump is off, and wrong while it runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.bundle import read_bundle
from vaecli.cli.app import main


def pump(n: int, seed: int) -> pd.DataFrame:
    """Rows of a pump that runs in seven of ten; else its speed and flow are 0 and its pressure is low."""
    rng = np.random.default_rng(seed)
    on = rng.random(n) < 0.7
    speed = np.where(on, 1450 + 30 * rng.normal(size=n), 0.0)
    return pd.DataFrame(
        {
            "speed": speed.round(0),
            "flow": np.where(on, speed / 30 + 2 * rng.normal(size=n), 0.0).round(1),
            "pressure": (np.where(on, 6, 2) + 0.3 * rng.normal(size=n)).round(2),
            "temperature": (60 + 5 * rng.normal(size=n)).round(1),
        }
    )


@pytest.fixture(scope="module")
def model() -> vaecli.Model:
    """Fitted to a thousand rows."""
    return vaecli.fit(pump(1_000, 0), preset="fast", **{"train.max_steps": 100})


@pytest.fixture
def shell(model: vaecli.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command line beside model.vae; its exit code."""
    model.save(tmp_path / "model.vae")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as left:
            main(words)
        return int(left.value.code or 0)

    return run


def off_and_on(table: pd.DataFrame) -> np.ndarray:
    """Which rows run."""
    return (table["speed"] > 0).to_numpy()


def test_a_dead_sensor_is_flagged_while_the_pump_runs_and_not_while_it_is_off(model: vaecli.Model) -> None:
    """A flow of 0 beside a speed of 1450; a pump that is off, flow 0, is as normal as any row."""
    table = pump(2_000, 1)
    flagged = model.score(table)["is_anomaly"].to_numpy()
    on = off_and_on(table)
    assert flagged[on].mean() < 0.03
    assert flagged[~on].mean() < 0.03
    dead = table[on].assign(flow=0.0)
    assert model.score(dead)["is_anomaly"].mean() > 0.99


def test_the_judge_is_in_the_bundle_and_scores_alike(model: vaecli.Model, shell: Callable[..., int]) -> None:
    """Format 12 holds it; a saved bundle gives the same scores."""
    table = pump(300, 2)
    manifest, arrays = read_bundle(Path("model.vae"))
    assert manifest.format == 12
    assert {name for name in arrays if name.startswith("cells/levels/")} >= {
        "cells/levels/weight",
        "cells/levels/limit",
    }
    again = vaecli.load("model.vae").score(table)
    pd.testing.assert_frame_equal(again, model.score(table))


def test_the_reason_says_how_probable_the_value_is(
    model: vaecli.Model, shell: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A 0 that decided has its probability; a reading where 0 was expected has that of the 0."""
    table = pump(400, 3)
    on = np.flatnonzero(off_and_on(table))
    table.loc[on[0], "flow"] = 0.0
    table.to_csv("new.csv", index=False)
    assert shell("explain", "new.csv", "--row", str(on[0] + 1), "--json") == 0
    reason = json.loads(capsys.readouterr().out)["shown"][0]["reasons"][0]
    assert (reason["column"], reason["value"]) == ("flow", 0)
    assert 0 < reason["own_probability"] < 0.05
    assert 40 < reason["expected"] < 56
    assert reason["sentence"].startswith("flow = 0 (probability ")
    assert " %), expected 4" in reason["sentence"] or " %), expected 5" in reason["sentence"]


def test_a_reading_where_nothing_was_expected(
    model: vaecli.Model, shell: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A flow while the pump is off: 0 was expected, with a probability and as the table writes it."""
    table = pump(400, 4)
    off = np.flatnonzero(~off_and_on(table))
    table.loc[off[:5], "flow"] = 3.0  # a little: no other judge sees it
    table.to_csv("new.csv", index=False)
    words = [word for i in off[:5] for word in ("--row", str(i + 1))]
    assert shell("explain", "new.csv", *words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["shown"]
    assert [row["reasons"][0]["column"] for row in rows] == ["flow"] * 5
    assert all(row["is_anomaly"] for row in rows)


def plant(n: int, seed: int) -> pd.DataFrame:
    """A state of 0, 1 or 2, which speed and flow follow."""
    rng = np.random.default_rng(seed)
    status = rng.choice(3, n, p=[0.2, 0.3, 0.5])
    speed = np.array([0, 700, 1450])[status] + 20 * rng.normal(size=n) * (status > 0)
    flow, temperature = speed / 30 + rng.normal(size=n), 60 + 5 * rng.normal(size=n)
    columns = {"status": status, "speed": speed.round(0), "flow": flow.round(1), "temp": temperature.round(1)}
    return pd.DataFrame(columns)


def test_another_state_is_expected_and_no_number_between_two(tmp_path: Path) -> None:
    """Whatever judge decided: a wrong state, one that training never saw, and a state beside another fault."""
    model = vaecli.fit(plant(1_000, 0), preset="fast", **{"train.max_steps": 100})
    assert model.detector.cells is not None
    assert model.detector.cells.levels is not None
    states = model.detector.cells.levels.regression.are_states()
    assert states.tolist() == [True, False, False, False]
    table = plant(300, 1).query("status == 2")[:4].reset_index(drop=True)
    table.loc[:, "status"] = [0, 1, 7, 0]
    table.loc[3, "temp"] = 200.0
    found = model.explain(table).to_pandas()
    of_status = found[found["column"] == "status"].set_index("row")
    assert of_status.index.tolist() == [1, 2, 3, 4]
    assert (of_status["expected"].astype(float) == 2).all()
    assert of_status[["low", "high"]].isna().all(axis=None)
    assert (of_status["probability"] > 0.5).all()
    assert (of_status["own_probability"].drop(3) < 0.05).all()
    assert math.isnan(of_status["own_probability"][3])
    assert of_status["reason"][3] == "status = 7, expected 2"
    assert re.fullmatch(r"status = 0 \(probability .+ %\), expected 2 \(.+ %\)", of_status["reason"][1])


@pytest.mark.parametrize("column", ["speed", "flow"])
def test_a_table_whose_other_columns_do_not_tell_has_no_such_judge(column: str) -> None:
    """A 0 that comes at any time is at no wrong time."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.normal(size=(400, 4)), columns=["speed", "flow", "a", "b"])
    table.loc[rng.random(400) < 0.3, column] = 0.0
    model = vaecli.fit(table, preset="fast", **{"train.max_steps": 20})
    assert model.detector.cells is not None
    assert model.detector.cells.levels is None


def measured_sometimes(n: int, seed: int) -> pd.DataFrame:
    """A load that follows a state; a laboratory value that is there in one state only, three rows of ten."""
    rng = np.random.default_rng(seed)
    state = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    lab = np.where(state == 1, 20 + 2 * rng.normal(size=n), np.nan)
    load = 50 * state + 3 * rng.normal(size=n)
    return pd.DataFrame({"state": state, "load": load.round(1), "lab": lab.round(2), "room": rng.normal(20, 3, n)})


def test_a_gap_and_a_value_at_the_wrong_time_are_explained_by_what_was_expected() -> None:
    """A usual laboratory value is no reason by itself, but by being there; nor is a gap, which is usual."""
    model = vaecli.fit(measured_sometimes(1_000, 0), preset="fast", **{"train.max_steps": 100})
    table = measured_sometimes(60, 1)
    of_state = [np.flatnonzero(table["state"] == state)[:4] for state in range(2)]
    table.loc[of_state[0], "lab"], table.loc[of_state[1], "lab"] = 20.0, np.nan
    reasons = model.explain(table.iloc[np.concatenate(of_state)], rows=tuple(range(1, 9))).to_pylist()
    gaps = [one["reason"] for one in reasons if one["column"] == "lab" and one["value"] is None]
    values = [one["reason"] for one in reasons if one["column"] == "lab" and one["value"] is not None]
    assert min(len(gaps), len(values)) >= 3
    for sentence in values:
        assert re.fullmatch(r"lab = 20(\.0+)?, expected to be missing \(.*\d %\)", sentence)
    for sentence in gaps:
        assert re.fullmatch(r"lab is missing \(probability .*\d %\), expected (19|2\d)\.\d+ .*", sentence)
