"""A budget of alarms picks the score from which rows are flagged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sensors.events.conftest import plant
from vaecli.sensors.event_rates import n_events
from vaecli.sensors.events import EventRules

DAYS = 4


@pytest.fixture
def normal(tmp_path: Path) -> Path:
    """Four more days of the plant without a fault."""
    plant(DAYS * 1440, 9, 20 * 1440).to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["causal", "offline"])
def test_normal_stretches_raise_about_as_many_events_as_the_budget(
    summary, plant_model: Path, normal: Path, offline: tuple[str, ...]
):
    """All series together, within a factor of two; a smaller budget flags from a higher score."""
    words = ("score", normal, "-m", plant_model, "-o", normal.parent / "scored.csv", "-q", *offline)
    scores = []
    for budget, per_day in (("8/day", 8), ("3/day", 3), ("3/week", 3 / 7)):
        found = summary(*words, "--events", normal.parent / "events.csv", "--alarm-budget", budget)
        assert found["alarm_budget"] == budget
        assert found["threshold"] is None
        assert found["n_events"] <= 2 * per_day * DAYS + 1
        scores.append(found["min_score"])
    assert scores == sorted(set(scores))
    flagged = pd.read_csv(normal.parent / "scored.csv")
    assert (flagged.is_anomaly == (flagged.anomaly_score >= scores[-1])).all()


def test_the_page_says_what_decided(run, plant_model: Path, normal: Path):
    """The budget stands beside the score."""
    code, out, _ = run(
        "score", normal, "-m", plant_model, "-o", normal.parent / "scored.csv", "--alarm-budget", "3/day"
    )
    assert code == 0
    assert "held-out normal stretches raise at most 3/day" in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--alarm-budget", "1/month"), "training covers 4 days, which resolve budgets from 0.25 a day"),
        (("--alarm-budget", "often"), "--alarm-budget 'often' is not a number of alarms per hour, day, week or month"),
        (("--alarm-budget", "0/day"), "--alarm-budget '0/day' is not a number of alarms"),
        (("--alarm-budget", "1/day", "--threshold", "0.9"), "--alarm-budget and --threshold both decide"),
        (("--alarm-budget", "1/day", "--min-score", "3"), "--alarm-budget and --min-score both decide"),
        (("--alarm-budget", "1/day", "--merge-gap", "1h"), "leave --merge-gap out"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(
    run, plant_model: Path, normal: Path, options: tuple[str, ...], problem: str
):
    """With exit code 2 and a sentence."""
    code, _, err = run("score", normal, "-m", plant_model, "-o", normal.parent / "scored.csv", *options)
    assert code == 2
    assert problem in " ".join(err.split())


def test_a_clock_that_counts_has_events_in_its_numbers_but_no_budget(run, tmp_path: Path):
    """Times are numbers, durations are in the units of the clock."""
    table = plant(400, 1)
    table = table[table.device == "oven"].drop(columns=["device", "mode"])
    table["time"] = np.arange(400) * 2.5
    table.to_csv(tmp_path / "normal.csv", index=False)
    table.loc[table.index[200:230], "temp"] += 40
    table.to_csv(tmp_path / "new.csv", index=False)
    bundle, out = tmp_path / "b.vae", tmp_path / "events.parquet"
    assert run("fit", tmp_path / "normal.csv", "-o", bundle, "--time", "time", "--window", "16", "-q")[0] == 0
    words = ("score", tmp_path / "new.csv", "-m", bundle, "-o", tmp_path / "scored.csv")
    code, _, err = run(*words, "--alarm-budget", "1/day")
    assert code == 2
    assert "its clock does not hold moments" in err
    assert run(*words, "--events", out, "-q")[0] == 0
    events = pd.read_parquet(out)
    assert events.group.isna().all()
    (event,) = [row for row in events.itertuples() if row.start <= 515 and row.end >= 500]
    assert event.sensors.startswith("temp:up:")
    assert (event.end - event.start) / 2.5 + 1 == event.rows


def test_events_are_counted_as_they_are_written():
    """The rules on a made-up series: hysteresis, merging, and gaps of the clock."""
    score = np.zeros(100)
    score[[10, 11, 12]] = 5, 4, 3.6  # 3.6 is above 0.7 times the score of 5
    score[[20, 40, 41, 60]] = 5, 4, 5, 6
    breaks = np.zeros(100, bool)
    breaks[0] = True
    rules = {"min_score": 5.0, "max_gap": 1.0}
    assert n_events(score, breaks, EventRules(merge_rows=1, **rules)) == 4
    assert n_events(score, breaks, EventRules(merge_rows=7, **rules)) == 4  # 7 rows between 12 and 20
    assert n_events(score, breaks, EventRules(merge_rows=8, **rules)) == 3
    assert n_events(score, breaks, EventRules(merge_rows=19, **rules)) == 2  # 20 to 41 are 20 rows: 40 is not flagged
    assert n_events(score, breaks, EventRules(merge_rows=21, **rules)) == 1
    breaks[50] = True
    assert n_events(score, breaks, EventRules(merge_rows=21, **rules)) == 2
    assert n_events(score, breaks, EventRules(merge_rows=21, min_score=7.0, max_gap=1.0)) == 0
