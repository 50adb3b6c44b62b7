"""A simulated log of a pump: a slow drift, a new status code and normal weeks, by weeks of training.

A row per minute or per five: load with a daily cycle and a day that differs from the next, starts and stops with
transients of minutes (inrush, pressure) to an hour (bearing temperature), an ambient temperature that wanders from day
to day. Each world is fitted on its first weeks; later days are scored as they are (false alarms, near starts and stops
and away from them), with a bearing that becomes 12 degrees hotter within days, and with a status code that training
never had, for 30 minutes, once as a word and once as a number. A fault counts as found where a row of it is flagged,
and as named where the most important column of such a row is the one that has it. “Without” is the
same bundle without what training supports (`judge.support`).

    python benchmarks/sensor_plant.py
    python benchmarks/sensor_plant.py --seeds 0,1 --weeks 1
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

import vaecli
from vaecli.sensors.detector import SensorDetector

DAY = 1_440
TEST_DAYS, FAULT_DAY = 14, 2
DEGREES = 12.0
WEEKS = (1, 2, 4)
STEPS = (1, 5)  # minutes per row
DRIFT_DAYS = (3, 5, 10)
CODE_MINUTES = 30
NEAR = 30  # minutes after a start or a stop that count as its transient
CONTINUOUS = ("flow", "pressure", "current", "bearing_temp", "winding_temp", "vibration")

WITH, WITHOUT = "with", "without"

Row = dict[str, Any]


def main() -> None:
    """Measure every world that is missing, then write the table."""
    parser = record.parser(__doc__)
    parser.add_argument("--seeds", type=record.seeds, default=list(range(6)))
    parser.add_argument("--weeks", type=_numbers, default=list(WEEKS))
    parser.add_argument("--steps", type=_numbers, default=list(STEPS), help="minutes per row")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "sensor_plant.jsonl")
    record.add_redo(parser)
    options = parser.parse_args()
    results = record.Results(options.out, ("support", "step", "seed", "weeks", "test"))
    for seed, weeks, step in product(options.seeds, options.weeks, options.steps):
        key = {"step": step, "seed": seed, "weeks": weeks}
        if options.redo or not results.has(**key, support=WITH, test="normal"):
            for row in measured(seed, weeks, step):
                results.add(key | row)
    record.finish(options.out, report(results.rows))


def _numbers(text: str) -> list[int]:
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers with commas between them") from None


def plant(seed: int, days: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The log of a pump over `days`, and the minutes (n,) since its last start or stop."""
    rng = np.random.default_rng(seed)
    n = days * DAY
    hour = np.arange(n) / 60 % 24
    running = _running(rng, n)
    since = np.arange(n) - np.maximum.accumulate(np.where(np.diff(running, prepend=running[0]) != 0, np.arange(n), 0))
    of_day = np.repeat(1 + 0.06 * rng.standard_normal(days), DAY)
    demand = of_day * (1 + 0.25 * np.sin(2 * np.pi * (hour - 9) / 24)) + 0.05 * _slow(rng, n, 30)
    load = np.where(running, np.clip(demand, 0.3, 1.6), 0)
    ambient = 18 + 4 * np.sin(2 * np.pi * (hour - 15) / 24) + 3 * _slow(rng, n, 3 * DAY)
    spun = _lag(running.astype(float), 3)
    inrush = np.where(running & (since < 4), 2.5 * np.exp(-since / 1.5), 0)
    flow = 120 * _lag(load, 4) + 1.2 * rng.standard_normal(n)
    pressure = 6 * spun - 1.2 * _lag(load, 4) ** 2 + 0.05 * rng.standard_normal(n)
    current = 40 * load + 25 * spun + 60 * inrush + 0.5 * rng.standard_normal(n)
    bearing = ambient + 22 * _lag(0.6 * running + 0.4 * load, 60) + 0.3 * rng.standard_normal(n)
    winding = ambient + 45 * _lag(load**2, 25) + 0.4 * rng.standard_normal(n)
    vibration = np.where(running, 1.8 + 0.6 * load, 0.2) + 2 * inrush + 0.12 * np.abs(rng.standard_normal(n))
    state = np.where(running, np.where(since < 3, "starting", "running"), np.where(since < 5, "stopping", "standby"))
    code = pd.Series(state).map({"standby": 0, "starting": 1, "running": 2, "stopping": 4}).to_numpy()
    table = pd.DataFrame(
        {
            "time": pd.Timestamp("2026-03-02") + pd.to_timedelta(np.arange(n), unit="min"),
            "flow": flow.round(2),
            "pressure": pressure.round(3),
            "current": current.round(1),
            "bearing_temp": bearing.round(1),
            "winding_temp": winding.round(1),
            "vibration": vibration.round(3),
            "state": state,
            "code": code,
        }
    )
    return table, since


