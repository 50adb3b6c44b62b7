"""Incidents of series: events whose sensors behave similarly in one group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.sensors.events.conftest import plant, rows_of

Summary = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen hours in which the oven is too hot three times, and the press once."""
    table = plant(1000, 11, first_minute=6000)
    for device, first in (("oven", 100), ("oven", 400), ("oven", 700), ("press", 300)):
        table.loc[rows_of(table, device, range(first, first + 30)), "temp"] += 40
    path = tmp_path_factory.mktemp("faulty") / "t.csv"
    table.to_csv(path, index=False)
    return path


def test_events_of_one_fault_are_one_incident(summary: Summary, plant_model: Path, faulty: Path) -> None:
    """Three hot spells of the oven are one incident, that of the press another; `explain` finds the same."""
    folder = faulty.parent
    words = [faulty, "-m", plant_model, "--threshold", "0.999", "--merge-gap", "30"]
    found = summary("score", *words, "-o", folder / "o.csv", "--incidents", folder / "i.csv")["incidents"]
    hot = [one for one in found if one["columns"][0]["column"] == "temp" and one["columns"][0]["direction"] == "up"]
    by_group = {one["group"]: one for one in hot}
    assert by_group.keys() == {"oven", "press"}
    assert by_group["oven"]["events"] >= 3 > by_group["press"]["events"]
    assert by_group["oven"]["start"] < by_group["oven"]["end"]
    assert by_group["oven"]["first_row"] is None
    assert 1 <= len(by_group["press"]["examples"]) <= 3
    assert pd.read_csv(folder / "i.csv")["group"].tolist() == [one["group"] for one in found]
    assert summary("explain", *words, "--incidents", folder / "j.csv")["incidents"] == found
    assert (folder / "j.csv").read_bytes() == (folder / "i.csv").read_bytes()


def test_a_cooldown_separates_spells(summary: Summary, plant_model: Path, faulty: Path) -> None:
    """With a cooldown shorter than the time between spells each is an incident; the next table goes on with one."""
    folder = faulty.parent
    words = ["score", faulty, "-m", plant_model, "--threshold", "0.999", "--merge-gap", "30", "-o", folder / "o.csv"]
    words += ["--incident-state", folder / "s", "--cooldown", "1h"]
    found = summary(*words)["incidents"]
    hot = [one for one in found if one["group"] == "oven" and one["columns"][0]["column"] == "temp"]
    assert len(hot) >= 3
    assert {one["status"] for one in found} == {"new"}
    assert {one["id"] for one in summary(*words)["incidents"]} == {one["id"] for one in found}


def test_the_page_has_a_section(summary: Summary, plant_model: Path, faulty: Path) -> None:
    """A report of series shows incidents after events."""
    page = faulty.parent / "r.html"
    summary("report", faulty, "-m", plant_model, "--threshold", "0.999", "-o", page)
    text = page.read_text()
    section = text[text.index("<h2>Incidents") : text.index("<h2>Scores and sensors over time")]
    assert "temp up" in section
    assert "oven" in section


def test_a_stream_has_no_incidents(run: Callable[..., tuple[int, str, str]], plant_model: Path, faulty: Path) -> None:
    """--follow is refused, as incidents are written when a table has ended."""
    code, _, err = run("score", faulty, "-m", plant_model, "--incidents", faulty.parent / "i.csv", "--follow")
    assert code == 2
    assert "--incidents and --follow contradict each other" in err
