"""The benchmark of events: alarms by vaecli's rules, what they find, and which stretches are long enough."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.conftest import refusal_without_data
from vaecli.sensors.events import EventRules


def test_missing_data_is_one_sentence(bench, tmp_path, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    assert "sensors/" in refusal_without_data(bench.main, ["--out", str(tmp_path / "o.jsonl")], capsys)


def table(n_rows: int, minutes: int) -> pd.DataFrame:
    time = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n_rows) * minutes, unit="min")
    return pd.DataFrame({"time": time, "a": np.zeros(n_rows), "label": np.zeros(n_rows, int)})


def test_figures_are_those_of_rows_that_can_be_counted(bench):
    """Of two events one is found by its third row; of two alarms one is false; the true one ends two rows late."""
    label, flagged = np.zeros(1440, bool), np.zeros(1440, bool)
    label[[100, 101, 102, 103, 500]] = True
    flagged[[102, 103, 105, 900]] = True
    judged = bench.Judged("causal", "default", flagged, [(102, 105), (900, 900)])
    found = bench.figures(table(1440, 1), label, judged)
    assert (found["events"], found["found"], found["delays"]) == (2, 1, [[2, 120.0]])
    assert (found["alarms"], found["false"], found["past"]) == (2, 1, [2])
    assert found["normal_days"] == pytest.approx(1435 / 1440)
    outside = bench.figures(table(1440, 1), label, bench.Judged("causal", "default", flagged, [(900, 900)]))
    assert (outside["found"], outside["false"]) == (0, 1)


def test_alarms_follow_the_rules_of_events(bench):
    """Hysteresis at 0.7 of the level, runs closer than the merge gap are one, and a gap of the clock ends one."""
    score = np.zeros(60)
    score[[10, 11, 20, 40, 41]] = 5, 3.6, 5, 5, 5
    time = np.arange(60.0)
    time[41:] += 100
    alarms = bench.alarms_of(score, score >= 5, time, EventRules(5.0, 10.0, 9))
    assert alarms == [(10, 20), (40, 40), (41, 41)]
    assert bench.alarms_of(score, score >= 5, time, EventRules(5.0, 10.0, 8))[:2] == [(10, 11), (20, 20)]


def test_stretches_are_cut_from_training_that_is_long_enough(bench, tmp_path: Path):
    """The last ten days of twenty, all test rows of a series without anomaly, nothing of a short one."""
    series = {
        "long": {"train_rows": 480, "test_rows": 24, "events": 1},
        "normal": {"train_rows": 48, "test_rows": 264, "events": 0},
        "short": {"train_rows": 240, "test_rows": 24, "events": 1},
    }
    (tmp_path / "SMD").mkdir()
    (tmp_path / "SMD" / "meta.json").write_text(json.dumps({"period_s": 3600, "series": series}))
    for name, facts in series.items():
        (tmp_path / "SMD" / name).mkdir()
        for part in ("train", "test"):
            rows = table(facts[f"{part}_rows"], 60)
            rows["time"] = np.arange(len(rows))
            rows.to_parquet(tmp_path / "SMD" / name / f"{part}.parquet")
    found = {one.name: (len(train), len(test)) for one, train, test in bench.normal_stretches(tmp_path, "SMD")}
    assert found == {"long": (239, 241), "normal": (48, 264)}


def test_the_report_pools_events_of_a_set_and_counts_budgets(bench):
    """Two of three events of a set are found; three alarms in two normal days are within a factor of two."""
    row = {"method": "vaecli", "mode": "causal", "set": "ASD", "train_days": 20.0, "normal_days": 2.0}
    row |= {"normal_rows": 2000, "alarms": 2, "past": [3]}
    test = row | {"part": "test", "level": "default", "found": 1}
    rows = [
        test | {"series": "a", "events": 1, "delays": [[4, 8.0]], "false": 1},
        test | {"series": "b", "events": 2, "delays": [[6, 9.0]], "false": 0},
        row | {"part": "normal", "level": "1/day", "series": "a", "alarms": 3},
        row | {"part": "normal", "level": "1/day", "series": "b", "alarms": 9},
    ]
    told = bench.report(rows)
    assert "| default | vaecli | causal | 1 | 2 | 0.667 | 0.750 | 0.250 | 0.250 | 5.000 |" in told
    assert "| vaecli | causal | 2 | 2 | 3.000 | 3.000 |" in told
    assert "| vaecli | causal | 2 | 3.000 | 1 | 1 |" in told
