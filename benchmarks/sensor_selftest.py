"""Faults in one sensor of real series: what vaecli flags with and without its judge of single sensors, and limits.

A detector is fitted on training rows; faults are put into stretches of 128 normal test rows, one sensor at a time, as
`vaecli selftest` does. Limits on each sensor are learned from the training rows too, and set so that they raise an
alarm in as many of the stretches without a fault as the detector does. A fault counts where a row of it is flagged, in
stretches that raised no alarm before. “Without” is the same detector without its judge.

    python benchmarks/sensor_selftest.py --data DIR
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
import sensors

import vaecli
from vaecli.config import SERIES_FAULTS
from vaecli.data.cells import Cells
from vaecli.decisions.threshold import Decision
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import ReferenceRows
from vaecli.evaluation.series_faults import LONGEST, SERIES_CATALOGUE
from vaecli.sensors.detector import SensorDetector
from vaecli.tables import frame_source
from vaecli.tasks.selftest_sensors import (
    NEVER,
    ReadRows,
    ReadRowsTask,
    Segments,
    flagged_rows,
    kinds_of,
    segments_of,
    stretches_of,
    with_faults,
)

SERIES = ("SMD/machine-1-6", "ASD/omi-1", "GECCO/water2018a", "NAB/realKnownCause__machine_temperature_system_failure")
MOST_STRETCHES = 100
WITH, WITHOUT = "with", "without"

Row = dict[str, Any]


def main() -> None:
    """Measure every series that is missing, then write the tables."""
    parser = record.parser(__doc__)
    parser.add_argument("--data", help="folder that holds sensors/SET/SERIES/train.parquet and test.parquet")
    record.add_names(parser, "--only", SERIES)
    parser.add_argument("--out", type=Path, default=record.RESULTS / "sensor_selftest.jsonl")
    record.add_redo(parser)
    options = parser.parse_args()
    folder = record.data_folder(options.data, "sensors") / "sensors"
    results = record.Results(options.out, ("series", "model", "fault", "size"))
    for series in options.only:
        if options.redo or not results.has(series=series, model=WITH, fault="", size=None):
            name, of_set = series.split("/", 1)[1], series.split("/", 1)[0]
            for row in measured(sensors.Series(of_set, name, core=True, folder=folder / series)):
                results.add({"series": series} | row)
    record.finish(options.out, report(results.rows))


def measured(series: sensors.Series) -> list[Row]:
    """The shares of faults that are seen, by fault and size, and one row per model for the stretches without any."""
    train, test, label = series.tables()
    detector = vaecli.fit(train).detector
    assert isinstance(detector, SensorDetector)
    segments = stretches_in(detector, test, label)
    rarity = rarity_of(detector, train)
    found: list[Row] = []
    for model, one in ((WITHOUT, replace(detector, judge=None)), (WITH, detector)):
        kind = one.score_kind
        level = one.calibrations[kind].threshold(one.threshold)
        decision = Decision(kind, one.threshold, 1 - one.threshold, level, uses_tail_model=False)
        before = flagged_rows(one, decision, segments, segments.cells())
        odd = np.asarray(rarity(segments.cells()).reshape(before.shape).max(axis=1))
        share = float(before.any(1).mean())
        limit = float(np.quantile(odd, 1 - share, method="higher"))
        passed = np.logical_not(before.any(1)), np.asarray(odd <= limit)
        facts: Row = {"model": model, "sensors": len(detector.schema.features), "stretches": len(segments)}
        found.append(facts | {"fault": "", "size": None, "rows_flagged": float(before.mean()), "alarmed": share})
        for fault in SERIES_FAULTS:
            for size in SERIES_CATALOGUE[fault].sizes:
                seen = seen_of(one, decision, segments, fault, size, rarity, limit, passed)
                found += [facts | {"fault": fault, "size": size} | seen] if seen else []
        print(series.name, model, flush=True)
    return found


def stretches_in(detector: SensorDetector, test: pd.DataFrame, label: np.ndarray) -> Segments:
    """Stretches of normal test rows."""
    task = ReadRowsTask(detector, None)
    parts = [task.process(batch) for batch in frame_source(test).batches(task.needs)]
    cells, time = Cells.concatenate([part.cells for part in parts]), np.concatenate([part.time for part in parts])
    rows = ReadRows(cells, time, ("",), np.zeros(time.size, np.int64), label)
    stretches = stretches_of(rows, detector.clock.max_gap)
    return segments_of(detector, rows, stretches, MOST_STRETCHES, np.random.default_rng(0))


def rarity_of(detector: SensorDetector, train: pd.DataFrame) -> Callable[[Cells], np.ndarray]:
    """How rare the rarest reading of each row is in its own column, by the training rows."""
    task = ReadRowsTask(detector, None)
    cells = Cells.concatenate([task.process(batch).cells for batch in frame_source(train).batches(task.needs)])
    first = np.flatnonzero(np.diff(detector.sensors.column, prepend=-1))
    mean, spread = detector.scale.mean[first], detector.scale.deviation[first]
    return ColumnLimits.of(ReferenceRows(cells, detector.schema.features, mean, spread, mean), 0).rarity


def seen_of(
    detector: SensorDetector,
    decision: Decision,
    segments: Segments,
    name: str,
    size: float | None,
    rarity: Callable[[Cells], np.ndarray],
    limit: float,
    passed: tuple[np.ndarray, np.ndarray],
) -> Row:
    """The shares seen by the detector and by limits, and the detector's median delay; empty where none can be had."""
    fault = SERIES_CATALOGUE[name]
    possible = fault.applies_to(kinds_of(detector))
    if not possible.size:
        return {}
    rng = np.random.default_rng([0, SERIES_FAULTS.index(name), fault.sizes.index(size)])
    column = rng.permutation(np.resize(possible, len(segments)))
    broken, touched = with_faults(detector, fault, size, segments, column, rng)
    begin = np.where(touched.any(1), touched.argmax(1), LONGEST)
    is_now = np.arange(touched.shape[1]) >= begin[:, None]
    tried = begin < LONGEST
    flagged = flagged_rows(detector, decision, segments, broken) & is_now
    by_limits = ((rarity(broken).reshape(touched.shape) > limit) & is_now).any(1)
    seen = flagged.any(1) & tried & passed[0]
    first = np.where(flagged.any(1), flagged.argmax(1), NEVER)
    return {
        "seen": float(seen.sum() / max((tried & passed[0]).sum(), 1)),
        "by_limits": float((by_limits & tried & passed[1]).sum() / max((tried & passed[1]).sum(), 1)),
        "delay": float(np.median((first - begin)[seen])) if seen.any() else None,
    }


