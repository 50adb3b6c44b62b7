"""`check` on tables and bundles that need more than columns compared: clocks, constants, series, older bundles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.sensors.conftest import plant
from vaecli.bundle import load_detector, save_detector

N_ROWS = 600


def table(seed: int, start: str = "2026-03-01", n_rows: int = N_ROWS) -> pd.DataFrame:
    """Rows of a line with a clock, a site that is always the same, a mode, and a pressure that remembers 20 rows."""
    rng = np.random.default_rng(seed)
    noise, pressure = rng.normal(size=n_rows), np.zeros(n_rows)
    for i in range(1, n_rows):
        pressure[i] = 0.95 * pressure[i - 1] + noise[i]
    return pd.DataFrame(
        {
            "at": pd.date_range(start, periods=n_rows, freq="1min").astype(str),
            "site": "A",
            "pressure": pressure.round(3),
            "flow": (pressure + rng.normal(0, 0.5, n_rows)).round(3),
            "mode": rng.choice(["fast", "slow"], n_rows, p=[0.7, 0.3]),
        }
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of rows with a clock: its rows are worth fewer independent ones."""
    path = tmp_path_factory.mktemp("clock") / "model.vae"
    vaecli.fit(table(0), preset="fast", max_epochs=3, time="at", **{"windows.window": 0}).save(path)
    return path


@pytest.fixture
def found(run, bundle: Path, tmp_path: Path):
    """Check a frame with a bundle: the JSON object."""

    def check(frame: pd.DataFrame, model: Path = bundle) -> dict:
        path = tmp_path / "new.csv"
        frame.to_csv(path, index=False)
        return json.loads(run("check", str(path), "-m", str(model), "--json").out)

    return check


def of(answer: dict, what: str) -> list[dict]:
    return [one for one in answer["findings"] if one["what"] == what]


def test_a_clock_that_stands_still_or_jumps(found):
    """One time in all rows, and a step longer than all of training, fail and name the times; a day later is no news."""
    later = table(1, "2026-03-09")
    assert of(found(later), "clock") == []
    (still,) = of(found(later.assign(at="2026-03-09 04:00:00")), "clock")
    assert (still["level"], still["column"]) == ("fail", "at")
    assert "stands still: all 600 rows have the time 2026-03-09" in still["sentence"]
    jump = later.assign(at=later["at"].where(np.arange(N_ROWS) < 300, table(1, "2031-01-01")["at"]))
    (jumped,) = of(found(jump), "clock")
    assert jumped["level"] == "fail"
    assert "jumps from 2026-03-09" in jumped["sentence"]
    assert "to 2031-01-01" in jumped["sentence"]


def test_rows_that_depend_on_each_other_widen_what_chance_may_do(found):
    """A later stretch of the same process does not fail, where as many independent rows at these values would."""
    answers = [found(table(seed, "2026-03-09")) for seed in (1, 2, 3)]
    assert [of(answer, "distribution") for answer in answers if answer["level"] == "fail"] == []
    assert all(answer["n_independent"] < N_ROWS / 4 for answer in answers)


def test_a_column_that_was_constant(found):
    """Another value in one row warns, in half of the rows it fails; the value at fit is named."""
    frame = table(1, "2026-03-09")
    for n_changed, level in ((1, "warn"), (N_ROWS // 2, "fail")):
        changed = frame.assign(site=np.where(np.arange(N_ROWS) < n_changed, "B", "A"))
        (constant,) = of(found(changed), "constant")
        assert (constant["level"], constant["column"], constant["before"]) == (level, "site", "always 'A'")


def test_columns_that_the_fit_did_not_see_are_named(found):
    """A new column is no reason to fail: it is named as not compared."""
    answer = found(table(1, "2026-03-09").assign(valve=1))
    assert answer["warnings"] == ["not in the table of the fit, and not compared: valve"]


def test_a_column_that_is_missing_is_the_input(run, bundle: Path, tmp_path: Path):
    """Columns of the fit that the table lacks are exit code 4, all of them named."""
    table(1).drop(columns=["flow", "mode"]).to_csv(tmp_path / "new.csv", index=False)
    done = run("check", str(tmp_path / "new.csv"), "-m", str(bundle))
    assert done.code == 4
    assert "2 columns are missing" in done.err
    assert "'flow'" in done.err


def test_a_bundle_without_counts_names_what_it_cannot_compare(found, bundle: Path, tmp_path: Path):
    """A bundle of a version that kept no marginals compares numbers by their quantiles, and names the other columns."""
    detector, manifest = load_detector(bundle)
    older = tmp_path / "older.vae"
    save_detector(older, replace(detector, marginals=None), manifest.config["fit"], manifest.summary)
    frame = table(1, "2026-03-09").assign(mode="fast")
    answer = found(frame.assign(pressure=frame["pressure"] + 30), older)
    assert answer["unchecked"] == [
        "the bundle keeps no counts of 'mode': fit again to compare how often each value occurs"
    ]
    assert {one["column"] for one in of(answer, "distribution")} == {"pressure"}


def test_series_are_not_checked_on_spark(run, tmp_path: Path):
    """Rows of a model of series depend on each other: exit code 2 with Spark, before a server is asked."""
    plant(300).to_csv(tmp_path / "plant.csv", index=False)
    assert run("fit", str(tmp_path / "plant.csv"), "-o", str(tmp_path / "series.vae"), "--window", "16").code == 0
    words = ("--engine", "spark", "--remote", "sc://localhost:1")
    done = run("check", "s3://lake/plant/", "-m", str(tmp_path / "series.vae"), *words)
    assert done.code == 2
    assert "model of series" in done.err
