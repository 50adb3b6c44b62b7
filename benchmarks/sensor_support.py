"""What it changes on real series that readings beyond what training supports decide a row alone.

Each series is fitted once and scored twice, as a live system would: by the bundle as it is, and by the same bundle
without what training supports (`judge.support`), which is what bundles of format 11 know. Labelled test rows give
VUS-PR, F1, events found and the share of normal rows that is flagged; the last quarter of the training rows, scored by
a fit of the others, gives that share of rows that are known to be normal. Results are kept line by line.

    python benchmarks/sensor_support.py --data DIR
    python benchmarks/sensor_support.py --data DIR --only ASD,SMD --redo
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
import sensor_metrics
import sensors
from sensors import HELD_OUT, SETS, Row, Series

import vaecli
from vaecli.sensors.detector import SensorDetector

WITH, WITHOUT = "with", "without"


def main() -> None:
    """Measure what is missing, then write the tables."""
    parser = record.parser(__doc__)
    parser.add_argument("--data", help="folder that holds sensors/SET/SERIES/train.parquet and test.parquet")
    record.add_names(parser, "--only", SETS)
    record.add_names(parser, "--parts", ("test", "normal"))
    parser.add_argument("--out", type=Path, default=record.RESULTS / "sensor_support.jsonl")
    record.add_redo(parser)
    options = parser.parse_args()
    folder = record.data_folder(options.data, "sensors") / "sensors"
    results = record.Results(options.out, ("set", "series", "part", "support"))
    for part in options.parts:
        for series in (one for name in options.only for one in sensors.series_of(folder, name)):
            key = {"set": series.collection, "series": series.name, "part": part}
            if options.redo or not results.has(**key, support=WITH):
                for row in measured(series, part):
                    results.add(key | row)
    record.finish(options.out, report(results.rows))


def measured(series: Series, part: str) -> Iterator[Row]:
    """The figures of one part of a series, with and without; none where it is judged row by row."""
    train, test, label = series.tables()
    if part == "normal":
        n_fit = round((1 - HELD_OUT) * len(train))
        train, test = train.iloc[:n_fit], train.iloc[n_fit:]
        label = np.zeros(len(test), bool)
    model = vaecli.fit(train)
    detector = model.detector
    if not isinstance(detector, SensorDetector):
        return
    facts: Row = {"core": series.core, "n_train": len(train), "n_test": len(test), "sensors": test.shape[1] - 1}
    for support in (WITHOUT, WITH):
        one = detector
        if support == WITHOUT and detector.judge is not None:
            one = replace(detector, judge=replace(detector.judge, support=None))
        yield facts | {"support": support} | _figures(replace(model, detector=one), test, label)
    print(series.collection, series.name, part, file=sys.stderr, flush=True)


def _figures(model: vaecli.Model, test: pd.DataFrame, label: np.ndarray) -> Row:
    scored = model.score(test)
    flagged = scored["is_anomaly"].fillna(value=False).to_numpy(bool)
    found: Row = {"false_alarms": float(flagged[~label].mean())}
    if not label.any():
        return found
    score = scored["anomaly_score"].to_numpy(float)
    lowest = np.nanmin(score) if np.isfinite(score).any() else 0.0
    found |= sensor_metrics.measures(label, np.nan_to_num(score, nan=lowest, posinf=1e30))
    found |= sensor_metrics.decisions(label, flagged) | {"false_alarms": float(flagged[~label].mean())}
    events = sensor_metrics.runs(label)
    return found | {"events": len(events), "found": sum(bool(flagged[a : b + 1].any()) for a, b in events)}


def report(rows: Sequence[Row]) -> str:
    """The results as a Markdown file."""
    lines = ["# What training supports, on real series", "", _protocol(), ""]
    table: list[list[Any]] = []
    core = [row for row in rows if row["core"]]
    for name in (name for name in SETS if any(row["set"] == name for row in core)):
        table.append([name, *_cells([row for row in core if row["set"] == name])])
    by_set = [line[2:] for line in table]
    table.append(["mean of sets", None, *(_mean_of(column) for column in zip(*by_set, strict=True))])
    table.append(["other series of these sets", *_cells([row for row in rows if not row["core"]])])
    header = ["set", "series", "VUS-PR without", "with", "F1 without", "with", "events", "found without", "with"]
    header += ["normal test rows flagged, % without", "with", "held-out training rows flagged, % without", "with"]
    lines.append(record.markdown_table(header, table))
    return "\n".join(lines) + "\n"


def _cells(rows: Sequence[Row]) -> list[Any]:
    """How many series, and the figures without and with."""
    tests = {support: _of(rows, "test", support) for support in (WITHOUT, WITH)}
    normal = {support: _of(rows, "normal", support) for support in (WITHOUT, WITH)}
    cells: list[Any] = [len(tests[WITH])]
    cells += [record.mean(row["vus_pr"] for row in tests[support]) for support in tests]
    cells += [record.mean(row["f1"] for row in tests[support]) for support in tests]
    cells += [sum(row["events"] for row in tests[WITH]), *(sum(row["found"] for row in of) for of in tests.values())]
    for part in (tests, normal):
        shares = [record.mean(row["false_alarms"] for row in part[support]) for support in part]
        cells += [None if share is None else 100 * share for share in shares]
    return cells


def _of(rows: Sequence[Row], part: str, support: str) -> list[Row]:
    return [row for row in rows if row["part"] == part and row["support"] == support]


def _mean_of(column: Sequence[float | int | None]) -> float | int | None:
    there = [value for value in column if value is not None]
    return sum(there) if there and all(isinstance(value, int) for value in there) else record.mean(there)


def _protocol() -> str:
    return (
        "The same bundle with and without `judge.support`, causal, level 0.99, plain means over series. Normal test "
        "rows are those without a label, also where a machine has changed since training; held-out rows are the last "
        "quarter of the training rows. An event is a run of labelled rows, found where one of its rows is flagged."
    )


if __name__ == "__main__":
    main()