def report(rows: list[Row]) -> str:
    """The results as a Markdown file."""
    about = (__doc__ or "").split("\n\n")[1]
    lines = ["# Faults in one sensor", "", " ".join(about.split())]
    for series in dict.fromkeys(row["series"] for row in rows):
        mine = {(row["model"], row["fault"], row["size"]): row for row in rows if row["series"] == series}
        quiet = mine[WITH, "", None]
        lines += ["", f"## {series}, {quiet['sensors']} sensors", ""]
        alarms = [
            f"{model} the judge {mine[model, '', None]['alarmed']:.0%} of {quiet['stretches']} stretches "
            f"({mine[model, '', None]['rows_flagged']:.2%} of the rows)"
            for model in (WITHOUT, WITH)
        ]
        lines += [f"Alarms without a fault: {'; '.join(alarms)}.", ""]
        table = []
        for (model, fault, size), row in mine.items():
            if model != WITH or not fault:
                continue
            other = mine[WITHOUT, fault, size]
            shares = [f"{100 * one[name]:.0f} %" for one in (other, row) for name in ("seen", "by_limits")]
            table.append([fault, "" if size is None else f"{size:g}", *shares, other["delay"], row["delay"]])
        header = ["fault", "size", "without the judge", "limits, as many alarms", "with the judge"]
        header += ["limits, as many alarms", "delay without, rows", "delay with, rows"]
        lines.append(record.markdown_table(header, table))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
