"""Incidents: do their rows share a class, how often is a lasting fault announced, and what does plain `score` cost?

On shuttle's mixed table and on NSL-KDD's test rows the class of every row is known (`--names`). Flagged rows are
grouped by `vaecli`, and, in the same run, their latent codes by k-means and DBSCAN. A week of daily files has two
lasting faults; a second week is killed each day, at a random moment, and run again. Plain `score` is timed in pairs
with another checkout (`--base`).

    python benchmarks/incidents.py --data DIR --names DIR [--base CHECKOUT]

`--names` holds `KDDTest+.txt` of NSL-KDD as published, and `shuttle.csv`, the Statlog set with its classes: nine
numbers and `Class`, in any order of rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import adjusted_mutual_info_score

from vaecli.aggregates import incident_sketch
from vaecli.bundle import load_any_detector
from vaecli.config import score_config
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.tables import open_source, to_cells
from vaecli.tasks.deviations import Whereabouts, deviating_rows
from vaecli.tasks.incidents import RowIncidents, incident_patterns
from vaecli.tasks.reasons import RowsToExplain
from vaecli.workflows.score import decision_of

MOST = 30
RADII = (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)  # of DBSCAN
DAYS, DAY_ROWS = 7, 1500
PAIRS = 8
LISTENER = "import json, sys; print(json.load(sys.stdin)['id'], file=open(sys.argv[1], 'a'))"


def main() -> None:
    """Measure what is asked for, then write the tables."""
    options = _options()
    results = record.Results(options.out, ("what", "table", "method"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("shuttle", "nslkdd") if options.names else ():
            for row in classes(name, options, place):
                results.add(row)
        if not options.skip_week:
            for kills in (False, True):
                results.add(week(place, kills=kills))
        if options.base:
            results.add(speed(place, options.base))
    record.finish(options.out, report(results.rows))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--out", type=Path, default=record.RESULTS / "incidents.json")
    parser.add_argument("--data", help="folder that holds mixed/nslkdd")
    parser.add_argument("--names", type=Path, help="folder that holds KDDTest+.txt and shuttle.csv")
    parser.add_argument("--base", type=Path, help="another checkout, to time plain `score` against")
    parser.add_argument("--skip-week", action="store_true", help="leave out the weeks of daily files")
    return parser.parse_args()


def classes(name: str, options: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    """Purity and adjusted mutual information of the incidents of one table, and of clusters of its codes."""
    normal, table, labels = _table(name, options, place)
    bundle = place / f"{name}.vae"
    vaecli("fit", normal, "-o", bundle, "--seed", 0)
    detector, _ = load_any_detector(bundle)
    assert isinstance(detector, Detector)
    rows, found, codes = flagged(detector, table)
    truth = labels[rows]
    out = [_row(name, "incidents", truth, found)]
    clusters = KMeans(MOST, n_init=4, random_state=0).fit_predict(codes)
    out.append(_row(name, f"k-means on codes, k = {MOST}", truth, clusters))
    tried = [(radius, DBSCAN(eps=radius, min_samples=5).fit_predict(codes)) for radius in RADII]
    for limit, words in ((MOST, f"at most {MOST} clusters"), (10**9, "any number of clusters")):
        allowed = [(radius, label) for radius, label in tried if len(set(label)) <= limit]
        radius, label = max(allowed, key=lambda one: adjusted_mutual_info_score(truth, one[1]))
        out.append(_row(name, f"DBSCAN on codes, {words}, best radius", truth, label) | {"radius": radius})
    return out


def _table(name: str, options: argparse.Namespace, place: Path) -> tuple[Path, Path, np.ndarray]:
    """Normal rows, rows to score without a label, and the class of each."""
    table = place / f"{name}.csv"
    if name == "shuttle":
        folder = record.REPOSITORY / "sample_data/shuttle"
        rows, known = pd.read_csv(folder / "mixed.csv"), pd.read_csv(options.names / "shuttle.csv")
        rows.drop(columns="label").to_csv(table, index=False)
        numbers = list(rows.columns[:9])
        known = known.set_axis([*numbers, "Class"], axis=1).drop_duplicates(numbers)
        normal = place / "shuttle_normal.csv"
        pd.read_csv(folder / "normal.csv").drop(columns="label", errors="ignore").to_csv(normal, index=False)
        return normal, table, rows.merge(known, how="left", on=numbers)["Class"].to_numpy()
    folder = record.data_folder(options.data, "mixed") / "mixed/nslkdd"
    rows, known = pd.read_csv(folder / "test.csv"), pd.read_csv(options.names / "KDDTest+.txt")
    rows.drop(columns="label").to_csv(table, index=False)
    names = known.iloc[:, 41].to_numpy()
    assert ((names != "normal") == (rows["label"] == 1)).all()
    return folder / "train.csv", table, names


def flagged(detector: Detector, table: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers (k,), incidents (k,) and codes (k, z) of the flagged rows."""
    incident_sketch.N_SAMPLED = 10**9  # keeps every row of a pattern, to know which rows it has
    collected, codes = RowIncidents(detector), []
    decision = decision_of(detector, score_config({}, environment={}))
    for batch in open_source([str(table)]).batches(features_of(detector.schema)):
        cells = to_cells(batch, detector.schema)
        decided = detector.score(cells)
        which = np.flatnonzero(decision.flags(decided))
        rows = RowsToExplain.of(detector, batch, cells, decided, decision.flags(decided), which)
        collected.sketch.add(deviating_rows(detector, rows, Whereabouts()))
        codes.append(detector.encode(cells[which])[0])
    members = [[one.at for one in pattern.sampled] for pattern in incident_patterns(collected.sketch)]
    number = {row: i for i, rows_of_one in enumerate(members) for row in rows_of_one}
    rows_found = np.array(sorted(number))
    return rows_found, np.array([number[row] for row in rows_found]), np.concatenate(codes)


