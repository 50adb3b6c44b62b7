"""Detection in series of sensors: vaecli from the command line beside closed forms and detectors from PyPI.

vaecli runs as a user would run it, with one configuration for all: `vaecli fit train.parquet`, `vaecli score
test.parquet`, once as a live system would (causal) and once with `--offline`. Baselines are measured in both modes
too, peers as their packages score (they look ahead). Flags come from training rows alone: vaecli's `is_anomaly`; for
baselines the 99 % quantile of the scores of training rows, each third of the time scored by a fit of the others, as
vaecli does it. Results are kept line by line.

    python benchmarks/sensors.py --data DIR
    python benchmarks/sensors.py --data DIR --only SKAB,ASD --methods vaecli --redo
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
import sensor_metrics
import sensor_peers
from sensor_peers import NAMES, Mode

KEYS = ("method", "mode", "set", "series", "part")
SETS = ("SKAB", "TEP", "ASD", "MSL", "SMAP", "GECCO", "NAB", "SMD")
LEVEL = 0.99
HELD_OUT = 0.25  # of the training rows: the last ones, scored by a detector of the others
N_BLOCKS = 3  # of the training rows, for the thresholds of baselines
LONG = 1_000  # training rows from which a level of 0.99 is a promise
MODES: tuple[Mode, ...] = ("causal", "offline")
# The series of the tables; the others of these sets are measured too, and reported beside.
CORE = {
    "SMAP": r"P-2|E-8|E-13|B-1|E-7|D-6|E-5|G-2|D-5|A-5|S-1|F-3|T-3|A-1",
    "NAB": r"(realKnownCause|realTraffic|realAWSCloudwatch__(ec2_cpu_utilization_(24ae8d|5f5533|825cc2|ac20cd)|rds_cpu"
    r"|elb)).*",
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """One series: normal rows to learn from and labelled rows to score."""

    collection: str
    name: str
    core: bool
    folder: Path

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
        """(training rows, test rows, label of the test rows (m,)); the tables hold the clock and the sensors."""
        train, test = (pd.read_parquet(self.folder / f"{part}.parquet") for part in ("train", "test"))
        return train.drop(columns="label"), test.drop(columns="label"), test["label"].to_numpy(bool)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores (m,), higher is more anomalous, flags (m,) if the detector has a threshold, and what they cost."""

    mode: Mode
    score: np.ndarray
    flagged: np.ndarray | None
    fit_seconds: float
    score_seconds: float
    facts: Row


Method = Callable[[pd.DataFrame, pd.DataFrame], list[Scored]]


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    folder = record.data_folder(options.data, "sensors") / "sensors"
    results = record.Results(options.out, KEYS)
    found = [series for name in options.only for series in series_of(folder, name)]
    for series in sorted(found, key=lambda one: not one.core):
        for method in options.methods:
            if options.core and not series.core:
                continue
            for row in measured(series, method, results, redo=options.redo):
                results.add(row)
    record.finish(options.out, report(results.rows))
    plot(results.rows, options.out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--data", help="folder that holds sensors/SET/SERIES/train.parquet and test.parquet")
    record.add_names(parser, "--only", SETS)
    record.add_names(parser, "--methods", ["vaecli", *sensor_peers.BASELINES, *sensor_peers.available()])
    parser.add_argument("--core", action="store_true", help="only the series of the tables")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "sensors.jsonl")
    record.add_redo(parser)
    return parser.parse_args()


def series_of(folder: Path, name: str) -> Iterator[Series]:
    """The series of a set whose test rows hold an anomaly."""
    described = json.loads((folder / name / "meta.json").read_text(encoding="utf-8"))["series"]
    for series, facts in described.items():
        if facts["test_rows"] == 0 or facts.get("events") == 0:
            continue
        core = bool(re.fullmatch(CORE[name], series)) if name in CORE else name != "MSL" or "tsb_file" in facts
        yield Series(name, series, core, folder / name / series)


