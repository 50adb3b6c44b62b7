"""Events in series of sensors: found, how late, and at how many false alarms a day; vaecli beside windowed PCA.

vaecli runs from the command line (`fit`, `score --events`), at its default threshold and at `--alarm-budget 1/day`.
Windowed PCA gets the same rules of events on its own scores: hysteresis, merge gap, and a level by its own held-out
scores of the training rows, their 99 % quantile or the lowest that raises at most one event a day. Clocks that count
rows become moments by the period of their set, or by a minute per row where none is known (MSL, SMAP). The budget is
then measured on normal stretches of ten days or more that were kept from the fit. Results are kept line by line.

    python benchmarks/sensor_events.py --data DIR
    python benchmarks/sensor_events.py --data DIR --only SKAB,ASD --redo
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
import sensor_metrics
import sensor_peers
import sensors
from sensor_peers import Mode
from sensors import MODES, SETS, Row, Series

from vaecli.sensors.event_rates import EventRates, event_rates
from vaecli.sensors.events import ENDS_BELOW, EventRules, FlaggedRows, Tracker, series_parts

KEYS = ("method", "mode", "level", "part", "set", "series")
METHODS = ("vaecli", "pca")
LEVELS = ("default", "1/day")
MINUTE, DAY = 60, 86_400
LEAST_DAYS = 10  # of a held-out normal stretch
LONG_GAP = 4  # median steps: as `vaecli` infers it where steps are even
FACTOR = 2.0

Alarms = list[tuple[int, int]]  # first and last row, both included


@dataclass(frozen=True, slots=True)
class Judged:
    """Flags (m,) and alarms of test rows at one level of one mode."""

    mode: str
    level: str
    flagged: np.ndarray
    alarms: Alarms


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    folder = record.data_folder(options.data, "sensors") / "sensors"
    results = record.Results(options.out, KEYS)
    for name in options.only:
        for series in sensors.series_of(folder, name):
            if series.core:
                train, test, label = series.tables()
                train, test = (_stamped(table, folder / name) for table in (train, test))
                _measure(results, series, "test", train, test, label, options)
        for series, train, test in normal_stretches(folder, name):
            _measure(results, series, "normal", train, test, np.zeros(len(test), bool), options)
    record.finish(options.out, report(results.rows))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--data", help="folder that holds sensors/SET/SERIES/train.parquet and test.parquet")
    record.add_names(parser, "--only", SETS)
    record.add_names(parser, "--methods", METHODS)
    record.add_names(parser, "--modes", MODES)
    parser.add_argument("--out", type=Path, default=record.RESULTS / "sensor_events.jsonl")
    record.add_redo(parser)
    return parser.parse_args()


def _stamped(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The table with moments as its clock."""
    clock = table.columns[0]
    if not pd.api.types.is_integer_dtype(table[clock]):
        return table
    period = json.loads((folder / "meta.json").read_text(encoding="utf-8")).get("period_s") or MINUTE
    return table.assign(**{clock: pd.Timestamp("2020-01-01") + pd.to_timedelta(table[clock] * period, unit="s")})


def _days(table: pd.DataFrame) -> float:
    """Days from the first row to the last."""
    clock = table[table.columns[0]]
    return float((clock.iloc[-1] - clock.iloc[0]).total_seconds()) / DAY


def normal_stretches(folder: Path, name: str) -> Iterator[tuple[Series, pd.DataFrame, pd.DataFrame]]:
    """(series, rows to learn from, normal rows kept apart) of a set, of those with at least ten days of them.

    The last ten days of training rows, or their last third where that is longer, if more than half as much is left; or
    the test rows of series without an anomaly.
    """
    described = json.loads((folder / name / "meta.json").read_text(encoding="utf-8"))
    if name != "NAB" and not described.get("period_s"):  # a clock without a unit covers no days
        return
    for series, facts in described["series"].items():
        place = folder / name / series
        train = _stamped(pd.read_parquet(place / "train.parquet").drop(columns="label"), folder / name)
        one = Series(name, series, True, place)
        if facts.get("events") == 0 and facts["test_rows"]:
            test = _stamped(pd.read_parquet(place / "test.parquet").drop(columns="label"), folder / name)
            if _days(test) >= LEAST_DAYS:
                yield one, train, test
        elif (span := _days(train)) >= 1.5 * LEAST_DAYS:
            clock = train[train.columns[0]]
            cut = clock.iloc[-1] - pd.Timedelta(days=max(LEAST_DAYS, span / 3))
            yield one, train[clock < cut], train[clock >= cut]


