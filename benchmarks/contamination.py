"""Training tables that hold anomalies: what a plain fit loses, and what `fit --contamination` loses, on ADBench's sets.

Protocol: the split of adbench.py, half of the normal rows to train and half to test. Into training go no anomalies
(`clean`), 5 % of the set's anomalies (`few`), or as many as make 5 % of the training rows, at most half of the set's
(`many`). All are tested on the same rows: the other normal rows, and the anomalies that are in no training table.

    python benchmarks/contamination.py --data DIR
    python benchmarks/contamination.py --data DIR --sets 'cardio|shuttle' --preset default --out few.json

The networks are the same with and without --contamination, so each table trains them once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import adbench
import numpy as np
import pandas as pd
import record
from sklearn.metrics import roc_auc_score

import vaecli
from vaecli.training import loop
from vaecli.training.trainer import Here

KEYS = ("set", "seed", "table", "method", "preset")
TABLES = ("clean", "few", "many")
METHODS = ("plain", "auto")
SHARE = 0.05
CAP = 10_000
MANY_ROWS = 300  # training rows from which 0.99 rests on no tail model


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    folder = record.data_folder(options.data, "adbench") / "adbench"
    results = record.Results(options.out, KEYS)
    for seed in options.seeds:
        for path in adbench._sets(folder, options.sets):
            for table, train, test, label in _tables(path, seed):
                _measure(path.stem, seed, table, (train, test, label), options, results)
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "contamination.json")
    parser.add_argument("--data", help="folder that holds adbench/*.npz")
    parser.add_argument("--seeds", type=record.seeds, default=[0], help="comma-separated (default 0)")
    parser.add_argument("--sets", default="", help="regular expression over the file names")
    parser.add_argument("--preset", default="fast")
    record.add_names(parser, "--methods", METHODS)
    return parser.parse_args()


def _tables(path: Path, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """(name, training rows, test rows, their labels) of each table of TABLES."""
    train, test, label = adbench.split_set(path, seed, CAP)
    normal, anomalies = test[~label], np.random.default_rng([seed, 0xC0]).permutation(test[label])
    most = len(anomalies) // 2
    n_many = min(round(len(train) * SHARE / (1 - SHARE)), most)
    counts = {"clean": 0, "few": min(max(round(SHARE * len(anomalies)), 1), most), "many": n_many}
    kept = anomalies[max(counts.values()) :]
    tested = np.concatenate([normal, kept])
    labels = np.repeat([False, True], [len(normal), len(kept)])
    for name in TABLES:
        yield name, np.concatenate([train, anomalies[: counts[name]]]), tested, labels


def _measure(
    name: str,
    seed: int,
    table: str,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    options: argparse.Namespace,
    results: record.Results,
) -> None:
    train, test, label = rows
    trained: list[Any] = []

    def train_once(_: Here, *arguments: Any, **named: Any) -> Any:
        if not trained:
            trained.append(loop.train(*arguments, **named))
        return trained[0]

    with patch.object(Here, "train", train_once):
        for method in options.methods:
            key = {"set": name, "seed": seed, "table": table, "method": method, "preset": options.preset}
            if not results.has(**key) or options.redo:
                row = key | _measured(train, test, label, method, seed, options.preset)
                results.add(row)
                print(f"{name:18s} {table:6s} {method:6s} AUROC {row['auroc']:.4f}", file=sys.stderr)


def _measured(
    train: np.ndarray, test: np.ndarray, label: np.ndarray, method: str, seed: int, preset: str
) -> dict[str, Any]:
    given = {} if method == "plain" else {"contamination": method}
    model = vaecli.fit(_frame(train), seed=seed, preset=preset, **given)
    scored = model.score(_frame(test), threshold=0.99)
    flagged = scored["is_anomaly"].to_numpy(bool)
    return {
        "n_train": len(train),
        "n_distrusted": model.summary.n_distrusted,
        "auroc": float(roc_auc_score(label, scored["anomaly_score"].to_numpy())),
        "false_alarms": float(flagged[~label].mean()),
        "recall": float(flagged[label].mean()),
    }


def _frame(rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[f"x{j + 1}" for j in range(rows.shape[1])])


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """Mean falls of AUROC against the plain fit of the clean table, false alarms and recall at 0.99; falls by set."""
    by = {(row["set"], row["seed"], row["table"], row["method"]): row for row in rows}
    runs = sorted({(row["set"], row["seed"]) for row in rows}, key=lambda run: (int(run[0].split("_")[0]), run[1]))
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    runs = [run for run in runs if all((*run, table, method) in by for table in TABLES for method in methods)]
    clean = {run: by[(*run, "clean", "plain")] for run in runs}
    lines = []
    for table in TABLES:
        for method in methods:
            mine = {run: by[(*run, table, method)] for run in runs}
            fall = {run: clean[run]["auroc"] - row["auroc"] for run, row in mine.items()}
            worst = max(fall, key=lambda run: fall[run])
            large = [row for row in mine.values() if row["n_train"] >= MANY_ROWS]
            alarms = [row["false_alarms"] for row in large]
            lines.append(
                (
                    f"{table}, {method}",
                    record.mean(row["auroc"] for row in mine.values()),
                    f"{record.mean(fall.values()):.4f}",
                    f"{worst[0]} {fall[worst]:+.3f}",
                    record.percent(record.mean(alarms)),
                    record.percent(max(alarms, default=None)),
                    record.percent(record.mean(row["recall"] for row in large)),
                )
            )
    head = ("table, fit", "AUROC", "mean fall", "largest fall", "false alarms at 0.99", "worst set", "anomalies found")
    columns = [(table, method) for table in TABLES for method in methods][1:]
    falls = [(*run, *(clean[run]["auroc"] - by[(*run, *column)]["auroc"] for column in columns)) for run in runs]
    titles = [f"{table}, {method}" for table, method in columns]
    presets = ", ".join(sorted({row["preset"] for row in rows}))
    return (
        "\n\n".join(
            [
                "# Contaminated training tables",
                f"{len(runs)} runs over {len({name for name, _ in runs})} sets of ADBench, preset {presets}. "
                "`few`: 5 % of a set's anomalies are in training; `many`: they are 5 % of the training rows, at most "
                "half of the set's anomalies. `plain` is a fit without --contamination; `auto` means 5%. A fall is "
                "that of AUROC against the plain fit of the clean table, on the same test rows. False alarms and "
                "anomalies found at 0.99 are of the sets with at least 300 training rows.",
                record.markdown_table(head, lines),
                "## Falls by set",
                record.markdown_table(("set", "seed", *titles), falls),
                record.machine_line(machine),
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