def measured(series: Series, method: str, results: record.Results, *, redo: bool) -> Iterator[Row]:
    """The rows of results of a method on a series that are missing: its test part, and held-out normal rows."""
    modes = ["offline"] if method in sensor_peers.PEERS else list(MODES)
    key = {"method": method, "set": series.collection, "series": series.name}
    for part in ("test", "normal"):
        if part == "normal" and method in sensor_peers.PEERS:
            continue
        if not redo and all(results.has(**key, mode=mode, part=part) for mode in modes):
            continue
        train, test, label = series.tables()
        if part == "normal":
            n_fit = round((1 - HELD_OUT) * len(train))
            train, test = train.iloc[:n_fit], train.iloc[n_fit:]
        started = time.perf_counter()
        for scored in run(method, train, test):
            row: Row = key | {"mode": scored.mode, "part": part, "core": series.core, "n_train": len(train)}
            row |= {"n_test": len(test), "sensors": test.shape[1] - 1, "fit_seconds": round(scored.fit_seconds, 3)}
            row |= {"score_seconds": round(scored.score_seconds, 3)} | scored.facts
            yield row | (_quality(scored, label) if part == "test" else _false_alarms(scored))
        spent = time.perf_counter() - started
        print(f"{method:17s} {series.collection:6s} {series.name:40s} {part:7s} {spent:7.1f} s", file=sys.stderr)


def _quality(scored: Scored, label: np.ndarray) -> Row:
    lowest = np.nanmin(scored.score) if np.isfinite(scored.score).any() else 0.0
    found: Row = dict(sensor_metrics.measures(label, np.nan_to_num(scored.score, nan=lowest, posinf=1e30)))
    return found if scored.flagged is None else found | sensor_metrics.decisions(label, scored.flagged)


def _false_alarms(scored: Scored) -> Row:
    assert scored.flagged is not None
    return {"flagged": int(scored.flagged.sum()), "false_alarms": float(scored.flagged.mean())}


def run(method: str, train: pd.DataFrame, test: pd.DataFrame) -> list[Scored]:
    """Fit a method to training rows and score test rows, in every mode that it has."""
    if method == "vaecli":
        return vaecli(train, test)
    clock = train.columns[0]
    a, b = sensor_peers.scaled(train.drop(columns=clock), test.drop(columns=clock))
    if method in sensor_peers.BASELINES:
        return baseline(sensor_peers.BASELINES[method], a, b)
    return peer(method, a, b)


def vaecli(train: pd.DataFrame, test: pd.DataFrame) -> list[Scored]:
    """`vaecli fit` and `vaecli score`, and again with --offline."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train.to_parquet(place / "train.parquet", index=False)
        test.to_parquet(place / "test.parquet", index=False)
        told, fit_seconds = command(["fit", "train.parquet", "-o", "model.vae"], place)
        facts = {
            "windows": told.get("model") == "sensors",
            "effective_rows": told.get("effective_rows"),
            "warned": any("independent" in warning or "covers" in warning for warning in told["warnings"]),
        }
        found = []
        for mode in MODES:
            ahead = ["--offline"] if mode == "offline" and facts["windows"] else []
            words = ["score", "test.parquet", "-m", "model.vae", "-o", f"{mode}.parquet", *ahead]
            _, seconds = command(words, place)
            table = pd.read_parquet(place / f"{mode}.parquet", columns=["anomaly_score", "is_anomaly"])
            if len(table) != len(test):
                record.stop(f"vaecli wrote {len(table)} rows of {len(test)}")
            flagged = table["is_anomaly"].fillna(value=False).to_numpy(bool)
            found.append(Scored(mode, table["anomaly_score"].to_numpy(float), flagged, fit_seconds, seconds, facts))
    return found


def command(words: Sequence[str], folder: Path) -> tuple[Row, float]:
    """(what a vaecli command prints as JSON, seconds from start to exit); ends the program when it fails."""
    program = shutil.which("vaecli", path=str(Path(sys.executable).parent)) or "vaecli"
    started = time.perf_counter()
    done = subprocess.run([program, *words, "--json"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        record.stop(f"vaecli {' '.join(words)} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout), time.perf_counter() - started


def baseline(method: sensor_peers.Baseline, train: np.ndarray, test: np.ndarray) -> list[Scored]:
    """A baseline in both modes, with the 99 % quantile of held-out scores of the training rows as threshold."""
    started = time.perf_counter()
    judge = method(train, 0)
    held_out = list(held_out_errors(method, train))
    fitted = time.perf_counter()
    of_test = judge(test)
    seconds = time.perf_counter() - fitted
    found = []
    for mode in MODES:
        score = sensor_peers.placed(of_test, len(test), mode)
        of_train = [sensor_peers.placed(errors, n_rows, mode) for errors, n_rows in held_out]
        limit = np.quantile(np.concatenate(of_train), LEVEL)
        found.append(Scored(mode, score, score > limit, fitted - started, seconds, {}))
    return found


def held_out_errors(method: sensor_peers.Baseline, train: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """(errors, rows) of each block of the training rows by a fit of the other blocks."""
    for block in np.array_split(np.arange(len(train)), N_BLOCKS):
        yield method(np.delete(train, block, axis=0), 0)(train[block]), block.size


def peer(method: str, train: np.ndarray, test: np.ndarray) -> list[Scored]:
    """A peer's scores of the test rows; none where it is not asked, or fails."""
    if not sensor_peers.can_run(method, train, test):
        return []
    started = time.perf_counter()
    try:
        score = sensor_peers.available()[method](train, test)
    except ValueError as error:  # dtaianomaly 0.5 cannot train when its last batch holds a single window
        print(f"{method} fails: {error}", file=sys.stderr)
        return []
    return [Scored("offline", score, None, 0.0, time.perf_counter() - started, {})]


