"""Runs of flagged rows become events, in CSV, JSON lines and Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.sensors.events.conftest import START, plant, rows_of
from vaecli.bundle import read_bundle, write_bundle
from vaecli.model.window_model import HISTORY

ROWS_MODEL = Path(__file__).parents[2] / "golden" / "bundle_v4" / "model.vae"
FIRST = 7000  # minutes after the training table begins


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Three faults: the oven's temperature 30 too high, the press's flow stuck, the oven's level noisy."""
    table = plant(1000, 2, FIRST)
    table.loc[rows_of(table, "oven", range(300, 330)), "temp"] += 30
    stuck = rows_of(table, "press", range(500, 560))
    table.loc[stuck, "flow"] = table.flow[stuck[0]]
    noisy = rows_of(table, "oven", range(800, 840))
    table.loc[noisy, "level"] += np.random.default_rng(0).normal(scale=4, size=noisy.size).round(3)
    table.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


def events_of(summary, model: Path, table: Path, *options: object) -> list[dict[str, Any]]:
    out = table.parent / "events.jsonl"
    found = summary("score", table, "-m", model, "-o", table.parent / "scored.csv", "--events", out, *options)
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert found["n_events"] == len(events)
    assert found["n_open_events"] == sum(event["open"] for event in events)
    assert [event["event"] for event in events] == list(range(1, len(events) + 1))
    return events


def minute(time: str) -> int:
    return round((pd.Timestamp(time) - START).total_seconds() / 60) - FIRST


def covering(events: list[dict[str, Any]], group: str, minutes: range) -> list[dict[str, Any]]:
    return [
        event
        for event in events
        if event["group"] == group
        and minute(event["start"]) < minutes.stop
        and minute(event["end"]) >= minutes.start
        and event["rows"] > 5
    ]


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["causal", "offline"])
def test_each_fault_is_one_event_that_names_its_sensor_and_direction(
    summary, plant_model: Path, faulty: Path, offline: tuple[str, ...]
):
    """With value and expectation in the table's own units, and a sentence; it ends when the fault does."""
    events = events_of(summary, plant_model, faulty, *offline)
    for group, minutes, column, direction in (
        ("oven", range(300, 330), "temp", "up"),
        ("press", range(500, 560), "flow", "flat"),
        ("oven", range(800, 840), "level", "noisy"),
    ):
        (event,) = covering(events, group, minutes)
        blamed = event["sensors"][0]
        assert (blamed["column"], blamed["direction"]) == (column, direction)
        assert abs(minute(event["start"]) - minutes.start) < 128
        assert minutes.start + 8 <= minute(event["end"]) < minutes.stop + 8  # the longest window has 128 rows
        assert event["flagged_rows"] <= event["rows"]
        assert minute(event["start"]) <= minute(event["peak_time"]) <= minute(event["end"])
        assert event["sentence"].startswith(f"{group}: {event['rows']} rows from {event['start']} to {event['end']}")
        assert f"{direction}: {column} = " in event["sentence"]
    temp = covering(events, "oven", range(300, 330))[0]["sensors"][0]
    assert temp["value"] == pytest.approx(80, abs=8)
    assert temp["expected"] == pytest.approx(50, abs=4)


