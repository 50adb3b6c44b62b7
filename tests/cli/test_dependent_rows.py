"""A clock or a group column: the summaries name how many independent rows there are, and promise no more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from vaecli.bundle import read_bundle


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """1,500 rows of a process that remembers 300 of them, also as ten devices of 150 rows; in an empty folder."""
    monkeypatch.chdir(tmp_path)
    steps = np.random.default_rng(0).normal(size=(1500, 3))
    table = pd.DataFrame(lfilter([1], [1, -(1 - 1 / 300)], steps, axis=0), columns=["a", "b", "c"])
    return table.assign(second=np.arange(1500.0), device=np.repeat([f"d{i}" for i in range(10)], 150))


@pytest.fixture
def fit(run: Callable[..., Any], quick: Path, table: pd.DataFrame) -> Callable[..., tuple[dict[str, Any], str]]:
    """Fit that table: the JSON, and the page for people in one line."""

    def fit_with(*words: str, drop: str) -> tuple[dict[str, Any], str]:
        table.drop(columns=drop).to_csv("normal.csv", index=False)
        done = run("fit", "normal.csv", "--window", "0", "--config", str(quick), *words)
        assert done.code == 0, done.err
        return json.loads(run("inspect", "model.vae", "--json").out), re.sub(r"\s+", " ", done.out)

    return fit_with


def test_a_series_too_short_for_its_memory_promises_nothing(run, fit):
    """Fit says how many rows there are in truth; score flags, and says that its level is a guess."""
    inspected, page = fit("--time", "second", drop="device")
    calibration = inspected["calibration"]
    assert calibration["n_rows"] == 1500
    assert 1 <= calibration["n_effective"] < 20
    assert (calibration["finest_level"], inspected["fit"]["finest_level"]) == (0, 0)
    assert inspected["fit"]["n_effective"] == calibration["n_effective"]
    worth = f"1,500 rows of one series, worth about {calibration['n_effective']} independent ones"
    assert page.count(worth) == 2
    assert "no threshold can be promised" in page
    assert "about 1 in 100" not in page
    scored = json.loads(run("score", "normal.csv", "-m", "model.vae", "-o", "scored.csv", "--json").out)
    assert scored["uses_tail_model"] is True
    assert any(worth in warning and "fit a longer series" in warning for warning in scored["warnings"])
    people = re.sub(r"\s+", " ", run("score", "normal.csv", "-m", "model.vae", "-o", "scored.csv").out)
    assert "about 1 in 100" not in people
    assert pd.read_csv("scored.csv")["p_value"].between(0, 1, inclusive="right").all()


def test_new_devices_are_promised_what_ten_devices_resolve(run, fit):
    """Devices that differ are few rows: the finest level is named, and a coarser one holds without a warning."""
    inspected, page = fit("--group", "device", drop="second")
    calibration = inspected["calibration"]
    assert calibration["n_groups"] == 10
    assert 5 <= calibration["n_effective"] <= 40
    assert calibration["finest_level"] == pytest.approx(1 - 3 / (calibration["n_effective"] + 1))
    assert f"1,500 rows of 10 groups, worth about {calibration['n_effective']} independent ones" in page
    assert "threshold 0.99 cannot be promised" in page
    words = ("score", "normal.csv", "-m", "model.vae", "-o", "scored.csv", "--json")
    assert json.loads(run(*words, "--threshold", str(calibration["finest_level"])).out)["uses_tail_model"] is False
    assert "cannot be promised" in " ".join(json.loads(run(*words).out)["warnings"])


def test_rows_without_a_clock_are_as_before(run, fit):
    """No new key or array in a bundle of rows that are taken as independent; null in the summary of fit."""
    inspected, page = fit("--exclude", "second", drop="device")
    assert not {"n_effective", "n_groups"} & {*inspected["calibration"], *inspected["fit"]}
    assert not [name for name in read_bundle(Path("model.vae"))[1] if name.endswith(".effective")]
    assert "1,500 rows, scored by networks that were not trained on them" in page