def report(rows: Sequence[Row]) -> str:
    """The results as a Markdown file."""
    tests = [row for row in rows if row["part"] == "test" and row["core"]]
    present = [name for name in SETS if any(row["set"] == name for row in tests)]
    lines = ["# Series of sensors", "", _protocol(tests), "", "## VUS-PR by set", "", _by_set(tests, present, "vus_pr")]
    lines += ["", "## All figures, mean of sets", "", _figures(tests), "", "## VUS-ROC by set", ""]
    lines += [_by_set(tests, present, "vus_roc"), "", "## vaecli against the best single baseline of each set", ""]
    lines += [_against_best(tests, present), "", "## SKAB, pooled over its test parts", "", _skab(tests)]
    lines += [
        "",
        "## False alarms on held-out normal rows",
        "",
        _held_out(rows),
        "",
        "## Every series of MSL and SMAP",
        "",
    ]
    lines += [_every_series(rows), "", "## Seconds", "", _seconds(tests)]
    return "\n".join(lines) + "\n"


def _protocol(tests: Sequence[Row]) -> str:
    n_series = len({(row["set"], row["series"]) for row in tests})
    return (
        f"{n_series} series. Mean per set, then plain mean over sets. Higher is better but for false alarms. VUS with "
        "a buffer of 100 rows; no point adjustment. “Causal” scores depend on the row and those before it, “offline” "
        f"ones may look ahead. A dash: not every series of the set is measured, or the method cannot score it. "
        f"Flags at {LEVEL}: vaecli's `is_anomaly`; for baselines scores above the {LEVEL:.0%} "
        "quantile of held-out scores of the training rows, cross-fitted in three blocks of time as vaecli's are."
    )


def _methods(rows: Iterable[Row]) -> list[tuple[str, str]]:
    present = {(row["method"], row["mode"]) for row in rows}
    return [(name, mode) for name in NAMES for mode in MODES if (name, mode) in present]


