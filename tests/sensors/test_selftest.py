"""`selftest` of series as a user meets it: shares, delays, the sensor that is named, options and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.sensors.conftest import call, fitted, interleaved, plant, scored, write
from vaecli.config import SERIES_FAULTS
from vaecli.tasks.selftest_sensors import assigned

N = 2500


def switched(n: int, seed: int) -> pd.DataFrame:
    """A plant with a valve that opens and closes, and a lamp that never lights."""
    table = plant(n, seed)
    table["valve"] = (np.arange(n) // 50) % 2
    table["lamp"] = 0
    return table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(switched(1200, 1), tmp_path_factory.mktemp("switched"))[0]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(switched(N, 2), tmp_path_factory.mktemp("fresh") / "fresh.csv")


@pytest.fixture(scope="module")
def summary(model: Path, table: Path) -> dict[str, Any]:
    done = call("selftest", table, "-m", model, "--json")
    assert (done.code, done.err) == (0, "")
    return done.summary


def of(summary: dict[str, Any], fault: str, size: float | None = None) -> dict[str, Any]:
    (found,) = [one for one in summary["faults"] if (one["fault"], one["size"]) == (fault, size)]
    return found


def test_figures_add_up(summary: dict[str, Any]):
    """Columns sum to the whole, shares are counts, delays are in rows and seconds."""
    assert (summary["verb"], summary["model"], summary["rows"]) == ("selftest", "sensors", N)
    assert summary["stretches"] == (N - 32) // 128
    assert tuple(dict.fromkeys(one["fault"] for one in summary["faults"])) == SERIES_FAULTS
    for one in summary["faults"]:
        columns = [c for c in summary["columns"] if (c["fault"], c["size"]) == (one["fault"], one["size"])]
        assert sum(c["events"] for c in columns) == one["events"]
        assert sum(c["detected"] for c in columns) == one["detected"]
        assert one["share"] == one["detected"] / one["events"]
        assert one["low"] <= one["share"] <= one["high"]
        if one["detected"]:
            assert one["delay_time"] == pytest.approx(60 * one["delay_rows"])
            assert 0 <= one["delay_rows"] < one["rows"]


def test_large_faults_are_seen_at_once_and_named(summary: dict[str, Any]):
    for fault, size in (("spike", 8.0), ("shift", 4.0)):
        found = of(summary, fault, size)
        assert found["share"] == 1
        assert found["delay_rows"] == 0
        assert found["first_named_share"] > 0.9
    assert of(summary, "drift", 4.0)["delay_rows"] > of(summary, "shift", 4.0)["delay_rows"]
    assert of(summary, "noise", 2.0)["column_limits_share"] > of(summary, "quiet")["column_limits_share"]


def test_kinds_that_cannot_have_a_fault_are_named(summary: dict[str, Any]):
    dead, discrete = summary["skipped"]
    assert (dead["columns"], discrete["columns"]) == (["lamp"], ["valve"])
    assert set(dead["faults"]) == set(SERIES_FAULTS)
    assert {"stuck", "delay", "missing"}.isdisjoint(discrete["faults"])
    tried = {(one["fault"], one["column"]) for one in summary["columns"]}
    assert ("stuck", "valve") in tried
    assert ("drift", "valve") not in tried
    assert "lamp" not in {column for _, column in tried}


def test_flags_without_faults_are_those_of_score(tmp_path: Path, model: Path, summary: dict[str, Any]):
    """The false alarms are flags of `score` in the same rows: stretches begin after a window of 32 rows."""
    flagged = scored(switched(N, 2), model, tmp_path)["is_anomaly"].to_numpy(bool)
    stretches = flagged[32 : 32 + 128 * summary["stretches"]].reshape(-1, 128)
    assert summary["false_alarm_rate"] == stretches.mean()
    assert summary["flagged_before"] == stretches.any(1).sum()


def test_the_same_seed_gives_the_same_figures(model: Path, table: Path, summary: dict[str, Any]):
    """Workers, batches and other faults change nothing; another seed does."""
    words = ("selftest", table, "-m", model, "--json", "--faults", "noise,stuck")
    some = call(*words, "--workers", "1", "--batch-rows", "500").summary
    assert some["faults"] == [of(summary, "stuck"), *(of(summary, "noise", size) for size in (0.5, 1.0, 2.0))]
    assert call(*words, "--seed", "1").summary["columns"] != some["columns"]


def test_a_table_and_a_map(tmp_path: Path, model: Path, table: Path):
    output, plot = tmp_path / "seen.parquet", tmp_path / "map.png"
    done = call("selftest", table, "-m", model, "--faults", "stuck", "-o", output, "--plot", plot)
    assert done.code == 0, done.err
    found = pd.read_parquet(output)
    assert found["column"].isna().tolist() == [True, False, False, False, False]
    assert list(found.columns) == [
        "fault", "size", "unit", "column", "rows", "events", "detected", "share", "low", "high", "delay_rows",
        "delay_time", "first_named_share", "false_alarm_share", "column_limits_share", "column_limits_delay_rows",
        "verdict",
    ]  # fmt: skip
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "not applicable: stuck in 'lamp': never moved" in done.out
    (line,) = [line for line in done.out.splitlines() if line.startswith("stuck")]
    assert "rows" in line


def test_labelled_rows_are_left_out(tmp_path: Path):
    """Stretches do not hold rows that the label marks, nor have them in their history."""
    marked = plant(1200, 1).assign(fault=0)
    bundle, _ = fitted(marked.assign(fault=(np.arange(1200) < 3).astype(int)), tmp_path, "--label", "fault")
    new = plant(N, 2).assign(fault=(np.abs(np.arange(N) - 1000) < 50).astype(int))
    new.loc[new["fault"] == 1, "flow"] += 500
    found = call("selftest", write(new, tmp_path / "n.csv"), "-m", bundle, "--json", "--faults", "spike").summary
    assert found["excluded_by_label"] == 99
    assert found["stretches"] == (951 - 32) // 128 + (N - 1050 - 32) // 128
    assert found["false_alarm_rate"] < 0.05


def test_interleaved_devices(tmp_path: Path, grouped: Path):
    new = interleaved({"a": plant(700, 4), "b": plant(700, 5)})
    found = call("selftest", write(new, tmp_path / "n.csv"), "-m", grouped, "--json", "--faults", "shift").summary
    assert found["n_groups"] == 2
    assert found["stretches"] == 2 * ((700 - 32) // 128)


def test_more_rows_can_be_drawn_or_fewer(model: Path, table: Path):
    found = call("selftest", table, "-m", model, "--json", "--faults", "spike", "--rows", "1300").summary
    assert found["stretches"] == 10


def test_mistakes(tmp_path: Path, model: Path, table: Path):
    """Too few rows, faults of rows, and a bundle without a moving sensor are named, and nothing is written."""
    output = tmp_path / "seen.csv"
    short = write(switched(300, 3), tmp_path / "short.csv")
    done = call("selftest", short, "-m", model, "-o", output)
    assert done.code == 4
    assert "too few stretches of 128 normal rows" in done.err
    done = call("selftest", table, "-m", model, "-o", output, "--faults", "swap,stuck")
    assert done.code == 2
    assert "--faults swap: not among the faults of series" in done.err
    still = switched(600, 1).assign(pressure=1.0, flow=2.0, temperature=3.0, valve=0)
    dead, _ = fitted(still, tmp_path / "dead")
    done = call("selftest", table, "-m", dead, "-o", output)
    assert done.code == 2
    assert "no sensor can have any of the faults" in done.err
    assert not output.exists()


def test_rows_that_are_not_like_those_of_the_fit_are_warned_about(tmp_path: Path, model: Path):
    other = switched(N, 2)
    other.loc[other.index >= 1800, "flow"] += 80
    done = call("selftest", write(other, tmp_path / "n.csv"), "-m", model, "--json", "--faults", "spike")
    assert "not like those of the fit" in " ".join(json.loads(done.out)["warnings"])


@pytest.mark.parametrize(("n_segments", "k"), [(5, 3), (78, 20), (7, 40), (300, 4)])
def test_columns_are_hit_equally_often(n_segments: int, k: int):
    """No stretch has a fault twice in one column; columns differ by few faults."""
    segment, column = assigned(n_segments, np.arange(k), 10**6, np.random.default_rng(0))
    assert len(set(zip(segment.tolist(), column.tolist(), strict=True))) == segment.size
    counts = np.bincount(column, minlength=k)
    assert counts.min() >= min(10, n_segments) * 0.7
    assert counts.max() - counts.min() <= max(4, segment.size // n_segments)
    assert assigned(n_segments, np.arange(k), 4, np.random.default_rng(0))[0].size == 4