def _row(name: str, method: str, truth: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    counts = pd.crosstab(found, truth).to_numpy()
    return {
        "what": "classes",
        "table": name,
        "method": method,
        "flagged": int(counts.sum()),
        "groups": len(counts),
        "largest_class": float(counts.sum(0).max() / counts.sum()),
        "purity": float(counts.max(1).sum() / counts.sum()),
        "ami": float(adjusted_mutual_info_score(truth, found)),
    }


def week(place: Path, *, kills: bool) -> dict[str, Any]:
    """Seven daily files, a fault from the first day on and one from the third; with `kills` each run is killed first.

    A kill is SIGKILL to the process group, at a moment drawn over the length of a run; then the day is run again.
    """
    draw = random.Random(0)
    normal = pd.read_csv(record.REPOSITORY / "sample_data/shuttle/normal.csv").drop(columns="label", errors="ignore")
    folder = place / f"week_{kills}"
    folder.mkdir()
    normal.iloc[: -DAYS * DAY_ROWS].to_csv(folder / "normal.csv", index=False)
    vaecli("fit", folder / "normal.csv", "-o", folder / "model.vae", "--preset", "fast", "--seed", 0)
    heard, seconds, n_killed = folder / "heard.txt", 0.0, 0
    command = shlex.join([sys.executable, "-I", "-S", "-c", LISTENER, str(heard)])
    flagged_rows, announced_alone = 0, 0
    for day in range(DAYS):
        rows = normal.iloc[len(normal) - (DAYS - day) * DAY_ROWS :][:DAY_ROWS].reset_index(drop=True)
        rows.loc[100:139, "sensor_5"] += 60
        if day >= 2:
            rows.loc[700:759, "sensor_9"] -= 90
        rows.to_csv(folder / f"day{day}.csv", index=False)
        words = ["score", folder / f"day{day}.csv", "-m", folder / "model.vae", "--incident-state", folder / "state"]
        words += ["--incidents", folder / f"incidents{day}.json", "--after", 20, "--notify-command", command]
        for _ in range(3 if kills and seconds else 0):
            n_killed += killed(words, draw.uniform(0.3, 1.2) * seconds)
        started = time.monotonic()
        vaecli(*words)
        seconds = time.monotonic() - started
        incidents = json.loads((folder / f"incidents{day}.json").read_text())["incidents"]
        flagged_rows += sum(one["rows"] for one in incidents)
        announced_alone += sum(one["rows"] >= 20 for one in incidents)
    ids = heard.read_text().split()
    return {
        "what": "week",
        "table": "shuttle, two lasting faults",
        "method": "killed and run again" if kills else "undisturbed",
        "flagged": flagged_rows,
        "without_state": announced_alone,
        "notifications": len(ids),
        "distinct": len(set(ids)),
        "kills": n_killed,
    }


def killed(words: list[Any], after: float) -> bool:
    """Start a run and kill its process group after so many seconds; whether it was still running."""
    with subprocess.Popen(command_of(words), start_new_session=True, stdout=subprocess.DEVNULL) as running:
        try:
            running.wait(after)
            return False
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return True


def speed(place: Path, base: Path) -> dict[str, Any]:
    """Seconds of plain `score` of this checkout over those of the other, in pairs; and with --incidents."""
    normal = record.REPOSITORY / "sample_data/shuttle"
    table = place / "speed.csv"
    pd.concat([pd.read_csv(normal / "normal.csv")] * 3).to_csv(table, index=False)
    vaecli("fit", normal / "normal.csv", "-o", place / "speed.vae", "--preset", "fast", "--max-epochs", 3)
    words = ["score", table, "-m", place / "speed.vae", "-o", place / "out.csv", "--workers", 1]
    ratios, extra = [], []
    for pair in range(PAIRS):
        order = (record.REPOSITORY, base.resolve()) if pair % 2 else (base.resolve(), record.REPOSITORY)
        took = {checkout: timed(words, checkout) for checkout in order}
        ratios.append(took[record.REPOSITORY] / took[base.resolve()])
        with_incidents = timed([*words, "--incidents", place / "i.csv"], record.REPOSITORY)
        extra.append(with_incidents / took[record.REPOSITORY])
    return {
        "what": "speed",
        "table": f"shuttle, {len(pd.read_csv(table)):,} rows",
        "method": f"{PAIRS} pairs",
        "ratio": statistics.median(ratios),
        "low": sorted(ratios)[1],
        "high": sorted(ratios)[-2],
        "with_incidents": statistics.median(extra),
    }


def timed(words: list[Any], checkout: Path) -> float:
    """Processor seconds of one run in a checkout."""
    before = os.times()
    subprocess.run(command_of(words), cwd=checkout, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def command_of(words: list[Any] | tuple[Any, ...]) -> list[str]:
    """The command line of `vaecli` in the current checkout."""
    return [sys.executable, "-m", "vaecli", *map(str, words), "--quiet"]


def vaecli(*words: Any) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command_of(words), check=True)


def report(rows: list[dict[str, Any]]) -> str:
    """Three tables: classes, weeks, speed."""
    parts = ["# Incidents", "`python benchmarks/incidents.py --data DIR --names DIR --base CHECKOUT`", "## Classes"]
    parts.append(
        "Flagged rows in groups: the weighted mean share of the largest class of a group, beside the share of the "
        "largest class among all flagged rows; adjusted mutual information. Rows that DBSCAN leaves out are a group."
    )
    lines = ["| table | method | flagged | groups | largest class | purity | AMI |", "|---|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {one['table']} | {one['method']} | {one['flagged']:,} | {one['groups']} | {one['largest_class']:.3f} | "
        f"{one['purity']:.3f} | {one['ami']:.3f} |"
        for one in rows
        if one["what"] == "classes"
    ]
    parts += ["\n".join(lines), "## A week of daily files"]
    parts.append(
        f"{DAYS} files of {DAY_ROWS:,} rows; 40 rows a day have one fault, from the third day on 60 have another. "
        "Without a state every day would announce every incident of 20 rows. A kill is SIGKILL to the process group."
    )
    lines = ["| week | flagged rows | without a state | notifications | kills |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {one['method']} | {one['flagged']} | {one['without_state']} | {one['notifications']} | {one['kills']} |"
        for one in rows
        if one["what"] == "week"
    ]
    parts += ["\n".join(lines), "## Plain `score`"]
    lines = ["| table | pairs | this / base | second to second last | with --incidents / plain |"]
    lines += ["|---|---|--:|--:|--:|"]
    lines += [
        f"| {one['table']} | {one['method']} | {one['ratio']:.3f} | {one['low']:.3f} to {one['high']:.3f} | "
        f"{one['with_incidents']:.3f} |"
        for one in rows
        if one["what"] == "speed"
    ]
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


if __name__ == "__main__":
    main()
