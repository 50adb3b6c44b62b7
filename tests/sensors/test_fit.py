"""What `vaecli fit` makes of tables of series, through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.sensors.conftest import call, fitted, interleaved, plant, scored_and_summary, write


def test_a_clock_is_found_and_said(one_series: tuple[Path, dict[str, Any]]):
    """The summary names the clock, its step, the longest step of a window and the windows."""
    _, summary = one_series
    assert (summary["model"], summary["time_column"], summary["is_date"]) == ("sensors", "when", True)
    assert (summary["step"], summary["max_gap"], summary["n_rows"]) == (60, 600, 600)
    assert summary["n_sensors"] == summary["n_continuous"] == 3
    assert 1 < summary["n_effective"] < 300
    assert any("% of a day" in warning for warning in summary["warnings"])


def test_the_page_says_the_clock_and_the_windows(tmp_path: Path):
    done = call("fit", write(plant(300), tmp_path / "n.csv"), "-o", tmp_path / "m.vae")
    for words in ("column 'when'", "a row each 60 s", "independent ones", "latent dimension"):
        assert words in " ".join(done.err.split()) + " ".join(done.out.split())


def test_window_0_gives_the_bytes_of_a_model_of_rows(tmp_path: Path):
    """The option alone decides: the table without a clock gives the same bundle with and without it."""
    rows = plant(200).drop(columns="when")
    table, quick = write(rows, tmp_path / "n.csv"), ("--preset", "fast", "--max-epochs", "1", "--quiet")
    for name, more in (("auto", ()), ("zero", ("--window", "0"))):
        assert call("fit", table, "-o", tmp_path / name, *quick, *more).code == 0
    assert (tmp_path / "auto").read_bytes() == (tmp_path / "zero").read_bytes()


def test_window_0_judges_the_rows_of_a_series_by_themselves(tmp_path: Path):
    done = call(
        "fit",
        write(plant(200), tmp_path / "n.csv"),
        "-o",
        tmp_path / "m",
        "--window",
        "0",
        "--preset",
        "fast",
        "--max-epochs",
        "1",
        "--json",
    )
    assert done.code == 0
    assert "model" not in done.summary
    assert call("encode", tmp_path / "n.csv", "-m", tmp_path / "m", "-o", tmp_path / "z.csv", "--quiet").code == 0


def test_rows_that_do_not_resemble_their_neighbours_are_rows(tmp_path: Path):
    """A clock alone makes no series: shuffled readings are judged row by row."""
    table = plant(300)
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    shuffled["when"] = table["when"]
    done = call(
        "fit",
        write(shuffled, tmp_path / "n.csv"),
        "-o",
        tmp_path / "m",
        "--preset",
        "fast",
        "--max-epochs",
        "1",
        "--json",
    )
    assert "model" not in done.summary


def test_windows_without_a_clock_follow_the_order_of_the_rows(bundle: Path, tmp_path: Path):
    """The same rows, even in time, give the same scores whether a clock or their order tells it."""
    new = plant(200, 3)
    without, summary = fitted(plant(600).drop(columns="when"), tmp_path, "--window", "32")
    assert summary["time_column"] is None
    assert summary["step"] == 1
    by_order, _ = scored_and_summary(new.drop(columns="when"), without, tmp_path / "a")
    by_clock, _ = scored_and_summary(new, bundle, tmp_path / "b")
    np.testing.assert_array_equal(by_order["anomaly_score"], by_clock["anomaly_score"])


def test_max_gap_needs_a_clock(tmp_path: Path):
    table = write(plant(200).drop(columns="when"), tmp_path / "n.csv")
    done = call("fit", table, "-o", tmp_path / "m", "--window", "8", "--max-gap", "10m")
    assert done.code == 2
    assert "no column is a clock" in done.err


@pytest.mark.parametrize("window", ["8", "40", "128"])
def test_windows_of_any_length_score_what_they_fit(tmp_path: Path, window: str):
    longer, summary = fitted(plant(400), tmp_path, "--window", window)
    assert summary["window_rows"] == min(int(window), 400 // 8)
    found, _ = scored_and_summary(plant(50, 3), longer, tmp_path)
    assert np.isfinite(found["anomaly_score"]).all()


@pytest.mark.parametrize("window", ["1", "7", "129", "x", "-1"])
def test_windows_that_cannot_be_are_refused(tmp_path: Path, window: str):
    done = call("fit", write(plant(100), tmp_path / "n.csv"), "-o", tmp_path / "m", "--window", window)
    assert done.code == 2
    assert "--window" in done.err


def test_unsorted_training_rows_give_the_bundle_of_sorted_ones(tmp_path: Path):
    """The order of the lines decides nothing where a clock orders the rows."""
    table = interleaved({"a": plant(200, 1), "b": plant(200, 2)})
    shuffled = table.sample(frac=1, random_state=0)
    options = ("--time", "when", "--group", "device", "--window", "16", "--id", "note")
    scores = []
    for name, rows in (("sorted", table), ("shuffled", shuffled)):
        made, _ = fitted(rows.assign(note="x"), tmp_path / name, *options)
        scores.append(scored_and_summary(table.assign(note="x"), made, tmp_path / name)[0]["anomaly_score"])
    np.testing.assert_array_equal(*scores)


def test_few_rows_are_refused(tmp_path: Path):
    done = call("fit", write(plant(60), tmp_path / "n.csv"), "-o", tmp_path / "m", "--window", "8")
    assert done.code == 4
    assert "windows need at least 64" in done.err


def test_no_sensor_is_refused(tmp_path: Path):
    table = plant(200)[["when"]].assign(note=[f"text {i}" for i in range(200)])
    done = call("fit", write(table, tmp_path / "n.csv"), "-o", tmp_path / "m", "--window", "8")
    assert done.code == 4
    assert "no column is left to learn from" in done.err
    assert not (tmp_path / "m").exists()


def test_a_table_none_of_whose_sensors_moved_is_learned(tmp_path: Path):
    """Whatever moves later is flagged; whatever stays is not."""
    still = plant(300).assign(pressure=5.0, flow=100, temperature=60.5)
    made, summary = fitted(still, tmp_path)
    assert (summary["model"], summary["n_continuous"], summary["n_components"]) == ("sensors", 0, 0)
    new = still[:200].copy()
    new["flow"] = new["flow"].astype(float)
    new.loc[120:, "flow"] = 103.0
    found, _ = scored_and_summary(new, made, tmp_path)
    assert not found["is_anomaly"][:120].any()
    assert found["is_anomaly"][120:].all()


def test_labelled_rows_are_left_out(tmp_path: Path):
    """Rows marked as anomalous are counted and not learned; windows do not span them."""
    table = plant(500)
    table["bad"] = 0
    table.loc[200:219, ["pressure", "bad"]] = [90.0, 1]
    made, summary = fitted(table, tmp_path, "--label", "bad")
    assert (summary["n_excluded_by_label"], summary["n_rows"], summary["n_gaps"]) == (20, 480, 1)
    found, _ = scored_and_summary(table, made, tmp_path)
    assert found["is_anomaly"][200:220].all()


def test_empty_rows_and_rows_without_a_time_are_counted(tmp_path: Path):
    """Once at fit and once when scored, with the first of them; they are in no window."""
    lines = plant(500).to_csv(index=False).splitlines()
    lines[100:100] = [",,,", ",,,"]
    lines[200:200] = [",5.0,100,60.0"]
    for name in ("normal.csv", "new.csv"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    done = call("fit", tmp_path / "normal.csv", "-o", tmp_path / "m.vae", "--json")
    assert done.summary["n_rows"] == 500
    notes = [one for one in done.summary["warnings"] if "empty" in one or "no time" in one]
    assert notes[0] == f"2 rows are empty (the first: {tmp_path / 'normal.csv'}, line 101): left out"
    assert notes[1:] == ["1 row has no time: left out"]
    done = call("score", tmp_path / "new.csv", "-m", tmp_path / "m.vae", "-o", tmp_path / "out.csv", "--json")
    assert (done.summary["blank_rows"], done.summary["rows_without_time"]) == (2, 3)
    assert ["2 rows are empty" in one for one in done.summary["warnings"]].count(True) == 1


def test_many_rows_of_one_time_ask_for_the_group(tmp_path: Path):
    table = interleaved({"a": plant(200, 1), "b": plant(200, 2)}).drop(columns="device")
    _, summary = fitted(table, tmp_path, "--window", "16", "--time", "when")
    assert any("--group" in warning for warning in summary["warnings"])


def test_irregular_sampling_is_a_series(tmp_path: Path):
    """Steps of 20 to 100 seconds, jittered: a clock, and no gaps."""
    rng = np.random.default_rng(0)
    table = plant(600)
    moments = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.cumsum(rng.uniform(20, 100, 600)).round(3), unit="s")
    table["when"] = moments.strftime("%Y-%m-%dT%H:%M:%S.%f")
    table["pressure"] = plant(600)["temperature"] + rng.normal(size=600) / 100
    table["flow"] = plant(600)["temperature"] * 2 + rng.normal(size=600) / 100
    _, summary = fitted(table, tmp_path)
    assert summary["model"] == "sensors"
    assert 50 < summary["step"] < 70
    assert summary["n_gaps"] == 0
