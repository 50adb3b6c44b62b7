"""Flagged rows of series name the sensors responsible."""

from __future__ import annotations

import json
import re
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


def test_the_reasons_of_an_event_claim_no_probability_of_a_reading(summary, plant_model: Path, tmp_path: Path):
    """Windows of sensors give none; whether a word was seen in training once stood in its place."""
    table = plant(400, 3, 7000)
    table.loc[rows_of(table, "press", range(200, 240)), "mode"] = "purge"
    table.loc[rows_of(table, "oven", range(100, 130)), "temp"] += 30.0
    table.to_csv(tmp_path / "new.csv", index=False)
    shown = summary("explain", tmp_path / "new.csv", "-m", plant_model)["shown"]
    assert any("temp = " in one["sentence"] for one in shown)
    assert not [one for one in shown if "(probability" in one["sentence"]]
    assert any("mode = purge, never seen, expected h" in one["sentence"] for one in shown)


def test_a_missing_cell_is_shown_as_missing(summary, plant_model: Path, faulty: Path):
    """A cell without a value in a flagged row."""
    table = pd.read_csv(faulty)
    rows = rows_of(table, "oven", range(FAULT.start + 8, FAULT.stop))
    table.loc[rows, "temp"] = float("nan")  # a missing cell holds the reading before, which is 30 too high
    table.to_csv(faulty, index=False)
    found = summary("score", faulty, "-m", plant_model, "-o", faulty.parent / "scored.csv")
    values = {row["reasons"][0]["value"] for row in found["worst"] if row["row"] - 1 in rows}
    assert values == {None}


# -- the verb explain -----------------------------------------------------------------------------


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["causal", "offline"])
def test_explain_names_the_sensors_of_each_event(summary, plant_model: Path, faulty: Path, offline: tuple[str, ...]):
    """The highest peak first; the same events as score --events writes, and a line per sensor in the file."""
    events, out = faulty.parent / "events.jsonl", faulty.parent / "reasons.csv"
    summary("score", faulty, "-m", plant_model, "-o", faulty.parent / "s.csv", "--events", events, *offline)
    written = [json.loads(line) for line in events.read_text().splitlines()]
    found = summary("explain", faulty, "-m", plant_model, "-o", out, *offline)
    assert (found["n_events"], found["explained"], found["by_row"]) == (len(written), len(written), False)
    assert sorted(found["shown"], key=lambda event: event["event"]) == written
    peaks = [event["peak_score"] for event in found["shown"]]
    assert peaks == sorted(peaks, reverse=True)
    lines = pd.read_csv(out)
    assert lines.groupby("event").size().to_dict() == {one["event"]: len(one["sensors"]) for one in written}
    first = lines[lines["event"] == found["shown"][0]["event"]].iloc[0]
    assert (first["rank"], first["column"], first["direction"], first["group"]) == (1, "temp", "up", "oven")
    assert first["start"] == found["shown"][0]["start"]
    assert first["reason"].startswith("temp = ")


def test_explain_of_rows_says_since_when(summary, plant_model: Path, faulty: Path):
    """A row of the fault is part of an event; one long before it is not, and is explained all the same."""
    table = pd.read_csv(faulty)
    inside = int(rows_of(table, "oven", range(320, 321))[0]) + 1
    out = faulty.parent / "reasons.parquet"
    found = summary("explain", faulty, "-m", plant_model, "--row", f"{inside},9", "--top", 2, "-o", out)
    normal, odd = found["shown"]
    assert (normal["row"], normal["event"], normal["since"], normal["is_anomaly"]) == (9, None, None, False)
    assert (odd["row"], odd["group"], odd["is_anomaly"]) == (inside, "oven", True)
    assert odd["since"] <= odd["time"] == table.time[inside - 1].replace(" ", "T")
    assert (odd["sensors"][0]["column"], odd["sensors"][0]["direction"]) == ("temp", "up")
    assert [len(row["sensors"]) for row in found["shown"]] == [2, 2]
    lines = pd.read_parquet(out)
    assert lines.groupby("row").size().to_dict() == {9: 2, inside: 2}
    assert lines[lines["row"] == inside]["since"].tolist() == [odd["since"]] * 2