def _running(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) bool: runs of some hours, by day more often than by night."""
    running, at, on = np.zeros(n, bool), 0, True
    while at < n:
        by_day = 6 <= at / 60 % 24 < 22
        mean = (300 if by_day else 120) if on else (45 if by_day else 150)
        length = int(np.clip(mean * rng.gamma(2, 0.5), 12, 900))
        running[at : at + length] = on
        at, on = at + length, not on
    return running


def _lag(x: np.ndarray, minutes: float) -> np.ndarray:
    """A first-order lag of x (n,)."""
    out, a, level = np.empty(x.size), 1 / minutes, float(x[0])
    for i, value in enumerate(x.tolist()):
        level += a * (value - level)
        out[i] = level
    return out


def _slow(rng: np.random.Generator, n: int, memory: float) -> np.ndarray:
    """(n,) a stationary Gaussian process of unit variance with a memory of so many rows."""
    keep = np.exp(-1 / memory)
    noise, out, level = np.sqrt(1 - keep**2) * rng.standard_normal(n), np.empty(n), float(rng.standard_normal())
    for i, value in enumerate(noise.tolist()):
        level = keep * level + value
        out[i] = level
    return out


def measured(seed: int, weeks: int, step: int) -> list[Row]:
    """The figures of one world with a row per `step` minutes, a row per test, without and with what it supports."""
    table, since = plant(seed, 7 * weeks + TEST_DAYS)
    table, since = table[::step].reset_index(drop=True), since[::step]
    per_day = DAY // step
    cut = 7 * weeks * per_day
    model = vaecli.fit(table[:cut])
    detector = model.detector
    assert isinstance(detector, SensorDetector)
    assert detector.judge is not None
    without = replace(detector, judge=replace(detector.judge, support=None))
    test, since = table[cut:].reset_index(drop=True), since[cut:]
    broken_tables = _faults(table, test, cut, per_day, step)
    found: list[Row] = []
    for support, one in ((WITHOUT, replace(model, detector=without)), (WITH, model)):
        rows = _measured(one, test, since, broken_tables, FAULT_DAY * per_day)
        found += [{"support": support} | row for row in rows]
    print(seed, weeks, step, [row["false_alarms"] for row in found if row["test"] == "normal"], flush=True)
    return found


def _faults(
    table: pd.DataFrame, test: pd.DataFrame, cut: int, per_day: int, step: int
) -> dict[str, tuple[pd.DataFrame, str, int | None, int]]:
    """By name: the test rows with the fault, its column, its end, and how many rows read beyond the training range."""
    begin = FAULT_DAY * per_day
    low, high = table.loc[: cut - 1, "bearing_temp"].agg(["min", "max"])
    found: dict[str, tuple[pd.DataFrame, str, int | None, int]] = {}
    for days in DRIFT_DAYS:
        broken = _drifted(test, begin, days * per_day)
        beyond = int((broken["bearing_temp"] > high + 0.1 * (high - low)).sum())
        found[f"drift over {days} days"] = broken, "bearing_temp", None, beyond
    stop = begin + CODE_MINUTES // step
    for column, value in (("state", "E07"), ("code", 7), ("code", 3)):
        broken = test.copy()
        broken.loc[begin : stop - 1, column] = value
        found[f"{column} {value}"] = broken, column, stop, 0
    return found


def _measured(
    model: vaecli.Model,
    test: pd.DataFrame,
    since: np.ndarray,
    faults: dict[str, tuple[pd.DataFrame, str, int | None, int]],
    begin: int,
) -> list[Row]:
    """The figures of a model on normal rows, `since` (n,) minutes after a start or stop, and on faults from `begin`."""
    flagged, _ = _scored(model, test)
    near = since < NEAR
    rows: list[Row] = [
        {
            "test": "normal",
            "false_alarms": float(flagged.mean()),
            "near": float(flagged[near].mean()),
            "away": float(flagged[~near].mean()),
            "share_near": float(flagged[near].sum() / max(flagged.sum(), 1)),
            "rows_near": float(near.mean()),
        }
    ]
    for name, (broken, column, stop, beyond) in faults.items():
        rows.append({"test": name, "beyond": beyond} | _found(model, broken, flagged, begin, stop, column))
    return rows


def _drifted(test: pd.DataFrame, begin: int, n_rows: int) -> pd.DataFrame:
    by = np.clip((np.arange(len(test)) - begin) / n_rows, 0, 1) * DEGREES
    return test.assign(bearing_temp=(test["bearing_temp"] + by).round(1))


def _scored(model: vaecli.Model, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    found = model.score(table, explain=3)
    return found["is_anomaly"].to_numpy(bool), found["top_columns"].to_numpy(object)


def _found(
    model: vaecli.Model, broken: pd.DataFrame, before: np.ndarray, begin: int, stop: int | None, column: str
) -> Row:
    """What is flagged of a fault from `begin` to `stop`, beside what was flagged `before` (n,) without it."""
    flagged, top = _scored(model, broken)
    of_fault = slice(begin, stop)
    new = np.flatnonzero(flagged[of_fault] & ~before[of_fault])
    names = np.array([str(text).startswith(column) for text in top[of_fault][new]], bool)
    return {
        "new": int(new.size),
        "share": float(flagged[of_fault].mean()),
        "named": int(names.sum()),
        "first_named": int(new[names][0]) if names.any() else None,
    }


def report(rows: Sequence[Row]) -> str:
    """The results as a Markdown file."""
    lines = ["# A simulated log of a pump", "", _protocol(), ""]
    normal, faults = [], []
    for support in (WITHOUT, WITH):
        for step, weeks in sorted({(row["step"], row["weeks"]) for row in rows}):
            wanted = {"support": support, "step": step, "weeks": weeks}
            mine = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
            of_normal = [row for row in mine if row["test"] == "normal"]
            if not of_normal:
                continue
            names = ("false_alarms", "near", "away", "share_near", "rows_near")
            means = [record.percent(record.mean(row[name] for row in of_normal)) for name in names]
            normal.append([support, step, weeks, len(of_normal), *means])
            for test in dict.fromkeys(row["test"] for row in mine if row["test"] != "normal"):
                found = [row for row in mine if row["test"] == test]
                delays = [row["first_named"] for row in found if row["first_named"] is not None]
                faults.append(
                    [
                        support,
                        step,
                        weeks,
                        test,
                        f"{len(delays)} of {len(found)}",
                        float(np.median(delays)) if delays else None,
                        record.mean(row["new"] for row in found),
                        record.mean(row["named"] for row in found),
                    ]
                )
    header = [
        "support",
        "minutes per row",
        "weeks of training",
        "worlds",
        "false alarms",
        "near starts and stops",
        "away from them",
    ]
    lines += [record.markdown_table([*header, "share of false alarms near", "share of rows near"], normal), ""]
    header = ["support", "minutes per row", "weeks of training", "fault", "found and named", "median rows until then"]
    lines += [record.markdown_table([*header, "rows flagged anew", "that name it first"], faults)]
    return "\n".join(lines) + "\n"


def _protocol() -> str:
    return (
        f"Level 0.99, {TEST_DAYS} days of test. A fault begins on the third day: the bearing becomes "
        f"{DEGREES:g} degrees hotter within 3, 5 or 10 days and stays so; a status code is new for {CODE_MINUTES} "
        f"minutes. Near are the {NEAR} minutes after a start or a stop. Found and named: a row of the fault that is "
        "not flagged without it is flagged and names the column first. Means over worlds."
    )


if __name__ == "__main__":
    main()
