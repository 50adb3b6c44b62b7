"""Flagged rows of series name the sensors responsible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.sensors.events.conftest import plant, rows_of

FAULT = range(300, 330)


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A table in which the oven's temperature is 30 too high for half an hour."""
    table = plant(600, 2, 7000)
    table.loc[rows_of(table, "oven", FAULT), "temp"] += 30
    table.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


def parts_of(text: str) -> dict[str, float]:
    return {name: float(nats) for name, nats in (part.split(":") for part in text.split(";"))}


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["causal", "offline"])
def test_top_columns_name_the_sensor_and_add_up_to_the_score(
    run: Callable[..., tuple[int, str, str]],
    plant_model: Path,
    faulty: Path,
    offline: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
):
    """Of the rows of the fault; whatever the batches are, the output is the same to the byte."""
    out = faulty.parent / "scored.csv"
    assert run("score", faulty, "-m", plant_model, "--explain", 9, "-o", out, "-q", *offline)[0] == 0
    scored = pd.read_csv(out)
    assert scored.top_columns.notna().equals(scored.is_anomaly)
    fault = scored.loc[rows_of(scored, "oven", range(FAULT.start + 2, FAULT.stop))]
    assert fault.is_anomaly.all()
    for score, text in zip(fault.anomaly_score, fault.top_columns, strict=True):
        parts = parts_of(text)
        assert next(iter(parts)) == "temp"
        assert sum(parts.values()) == pytest.approx(score, abs=0.3)
        assert set(parts) <= {"temp", "flow", "level", "mode"}
    again = faulty.parent / "again.csv"
    assert (
        run("score", faulty, "-m", plant_model, "--explain", 9, "-o", again, "-q", "--batch-rows", 71, *offline)[0] == 0
    )
    assert again.read_bytes() == out.read_bytes()


def test_the_summary_lists_the_worst_rows_with_value_and_expectation(summary, plant_model: Path, faulty: Path):
    """The expected value is what the sensor was before the window, in the table's own units."""
    found = summary("score", faulty, "-m", plant_model, "-o", faulty.parent / "scored.csv")
    assert len(found["worst"]) == 10
    scores = [row["score"] for row in found["worst"]]
    assert scores == sorted(scores, reverse=True)
    table = pd.read_csv(faulty)
    fault = rows_of(table, "oven", FAULT)
    after = rows_of(table, "oven", range(FAULT.stop, FAULT.stop + 128))  # whose windows hold the fault
    assert {row["row"] - 1 for row in found["worst"]} <= {*fault, *after}
    worst = [row for row in found["worst"] if row["row"] - 1 in fault]
    assert worst
    for row in worst:
        reason = row["reasons"][0]
        assert reason["column"] == "temp"
        assert reason["value"] == table.temp[row["row"] - 1]
        assert reason["expected"] == pytest.approx(50, abs=4)
        assert reason["low"] < reason["expected"] < reason["high"]


def test_a_word_out_of_place_is_the_column_and_not_its_sensors(run, plant_model: Path, tmp_path: Path):
    """A category that training never saw for long: the categorical column is named, with what it was before."""
    table = plant(400, 3, 7000)
    table.loc[rows_of(table, "press", range(200, 240)), "mode"] = "purge"
    table.to_csv(tmp_path / "new.csv", index=False)
    code, out, _ = run("score", tmp_path / "new.csv", "-m", plant_model, "-o", tmp_path / "scored.csv")
    assert code == 0
    assert "mode = purge, never seen, expected h" in " ".join(out.split())


def test_a_missing_cell_is_shown_as_missing(summary, plant_model: Path, faulty: Path):
    """A cell without a value in a flagged row."""
    table = pd.read_csv(faulty)
    rows = rows_of(table, "oven", range(FAULT.start + 8, FAULT.stop))
    table.loc[rows, "temp"] = float("nan")  # a missing cell holds the reading before, which is 30 too high
    table.to_csv(faulty, index=False)
    found = summary("score", faulty, "-m", plant_model, "-o", faulty.parent / "scored.csv")
    values = {row["reasons"][0]["value"] for row in found["worst"] if row["row"] - 1 in rows}
    assert values == {None}
