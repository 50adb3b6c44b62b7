"""`vaecli report` on series: what the page shows, that no cut matters, and that no table breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sensors.events.conftest import START, plant, rows_of
from tests.sensors.events.test_events import events_of

Run = Callable[..., tuple[int, str, str]]
ROWS_MODEL = Path(__file__).parents[2] / "golden" / "bundle_v4" / "model.vae"
FIRST = 7000
HEADINGS = (
    "Events",
    "Incidents",
    "Series",
    "Scores and sensors over time",
    "Responsible sensors",
    "What training covers",
    "Settings",
)


class Page(HTMLParser):
    """The tags, headings and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.classes.append(dict(attrs).get("class") or "")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["h2"]:
            self.headings.append(data)
            self.tags.append("")
        self.text += data


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """The oven's temperature is 30 too high, and the press's flow is stuck for an hour; an hour is missing."""
    table = plant(700, 2, FIRST)
    table.loc[rows_of(table, "oven", range(300, 330)), "temp"] += 30
    stuck = rows_of(table, "press", range(500, 560))
    table.loc[stuck, "flow"] = table.flow[stuck[0]]
    minute = (table.time - START) / pd.Timedelta(minutes=1) - FIRST
    table[(minute < 100) | (minute >= 160)].to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


def reported(summary, model: Path, table: Path, *options: object) -> tuple[dict, Page]:
    found = summary("report", table, "-m", model, "-o", table.parent / "page.html", *options)
    return found, Page(table.parent / "page.html")


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["causal", "offline"])
def test_the_page_shows_events_series_scores_and_sensors(
    summary, plant_model: Path, faulty: Path, offline: tuple[str, ...]
):
    """Every event has its sentence of --events and a chart per sensor, and every series its scores along time."""
    events = events_of(summary, plant_model, faulty, *offline)
    found, page = reported(summary, plant_model, faulty, *offline)
    assert tuple(page.headings) == HEADINGS
    assert found["n_events"] == len(events) >= 2
    assert found["headline"] in page.text
    assert found["gaps"] == 2
    for event in events:
        assert event["sentence"] in page.text
        assert event["start"] in page.text
    sensors = sum(len(event["sensors"]) for event in events[:12])
    assert page.classes.count("plot sensor") == sensors
    assert page.classes.count("plot low") == 2
    assert page.text.index("oven", page.text.index("The worst series come first")) < page.text.rindex("press")
    assert next(iter(found["sensors"])) in {sensor["column"] for event in events for sensor in event["sensors"]}
    assert sum(found["sensors"].values()) == sum(len(event["sensors"]) for event in events)
    assert "uprights odd" in page.classes
    assert "ribbon band" in page.classes
    # the timeline is broken at the gap: two ribbons of scores for each series
    assert page.classes.count("ribbon scores") == 4


def test_the_page_needs_nothing_and_says_what_training_covers(summary, plant_model: Path, faulty: Path):
    found, page = reported(summary, plant_model, faulty)
    assert not {"script", "img", "iframe", "a", "object", "link rel=stylesheet"} & set(page.tags)
    assert "default-src 'none'" in page.source
    assert not re.search(r"(src|href)=\"(?!data:)", page.source)
    assert f"worth about {found['n_effective']:,} independent row" in page.text
    assert "training covers 4.0 days: what changes with the day of the week will look new" in page.text.lower()
    assert found["finest_level"] < 0.99
    assert any("cannot be promised" in warning for warning in found["warnings"])


def test_batches_and_workers_do_not_change_a_byte(summary, plant_model: Path, faulty: Path):
    _, page = reported(summary, plant_model, faulty)
    _, again = reported(summary, plant_model, faulty, "--batch-rows", 71, "--workers", 3)
    assert again.source == page.source


def test_names_and_cells_are_shown_as_text(run: Run, summary, tmp_path: Path):
    """A column and a device that would be markup change no tag of the page."""
    evil = "<script>alert(1)</script>"
    table = plant(400, 3).rename(columns={"temp": evil}).replace({"device": {"oven": "<b onload=x>&amp;"}})
    table["mode"] = table["mode"].replace({"heat": "</svg><h2>heat"})
    table.to_csv(tmp_path / "normal.csv", index=False)
    model = tmp_path / "m.vae"
    assert run("fit", tmp_path / "normal.csv", "-o", model, "--group", "device", "-q")[0] == 0
    table.loc[600:, evil] += 40
    table.loc[700:, "mode"] = "</table><script>x"
    table.to_csv(tmp_path / "new.csv", index=False)
    _, page = reported(summary, model, tmp_path / "new.csv")
    assert tuple(page.headings) == HEADINGS
    assert evil in page.text
    assert "<b onload" not in page.source
    assert "<script" not in page.source


def test_a_table_without_events_and_one_without_rows_have_a_page(summary, plant_model: Path, tmp_path: Path):
    quiet = plant(200, 4, FIRST)
    quiet.to_csv(tmp_path / "new.csv", index=False)
    found, page = reported(summary, plant_model, tmp_path / "new.csv", "--min-score", 1000)
    assert (found["n_events"], found["sensors"]) == (0, {})
    assert found["headline"].startswith("Nothing stands out")
    assert page.classes.count("plot low") == 2
    quiet[:0].to_csv(tmp_path / "new.csv", index=False)
    found, page = reported(summary, plant_model, tmp_path / "new.csv")
    assert found["headline"].startswith("Nothing to look at")
    assert "Nothing to show" in page.text