def test_events_do_not_depend_on_batches_workers_or_format(
    summary, run, plant_model: Path, faulty: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same events in one batch and in many, and the same in each format."""
    events = events_of(summary, plant_model, faulty)
    again = faulty.parent / "again.jsonl"
    words = ("score", faulty, "-m", plant_model, "-o", faulty.parent / "b.csv", "-q")
    with monkeypatch.context() as patched:
        patched.setattr("vaecli.workflows.score_sensors.GROUPED_ROWS", 1)
        assert run(*words, "--batch-rows", 37, "--workers", 2, "--events", again)[0] == 0
    assert again.read_bytes() == (faulty.parent / "events.jsonl").read_bytes()
    for extension, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        out = faulty.parent / f"events{extension}"
        assert run(*words, "--events", out)[0] == 0
        table = read(out)
        assert table["rows"].tolist() == [event["rows"] for event in events]
        assert table.group.tolist() == [event["group"] for event in events]
        assert pd.to_datetime(table.start).tolist() == [pd.Timestamp(event["start"]) for event in events]
        assert table.open.tolist() == [event["open"] for event in events]
        assert table.sentence.tolist() == [event["sentence"] for event in events]
        assert table.sensors.str.startswith(events[0]["sensors"][0]["column"] + ":").iloc[0]


def test_flags_are_counted_and_events_begin_and_end_as_documented(summary, plant_model: Path, faulty: Path):
    """An event begins with a flag and ends above 0.7 thresholds; flags outside follow one whose fault windows hold."""
    events = events_of(summary, plant_model, faulty)
    scored = pd.read_csv(faulty.parent / "scored.csv", parse_dates=["time"])
    outside, threshold = scored.is_anomaly.copy(), scored.anomaly_score[scored.is_anomaly].min()
    for event in events:
        mine = scored[(scored.device == event["group"]) & scored.time.between(event["start"], event["end"])]
        assert len(mine) == event["rows"]
        assert mine.is_anomaly.iloc[0]
        assert mine.anomaly_score.iloc[-1] >= 0.69 * threshold
        assert mine.is_anomaly.sum() == event["flagged_rows"]
        assert mine.anomaly_score.max() == event["peak_score"]
        outside[mine.index] = False
        outside[scored[(scored.device == event["group"]) & (scored.time > event["end"])].index[:HISTORY]] = False
    assert not outside.any()


def test_events_of_an_earlier_bundle_end_with_their_flags(summary, plant_model: Path, faulty: Path):
    """Its windows hold the fault, and it does not know what the latest rows of normal series look like."""
    manifest, arrays = read_bundle(plant_model)
    del arrays["short/limits"], manifest.config["detector"]["events_end_by_rows"]
    write_bundle(faulty.parent / "earlier.vae", manifest, arrays)
    events = events_of(summary, faulty.parent / "earlier.vae", faulty)
    scored = pd.read_csv(faulty.parent / "scored.csv")
    assert sum(event["flagged_rows"] for event in events) == scored.is_anomaly.sum()
    (fault,) = covering(events, "oven", range(300, 330))
    assert minute(fault["end"]) > 330 + 32


def test_the_merge_gap_and_the_shortest_event(summary, plant_model: Path, faulty: Path):
    """A longer merge gap joins events of a series, a shorter one splits them; short ones are left out."""
    usual = events_of(summary, plant_model, faulty)
    split = events_of(summary, plant_model, faulty, "--merge-gap", "1")
    joined = events_of(summary, plant_model, faulty, "--merge-gap", "2d")
    assert len(split) >= len(usual) > len(joined) == 2
    assert {event["group"] for event in joined} == {"oven", "press"}
    assert sum(event["flagged_rows"] for event in split) <= sum(event["flagged_rows"] for event in usual)
    for least, rows in (("20", 20), ("19m", 20)):
        longer = events_of(summary, plant_model, faulty, "--min-duration", least)
        assert [event["rows"] for event in longer] == [event["rows"] for event in usual if event["rows"] >= rows]


def test_an_event_that_lasts_at_the_end_of_the_table_is_open(summary, plant_model: Path, faulty: Path):
    """With and without a state."""
    table = pd.read_csv(faulty)
    table.iloc[: rows_of(table, "oven", range(320, 321))[0] + 1].to_csv(faulty, index=False)
    state = faulty.parent / "plant.state"
    for options in ((), ("--state", state)):
        events = events_of(summary, plant_model, faulty, *options)
        (event,) = covering(events, "oven", range(300, 321))
        assert event["open"]
        assert event["sentence"].endswith("it had not ended with the table")
        assert minute(event["end"]) == 320


def test_a_gap_of_the_clock_ends_an_event(summary, plant_model: Path, faulty: Path):
    """A fault on both sides of a day without rows is two events."""
    table = pd.read_csv(faulty, parse_dates=["time"])
    table.loc[rows_of(table, "oven", range(315, 1000)), "time"] += pd.Timedelta("1D")
    table.sort_values("time").to_csv(faulty, index=False)
    events = [event for event in events_of(summary, plant_model, faulty) if event["group"] == "oven"]
    assert any(minute(event["end"]) == 314 for event in events)
    assert not any(minute(event["start"]) < 315 < minute(event["end"]) for event in events)


def test_a_table_without_flags_has_a_file_without_events(summary, plant_model: Path, tmp_path: Path):
    """The header alone."""
    plant(200, 5, FIRST).to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "events.csv"
    words = ("score", tmp_path / "new.csv", "-m", plant_model, "-o", tmp_path / "scored.csv", "--events", out)
    assert summary(*words, "--min-score", "1e9")["n_events"] == 0
    assert len(out.read_text().splitlines()) == 1


def test_what_cannot_be_written_is_refused_before_scoring(run, plant_model: Path, faulty: Path):
    """Other formats, files of the same run, models of rows; an earlier file stays when scoring fails."""
    for out, problem in (
        ("events.xlsx", ".csv, .parquet or .jsonl"),
        (faulty, "is the input"),
    ):
        code, _, err = run("score", faulty, "-m", plant_model, "-o", faulty.parent / "s.csv", "--events", out)
        assert code == 2
        assert problem in err
    code, _, err = run("score", faulty, "-m", ROWS_MODEL, "-o", faulty.parent / "s.csv", "--events", "events.csv")
    assert code == 2
    assert "--events" in err
    assert "model of rows" in err
    code, _, err = run("score", faulty, "-m", plant_model, "--merge-gap", "1.5", "-o", faulty.parent / "s.csv")
    assert code == 2
    assert "--merge-gap '1.5' is not a number of rows or a duration" in err
    kept = faulty.parent / "events.csv"
    kept.write_text("kept")
    faulty.write_text(faulty.read_text() + "2026-01-20 00:00:00,oven,hot,1,2,heat\n")
    assert run("score", faulty, "-m", plant_model, "-o", faulty.parent / "s.csv", "--events", kept)[0] == 4
    assert kept.read_text() == "kept"