def _of(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _set_means(rows: Sequence[Row], figure: str) -> dict[str, float | None]:
    return {name: record.mean(row.get(figure) for row in _of(rows, set=name)) for name in SETS}


def _by_set(tests: Sequence[Row], present: Sequence[str], figure: str) -> str:
    table = []
    sizes = {name: len({row["series"] for row in _of(tests, set=name)}) for name in present}
    for method, mode in _methods(tests):
        mine = _of(tests, method=method, mode=mode)
        means = _set_means([row for row in mine if len(_of(mine, set=row["set"])) == sizes[row["set"]]], figure)
        complete = all(means[name] is not None for name in present)
        whole = record.mean(means[name] for name in present) if complete else None
        table.append([NAMES[method], mode, *(means[name] for name in present), whole])
    counts = [f"{name} ({sizes[name]})" for name in present]
    return record.markdown_table(["method", "mode", *counts, "mean"], table)


def _figures(tests: Sequence[Row]) -> str:
    figures = ["vus_pr", "vus_roc", "auc_pr", "f1", "false_alarms", "event_recall", "event_precision"]
    table = []
    for method, mode in _methods(tests):
        mine = _of(tests, method=method, mode=mode)
        n_sets = len({row["set"] for row in mine})
        means = [record.mean(_set_means(mine, figure).values()) for figure in figures]
        table.append([NAMES[method], mode, n_sets, *means])
    header = ["method", "mode", "sets", "VUS-PR", "VUS-ROC", "AUC-PR", "F1", "false alarms"]
    return record.markdown_table([*header, "event recall", "event precision"], table)


def _against_best(tests: Sequence[Row], present: Sequence[str]) -> str:
    table = []
    for name in present:
        mine = _of(tests, set=name)
        means = {
            (method, mode): record.mean(row["vus_pr"] for row in _of(mine, method=method, mode=mode))
            for method, mode in _methods(mine)
        }
        rivals = {key: value for key, value in means.items() if key[0] in sensor_peers.BASELINES and value is not None}
        if not rivals:
            continue
        (best, mode), value = max(rivals.items(), key=lambda item: item[1])
        shares = [None if (own := means.get(("vaecli", m))) is None else f"{own / value:.0%}" for m in MODES]
        table.append([name, f"{NAMES[best]}, {mode}", value, *shares])
    return record.markdown_table(["set", "best baseline", "its VUS-PR", "vaecli causal", "vaecli offline"], table)


def _skab(tests: Sequence[Row]) -> str:
    table = []
    for method, mode in _methods(tests):
        mine = [row for row in _of(tests, method=method, mode=mode, set="SKAB") if "tp" in row]
        if not mine:
            continue
        tp, fp, fn, tn = (sum(row[name] for row in mine) for name in ("tp", "fp", "fn", "tn"))
        shares = [record.percent(fp / (fp + tn)), record.percent(fn / (fn + tp))]
        table.append([NAMES[method], mode, len(mine), 2 * tp / (2 * tp + fp + fn), *shares])
    return record.markdown_table(["method", "mode", "series", "F1", "false alarms", "missed"], table)


def _held_out(rows: Sequence[Row]) -> str:
    normal = _of(rows, part="normal")
    sentence = (
        f"Fitted on the first {1 - HELD_OUT:.0%} of the training rows, the last {HELD_OUT:.0%} scored; flags at "
        f"{LEVEL}. “Pooled” is the share of all rows. A series is long when its training table has at least {LONG:,} "
        "rows."
    )
    table = []
    for method, mode in _methods(normal):
        for long in (True, False):
            mine = [
                row for row in _of(normal, method=method, mode=mode) if (row["n_train"] + row["n_test"] >= LONG) == long
            ]
            if mine:
                few = sum(row["false_alarms"] <= 0.03 for row in mine) / len(mine)
                pooled = sum(row["flagged"] for row in mine) / sum(row["n_test"] for row in mine)
                mean = record.mean(row["false_alarms"] for row in mine)
                warned = sum(bool(row.get("warned")) for row in mine) if method == "vaecli" else None
                shares = [record.percent(few), record.percent(pooled), record.percent(mean)]
                table.append([NAMES[method], mode, "long" if long else "short", len(mine), *shares, warned])
    header = ["method", "mode", "series are", "series", "with at most 3 %", "pooled", "mean", "fits that warn"]
    return f"{sentence}\n\n{record.markdown_table(header, table)}"


def _every_series(rows: Sequence[Row]) -> str:
    table = []
    for name in ("MSL", "SMAP"):
        mine = _of(rows, set=name, part="test")
        for method, mode in _methods(mine):
            found = _of(mine, method=method, mode=mode)
            other = record.mean(row["vus_pr"] for row in found if not row["core"])
            table.append([name, NAMES[method], mode, len(found), record.mean(row["vus_pr"] for row in found), other])
    return record.markdown_table(["set", "method", "mode", "series", "VUS-PR", "outside the tables above"], table)


def _seconds(tests: Sequence[Row]) -> str:
    table = []
    for method, mode in _methods(tests):
        mine = _of(tests, method=method, mode=mode)
        spent = sum(row["score_seconds"] for row in mine)
        fit = sum(row["fit_seconds"] for row in mine) or None
        table.append([NAMES[method], mode, len(mine), fit, spent])
    note = (
        "Sums over the series, on a machine that did other work, so only the order of size counts. vaecli's include "
        "reading and writing files; the others' are of the computation alone."
    )
    return f"{note}\n\n{record.markdown_table(['method', 'mode', 'series', 'fit', 'score'], table)}"


def plot(rows: Sequence[Row], path: Path) -> None:
    """A picture of VUS-PR by set: vaecli, windowed PCA, and the best of all others."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tests = [row for row in rows if row["part"] == "test" and row["core"]]
    present = [name for name in SETS if any(row["set"] == name for row in tests)]
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    shown = [key for key in _methods(tests) if key[0] not in ("t2", "iforest")]
    for number, (method, mode) in enumerate(shown):
        means = _set_means(_of(tests, method=method, mode=mode), "vus_pr")
        own = method == "vaecli"
        colour = ("tab:blue" if mode == "causal" else "navy") if own else f"C{1 + number % 9}"
        axes.plot(
            [np.nan if (mean := means[name]) is None else mean for name in present],
            marker="o" if own else ".",
            linestyle="-" if own else "none",
            color=colour,
            markersize=8 if own else 7,
            label=f"{NAMES[method]}, {mode}",
            zorder=2 if own else 1,
        )
    axes.set_xticks(range(len(present)), present)
    axes.set_ylabel("VUS-PR")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