def _measure(
    results: record.Results,
    series: Series,
    part: str,
    train: pd.DataFrame,
    test: pd.DataFrame,
    label: np.ndarray,
    options: argparse.Namespace,
) -> None:
    """Add what is missing of a series to the results."""
    for method in options.methods:
        key: Row = {"method": method, "part": part, "set": series.collection, "series": series.name}
        if not options.redo and all(results.has(**key, mode=a, level=b) for a in options.modes for b in LEVELS):
            continue
        started = time.perf_counter()
        judge = vaecli if method == "vaecli" else pca
        judged = {(one.mode, one.level): one for one in judge(train, test, options.modes)}
        for mode in options.modes:
            for level in LEVELS:
                found = judged.get((mode, level))
                facts: Row = {} if found is None else figures(test, label, found)
                results.add(key | {"mode": mode, "level": level, "train_days": round(_days(train), 3)} | facts)
        spent = time.perf_counter() - started
        print(f"{method:7s} {series.collection:6s} {series.name:50s} {part:7s} {spent:6.1f} s", file=sys.stderr)


def figures(test: pd.DataFrame, label: np.ndarray, judged: Judged) -> Row:
    """Counts of events and alarms; an event is found where a flagged row of an alarm lies in it."""
    clock = _seconds(test)
    steps = np.diff(clock, prepend=np.nan)
    steps[0] = np.median(steps[1:])
    within = steps <= LONG_GAP * np.median(steps)
    alarms, events = judged.alarms, sensor_metrics.runs(label)
    in_alarm = np.zeros(label.size, bool)
    for first, last in alarms:
        in_alarm[first : last + 1] = True
    flagged = judged.flagged & in_alarm
    delays = [
        [row, float(clock[first + row] - clock[first])]
        for first, last in events
        if flagged[first : last + 1].any()
        for row in [int(np.argmax(flagged[first : last + 1]))]
    ]
    right = [bool((flagged & label)[first : last + 1].any()) for first, last in alarms]
    past = [
        int(last - max(end for begin, end in events if begin <= last))
        for (first, last), is_right in zip(alarms, right, strict=True)
        if is_right
    ]
    return {
        "events": len(events),
        "found": len(delays),
        "delays": delays,
        "alarms": len(alarms),
        "false": len(alarms) - sum(right),
        "normal_days": float(steps[~label & within].sum()) / DAY,
        "normal_rows": int((~label).sum()),
        "past": past,  # rows from the end of the last event that an alarm holds to its own end
    }


def _seconds(table: pd.DataFrame) -> np.ndarray:
    return table[table.columns[0]].to_numpy().astype("datetime64[us]").astype(np.float64) / 1e6