def test_the_page_of_a_long_table_is_as_small_as_that_of_a_short_one(summary, plant_model: Path, tmp_path: Path):
    """Rows go into bins: twenty times as many rows make no larger page, and one high reading is still in it."""
    sizes = []
    for n_rows in (2000, 40_000):
        table = pd.concat([plant(2000, 5, FIRST)] * (n_rows // 2000), ignore_index=True)
        table["time"] = START + pd.to_timedelta(FIRST + np.arange(len(table)) // 2, unit="min")
        table.loc[rows_of(table, "oven", range(900, 960)), "temp"] += 60
        table.to_csv(tmp_path / "new.csv", index=False)
        found, page = reported(summary, plant_model, tmp_path / "new.csv", "--min-score", 8)
        assert found["rows"] == len(table)
        assert "up: temp = " in page.text
        sizes.append(found["size_bytes"])
    assert sizes[1] < 1.3 * sizes[0] < 1_000_000


def test_options_of_events_decide_what_is_on_the_page(summary, plant_model: Path, faulty: Path):
    every, _ = reported(summary, plant_model, faulty)
    few, page = reported(summary, plant_model, faulty, "--min-duration", "20m", "--merge-gap", "3h")
    assert 0 < few["n_events"] < every["n_events"]
    assert f"{few['n_events']} event" in page.text
    rare, page = reported(summary, plant_model, faulty, "--alarm-budget", "1/day")
    assert rare["alarm_budget"] == "1/day"
    assert rare["threshold"] is None
    assert "at most 1/day" in page.text


@pytest.mark.parametrize("verb", ["report", "explain"])
@pytest.mark.parametrize("option", [("--offline",), ("--merge-gap", "5"), ("--min-duration", "5")])
def test_models_of_rows_refuse_options_of_series(run: Run, tmp_path: Path, verb: str, option: tuple[str, ...]):
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    code, _, err = run(verb, tmp_path / "new.csv", "-m", ROWS_MODEL, "-o", tmp_path / "out.csv", *option)
    assert code == 2
    assert option[0] in err
    assert "each judged by itself" in err
    assert not (tmp_path / "out.csv").exists()


def test_series_are_not_drawn_as_pictures_of_rows(run: Run, plant_model: Path, faulty: Path):
    code, _, err = run("report", faulty, "-m", plant_model, "--image-shape", "2x2")
    assert code == 2
    assert "--image-shape" in err


def test_a_series_without_a_clock_is_drawn_by_rows(run: Run, summary, tmp_path: Path):
    """A reading of 1e30 is drawn at the edge, so that the others can be seen; an open event says so."""
    pytest.importorskip("matplotlib")
    table = plant(400, 6)
    table = table[table.device == "oven"].drop(columns=["time", "device"]).reset_index(drop=True)
    table.to_csv(tmp_path / "normal.csv", index=False)
    model = tmp_path / "m.vae"
    assert run("fit", tmp_path / "normal.csv", "-o", model, "--window", 16, "-q")[0] == 0
    table.loc[100:130, "temp"] += 40
    table.loc[390:, "flow"] = 1e30
    table.loc[200, "level"] = np.nan
    table.to_csv(tmp_path / "new.csv", index=False)
    found, page = reported(summary, model, tmp_path / "new.csv")
    assert (found["n_groups"], found["n_open_events"], found["sensors"]["temp"] >= 1) == (1, 1, True)
    assert [heading for heading in HEADINGS if heading != "Series"] == page.headings
    assert "the order of the rows" in page.text
    assert page.text.count("readings far outside are drawn at the edge") >= 1
    assert "flow = 1e+30" in page.text
    assert "400 (open)" in page.text
    picture = tmp_path / "p.png"
    summary("score", tmp_path / "new.csv", "-m", model, "-o", tmp_path / "s.csv", "--plot", picture)
    assert picture.stat().st_size > 5000
    (row,) = summary("explain", tmp_path / "new.csv", "-m", model, "--row", 111)["shown"]
    assert (row["time"], row["group"]) == (111, None)
    assert row["since"] <= 111


def test_hundreds_of_series_are_counted_and_the_worst_drawn(summary, plant_model: Path, tmp_path: Path):
    """Devices that training did not have are marked; the one with a fault comes first."""
    parts = []
    for seed in range(60):
        table = plant(60, seed, FIRST)
        parts.append(table[table.device == "oven"].assign(device=f"d{seed:03}").reset_index(drop=True))
    parts[33].loc[20:50, "temp"] += 60
    pd.concat(parts).to_csv(tmp_path / "new.csv", index=False)
    found, page = reported(summary, plant_model, tmp_path / "new.csv")
    assert (found["n_groups"], found["n_new_groups"]) == (60, 60)
    assert "The 30 worst of 60 series" in page.text
    assert page.classes.count("plot low") == 6
    table = page.text[page.text.index("The 30 worst") :]
    assert re.search(r"d\d{3}", table)[0] == "d033"
    assert "d033 not in training" in table
