"""Detection on tables with categories, missing cells and identifiers: vaecli and its peers, in one run.

vaecli runs as a user would run it: `vaecli fit` and `vaecli score` on the files, untouched but for the label. The peers
need help that vaecli does not: identifiers dropped by hand, categories one-hot encoded, gaps filled.
Results are kept per method, table and seed, so a run can stop and go on.

    python benchmarks/mixed.py --data DIR
    python benchmarks/mixed.py --data DIR --methods knn5,lof,iforest
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import peers
import record
from adbench import run_vaecli
from sklearn.metrics import average_precision_score, roc_auc_score

KEYS = ("method", "table", "seed")
THRESHOLD = 0.99


@dataclass(frozen=True, slots=True)
class Table:
    """Where a benchmark table is, and which columns a person would have to drop for the peers."""

    fit: Path
    score: Path
    identifiers: tuple[str, ...] = ()


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for name, table in _tables(options).items():
        for method in options.methods:
            for seed in _seeds(method, options.seeds):
                if not results.has(method=method, table=name, seed=seed) or options.redo:
                    _measure(name, table, method, seed, results)
    record.finish(options.out, report(results.rows))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--out", type=Path, default=record.RESULTS / "mixed.json")
    record.add_redo(parser)
    parser.add_argument("--data", help="folder that holds mixed/nslkdd and mixed/ai4i2020")
    parser.add_argument("--seeds", type=record.seeds, default=[0, 1, 2], help="comma-separated (default 0,1,2)")
    record.add_names(parser, "--methods", ["vaecli", *peers.available()])
    parser.add_argument("--tables", default="", help="comma-separated; all by default")
    return parser.parse_args()


def _tables(options: argparse.Namespace) -> dict[str, Table]:
    mixed = record.data_folder(options.data, "mixed") / "mixed"
    samples = record.REPOSITORY / "sample_data"
    tables = {
        "nslkdd": Table(mixed / "nslkdd/train.csv", mixed / "nslkdd/test.csv"),
        "ai4i2020": Table(mixed / "ai4i2020/train.csv", mixed / "ai4i2020/test.csv", ("UDI", "Product ID")),
        "shuttle": Table(samples / "shuttle/normal.csv", samples / "shuttle/mixed.csv"),
        "cars": Table(samples / "cars/normal.csv", samples / "cars/mixed.csv"),
    }
    wanted = options.tables.split(",") if options.tables else list(tables)
    return {name: tables[name] for name in wanted}


def _seeds(method: str, seeds: list[int]) -> list[int]:
    return seeds[:1] if method in peers.DETERMINISTIC else seeds


def _measure(name: str, table: Table, method: str, seed: int, results: record.Results) -> None:
    label = pd.read_csv(table.score)["label"].to_numpy(bool)
    measured: dict[str, Any] = {}
    if method == "vaecli":
        answer, flags = _vaecli(table, seed)
        found = int((flags & label).sum())
        measured = {
            "false_alarms": float(flags[~label].mean()),
            "precision": found / max(1, int(flags.sum())),
            "recall": found / int(label.sum()),
        }
    else:
        answer = peers.available()[method](*_encoded(table), seed)
    measured |= {
        "auroc": float(roc_auc_score(label, answer.scores)),
        "ap": float(average_precision_score(label, answer.scores)),
        "fit_seconds": round(answer.fit_seconds, 3),
        "score_seconds": round(answer.score_seconds, 3),
    }
    results.add({"method": method, "table": name, "seed": seed} | measured)
    print(f"{method:9s} {name:9s} seed {seed}: AUROC {measured['auroc']:.4f}, AP {measured['ap']:.4f}", file=sys.stderr)


def _encoded(table: Table) -> tuple[np.ndarray, np.ndarray]:
    train = pd.read_csv(table.fit, na_values="?").drop(columns=list(table.identifiers))
    return peers.encode(train, pd.read_csv(table.score, na_values="?")[train.columns])


def _vaecli(table: Table, seed: int) -> tuple[peers.Answer, np.ndarray]:
    """Fit and score by the command line; the seconds include starting Python twice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unlabelled = folder / "test.csv"
        # as text, so that no cell changes on its way
        cells = pd.read_csv(table.score, dtype=str, keep_default_na=False)
        cells.drop(columns="label").to_csv(unlabelled, index=False)
        start = time.perf_counter()
        run_vaecli("fit", table.fit, "-o", folder / "m.vae", "--seed", seed)
        fitted = time.perf_counter()
        run_vaecli("score", unlabelled, "-m", folder / "m.vae", "-o", folder / "out.csv", "--threshold", THRESHOLD)
        done = time.perf_counter()
        scored = pd.read_csv(folder / "out.csv", usecols=["anomaly_score", "is_anomaly"])
    if scored["anomaly_score"].isna().any():
        raise SystemExit(f"{table.score}: vaecli left {scored['anomaly_score'].isna().sum()} rows without a score")
    answer = peers.Answer(scored["anomaly_score"].to_numpy(np.float64), fitted - start, done - fitted)
    return answer, scored["is_anomaly"].to_numpy(bool)


def report(rows: list[dict[str, Any]]) -> str:
    """One Markdown table for each benchmark table, methods best first."""
    parts = [
        "# Tables with categories, missing cells and identifiers",
        "Fit on normal rows, score the rest without its label. Means over seeds. At vaecli's own flags (threshold "
        f"{THRESHOLD}): share of normal rows flagged (false alarms), precision and recall. vaecli's seconds are those "
        "of its two commands, start-up and files included; a peer's are those of its fit and score calls alone.",
    ]
    for table in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == table]
        methods = sorted({row["method"] for row in of_table}, key=lambda method: -_mean(of_table, method, "auroc"))
        lines = [_line(of_table, method) for method in methods]
        header = ("method", "seeds", "AUROC", "AP", "false alarms", "precision", "recall", "fit s", "score s")
        parts += [f"## {table}", record.markdown_table(header, lines)]
    return "\n\n".join([*parts, record.machine_line(record.machine())]) + "\n"


def _line(rows: list[dict[str, Any]], method: str) -> tuple[Any, ...]:
    of_method = [row for row in rows if row["method"] == method]
    values = {
        field: record.mean(row.get(field) for row in of_method)
        for field in ("auroc", "ap", "false_alarms", "precision", "recall", "fit_seconds", "score_seconds")
    }
    return (
        peers.NAMES[method],
        len(of_method),
        values["auroc"],
        values["ap"],
        record.percent(values["false_alarms"]),
        values["precision"],
        values["recall"],
        f"{values['fit_seconds']:.1f}",
        f"{values['score_seconds']:.1f}",
    )


def _mean(rows: list[dict[str, Any]], method: str, field: str) -> float:
    return record.mean(row[field] for row in rows if row["method"] == method) or 0.0


if __name__ == "__main__":
    main()