def vaecli(train: pd.DataFrame, test: pd.DataFrame, modes: Sequence[Mode]) -> Iterator[Judged]:
    """`vaecli fit` and `score --events` in these modes at both levels, of those that training resolves."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train.to_parquet(place / "train.parquet", index=False)
        test.to_parquet(place / "test.parquet", index=False)
        told, _ = sensors.command(["fit", "train.parquet", "-o", "model.vae"], place)
        if told.get("model") != "sensors":
            return
        for mode in modes:
            for level in LEVELS:
                if level != "default" and _days(train) < 1:
                    continue
                words = ["score", "test.parquet", "-m", "model.vae", "-o", "out.parquet", "--events", "events.parquet"]
                words += ["--offline"] if mode == "offline" else []
                words += [] if level == "default" else ["--alarm-budget", level]
                sensors.command(words, place)
                flagged = pd.read_parquet(place / "out.parquet", columns=["is_anomaly"])["is_anomaly"]
                events = pd.read_parquet(place / "events.parquet", columns=["start", "end"])
                clock = _seconds(test)
                first, last = (_seconds(events[[name]]) for name in ("start", "end"))
                ends = zip(np.searchsorted(clock, first), np.searchsorted(clock, last, "right") - 1, strict=True)
                alarms = sorted((int(a), int(b)) for a, b in ends)
                yield Judged(mode, level, flagged.fillna(value=False).to_numpy(bool), alarms)


def pca(train: pd.DataFrame, test: pd.DataFrame, modes: Sequence[Mode]) -> Iterator[Judged]:
    """Windowed PCA in these modes at both levels."""
    clock = train.columns[0]
    a, b = sensor_peers.scaled(train.drop(columns=clock), test.drop(columns=clock))
    of_test = sensor_peers.windowed_pca(a, 0)(b)
    held_out = list(sensors.held_out_errors(sensor_peers.windowed_pca, a))
    time, window = _seconds(train), sensor_peers.width_for(len(a))
    gap = LONG_GAP * float(np.median(np.diff(time)))
    stretch = np.cumsum(np.diff(time, prepend=time[0]) > gap)
    for mode in modes:
        score = sensor_peers.placed(of_test, len(b), mode)
        of_train = np.concatenate([sensor_peers.placed(errors, n_rows, mode) for errors, n_rows in held_out])
        rates = event_rates(of_train[None], stretch, time, window, gap)
        for level in LEVELS:
            limit = float(np.quantile(of_train, sensors.LEVEL)) if level == "default" else _budget(rates)
            if limit is not None:
                rules = EventRules(limit, gap, window)
                flagged = score >= limit if level != "default" else score > limit
                yield Judged(mode, level, flagged, alarms_of(score, flagged, _seconds(test), rules))


def _budget(rates: EventRates) -> float | None:
    """The level of one event a day; None where training is shorter."""
    return rates.score_for(0, 1.0) if rates.days[0] >= 1 else None


def alarms_of(score: np.ndarray, flagged: np.ndarray, time: np.ndarray, rules: EventRules) -> Alarms:
    """The events of one series by the rules of vaecli; a score of one window has no shorter one to end events with."""
    nothing = np.zeros(score.size, np.int64)
    rows = FlaggedRows(("",), nothing, time, score, flagged, nothing.astype(bool))
    tracker: Tracker[int] = Tracker(rules)
    found = [*tracker.add(series_parts(rows, rules, len)), *tracker.rest()]
    return sorted((event.first, event.last) for event in found)


def report(rows: Sequence[Row]) -> str:
    """The results as a Markdown file."""
    tests = [row for row in rows if row["part"] == "test" and "events" in row]
    lines = ["# Events in series of sensors", "", _protocol(), "", "## All sets", "", _all_sets(tests)]
    lines += ["", "## By set, causal", "", _by_set(tests), "", "## Where alarms end", "", _ends(tests)]
    lines += ["", "## The budget on held-out normal stretches", "", _budgets(rows)]
    return "\n".join(lines) + "\n"


def _protocol() -> str:
    return (
        "An event is a run of labelled rows; it is found when a flagged row of an alarm lies in it. An alarm is what "
        f"`score --events` writes: hysteresis at {ENDS_BELOW} of the level, a merge gap of one window; no point "
        "adjustment. It is false when none of its flagged rows is labelled. Windowed PCA has the same rules on its own "
        "scores, and levels by its own held-out scores of the training rows. Recall, precision and false alarms are "
        "those of all series of a set together, then the plain mean over sets; the delay is the median of all events "
        "found. A level of 1/day needs a training of a day: SKAB (400 s) has none. MSL and SMAP have clocks without a "
        "unit, here a minute per row. vaecli judges one series of NAB (rogue_agent_key_hold) row by row: no events."
    )


def _of(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _pooled(rows: Sequence[Row]) -> Row:
    """The figures of series together; None where they are not defined."""
    total = {name: sum(row[name] for row in rows) for name in ("events", "found", "alarms", "false", "normal_days")}
    return {
        "recall": total["found"] / total["events"] if total["events"] else None,
        "precision": 1 - total["false"] / total["alarms"] if total["alarms"] else None,
        "per_day": total["false"] / total["normal_days"] if total["normal_days"] else None,
        "per_1000": 1000 * total["false"] / max(sum(row["normal_rows"] for row in rows), 1),
        "delay": float(np.median(delays)) if (delays := [one[0] for row in rows for one in row["delays"]]) else None,
    }


def _all_sets(tests: Sequence[Row]) -> str:
    table = []
    for level in LEVELS:
        for method in METHODS:
            for mode in MODES:
                mine = _of(tests, method=method, mode=mode, level=level)
                if not mine:
                    continue
                by_set = [_pooled(found) for name in SETS if (found := _of(mine, set=name))]
                means = [record.mean(one[name] for one in by_set) for name in ("recall", "precision", "per_1000")]
                means += [record.mean(one["per_day"] for one in by_set), _pooled(mine)["delay"]]
                table.append([level, sensor_peers.NAMES[method], mode, len(by_set), len(mine), *means])
    header = ["level", "method", "mode", "sets", "series", "recall", "precision", "false alarms per 1,000 normal rows"]
    return record.markdown_table([*header, "a day", "median delay, rows"], table)


def _by_set(tests: Sequence[Row]) -> str:
    table = []
    for name in SETS:
        for level in LEVELS:
            for method in METHODS:
                if mine := _of(tests, method=method, mode="causal", level=level, set=name):
                    found = _pooled(mine)
                    shown = [found[one] for one in ("recall", "precision", "per_1000", "per_day", "delay")]
                    n_events = sum(row["events"] for row in mine)
                    table.append([name, level, sensor_peers.NAMES[method], n_events, *shown])
    header = ["set", "level", "method", "events", "recall", "precision", "false alarms per 1,000 normal rows", "a day"]
    return record.markdown_table([*header, "median delay, rows"], table)


def _ends(tests: Sequence[Row]) -> str:
    """How many rows alarms of faults end after their last event."""
    table = []
    for method in METHODS:
        for mode in MODES:
            past = np.array([n for row in _of(tests, method=method, mode=mode, level="default") for n in row["past"]])
            if past.size:
                longer = past[past > 0]
                late = [float(np.median(longer)), float(np.quantile(longer, 0.9))] if longer.size else [None, None]
                table.append([sensor_peers.NAMES[method], mode, past.size, longer.size, *late])
    header = ["method", "mode", "alarms of faults", "that end after", "median rows after", "90 % of them"]
    return f"At the default level.\n\n{record.markdown_table(header, table)}"


def _budgets(rows: Sequence[Row]) -> str:
    normal = [row for row in rows if row["part"] == "normal" and row["level"] == "1/day" and "alarms" in row]
    series = list(dict.fromkeys((row["set"], row["series"]) for row in normal))
    table, totals = [], []
    columns = [(a, b) for a in METHODS for b in MODES if _of(normal, method=a, mode=b)]
    for name, one in series:
        mine = _of(normal, set=name, series=one)
        cells = [record.mean(_rate(row) for row in _of(mine, method=a, mode=b)) for a, b in columns]
        table.append([f"{name} {one}", mine[0]["train_days"], round(mine[0]["normal_days"], 1), *cells])
    for method, mode in columns:
        mine = _of(normal, method=method, mode=mode)
        rates = [_rate(row) for row in mine]
        pooled = sum(row["alarms"] for row in mine) / max(sum(row["normal_days"] for row in mine), 1e-9)
        shares = [sum(1 / FACTOR <= rate <= FACTOR for rate in rates), sum(rate > FACTOR for rate in rates)]
        totals.append([sensor_peers.NAMES[method], mode, len(mine), pooled, *shares])
    header = ["series", "days of training", "days kept apart", *(f"{sensor_peers.NAMES[a]}, {b}" for a, b in columns)]
    above = ["method", "mode", "series", "events a day, all together", "within a factor of two", "more than twice"]
    return (
        "`--alarm-budget 1/day`, or the same rule for windowed PCA: events a day on normal rows that were not trained "
        "on. The last ten days, or the last third, of training rows that cover fifteen days or more; or the test rows "
        "of series without an anomaly.\n\n"
        f"{record.markdown_table(above, totals)}\n\n{record.markdown_table(header, table)}"
    )


def _rate(row: Row) -> float:
    return float(row["alarms"] / row["normal_days"])


if __name__ == "__main__":
    main()