def test_explain_of_rows_adds_up_to_the_score(summary, plant_model: Path, faulty: Path):
    (row,) = summary("explain", faulty, "-m", plant_model, "--row", 640, "--top", 9)["shown"]
    assert sum(sensor["nats"] for sensor in row["sensors"]) + row["rest"] == pytest.approx(row["score"])


def test_explain_refuses_rows_beyond_the_table_and_leaves_nothing(run, plant_model: Path, faulty: Path):
    out = faulty.parent / "reasons.csv"
    code, _, err = run("explain", faulty, "-m", plant_model, "--row", 10**30, "-o", out)
    assert code == 2
    assert "has 1,200 rows" in err
    assert not out.exists()


def test_explain_prints_events_and_rows_for_a_person(run, plant_model: Path, faulty: Path):
    code, out, _ = run("explain", faulty, "-m", plant_model, "--most", 1)
    assert code == 0
    assert re.search(r"Event \d+, oven: from 2026-01-\d\dT\d\d:\d\d:00 to 2026", out)
    assert re.search(r"up +temp = 8", out)
    assert "more: --most N shows more" in out
    code, out, _ = run("explain", faulty, "-m", plant_model, "--row", 9)
    assert code == 0
    assert "not in an event" in out


def test_a_row_without_a_time_has_no_score_to_explain(run, summary, plant_model: Path, faulty: Path):
    table = pd.read_csv(faulty)
    table.loc[4, "time"] = None
    table.to_csv(faulty, index=False)
    out = faulty.parent / "reasons.csv"
    (row,) = summary("explain", faulty, "-m", plant_model, "--row", 5, "-o", out)["shown"]
    assert (row["score"], row["time"], row["sensors"]) == (None, None, [])
    assert "no score" in pd.read_csv(out)["reason"][0]
    assert "no score" in run("explain", faulty, "-m", plant_model, "--row", 5)[1]


@pytest.mark.parametrize("rows", [(), ("--row", "640,641")], ids=["events", "rows"])
@pytest.mark.parametrize("name", ["reasons.png", "reasons.svg"])
def test_explain_draws_a_picture_of_series(summary, plant_model: Path, faulty: Path, rows: tuple[str, ...], name: str):
    pytest.importorskip("matplotlib")
    picture = faulty.parent / name
    found = summary("explain", faulty, "-m", plant_model, "--plot", picture, *rows)
    assert found["plot"] == str(picture)
    assert picture.stat().st_size > 5000


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["causal", "offline"])
def test_score_draws_the_scores_of_series_the_same_each_time(
    summary, plant_model: Path, faulty: Path, offline: tuple[str, ...]
):
    """Whatever the batches are; events need not be asked for, and are not counted then."""
    pytest.importorskip("matplotlib")
    pictures = [faulty.parent / "a.svg", faulty.parent / "b.svg"]
    for picture, batch_rows in zip(pictures, (16_384, 71), strict=True):
        found = summary(
            *("score", faulty, "-m", plant_model, "-o", faulty.parent / "s.csv", "--plot", picture, *offline),
            *("--batch-rows", batch_rows),
        )
        assert (found["plot"], found["events"], found["n_events"]) == (str(picture), None, None)
    first = pictures[0].read_bytes()
    assert pictures[1].read_bytes() == first
    assert first.count(b'id="axes_') == 2  # one for each device


def test_a_picture_of_a_stream_is_refused(run, plant_model: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    code, _, err = run("score", "-", "-m", plant_model, "--follow", "--plot", tmp_path / "p.png")
    assert code == 2
    assert "--plot and --follow contradict each other" in err
