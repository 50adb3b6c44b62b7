"""Does `vaecli check` stay silent on fresh normal rows, and does it name the column that moved?

For each table a bundle is fitted once on half of its normal rows (at most 5,000); fresh rows are drawn from the other
half, without replacement within a draw, 100, 1,000 and 5,000 at a time where there are so many. Then one column after
the other is shifted by half a standard deviation. With NSL-KDD, whose test rows are known to differ from training, the
columns that moved are named.

    nice python benchmarks/drift.py --data FOLDER
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

SIZES = (100, 1_000, 5_000)
MOST_TRAINING = 5_000
MOST_COLUMNS = 100  # wider tables are left out, for their cost
SHIFT = 0.5
EPOCHS = 5
N_NAMED = 8


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = record.parser(__doc__, "drift.json")
    parser.add_argument("--data", help="the folder that holds adbench/ and mixed/ (see benchmarks/README.md)")
    parser.add_argument("--draws", type=int, default=1_000, help="draws of all tables and sizes together")
    parser.add_argument("--shifts", type=int, default=200, help="shifted draws of all tables together")
    options = parser.parse_args()
    folder = record.data_folder(options.data, "adbench")
    results = record.Results(options.out, ("table", "what", "n"))
    tables = dict(normal_tables(folder))
    cells = sum(1 for table in tables.values() for n in SIZES if len(table) // 2 >= n)
    shiftable = sum(len(table) // 2 >= SIZES[-1] for table in tables.values())
    for i, (name, table) in enumerate(tables.items()):
        if results.has(table=name, what="fresh", n=SIZES[0]) and not options.redo:
            continue
        measure(name, table, -(-options.draws // cells), -(-options.shifts // shiftable), i, results)
    if options.redo or all(row["what"] != "drift" for row in results.rows):
        real_drift(folder, results)
    record.finish(options.out, report(results))


def normal_tables(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each table's normal rows, shuffled; those with fewer than 200 or more than 100 columns are left out."""
    rng = np.random.default_rng(0)
    for path in sorted((folder / "adbench").glob("*.npz")):
        loaded = np.load(path, allow_pickle=True)
        X, y = loaded["X"], loaded["y"]
        normal = X[y.ravel() == 0]
        if len(normal) >= 2 * SIZES[0] and normal.shape[1] <= MOST_COLUMNS:
            which = rng.permutation(len(normal))[: 4 * MOST_TRAINING]
            yield path.stem, pd.DataFrame(normal[which], columns=[f"x{j + 1}" for j in range(normal.shape[1])])
    for name in ("ai4i2020", "nslkdd"):
        table = pd.read_csv(folder / "mixed" / name / "train.csv")
        yield name, table.iloc[rng.permutation(len(table))[: 4 * MOST_TRAINING]].reset_index(drop=True)


def fitted(table: pd.DataFrame) -> Any:
    """A bundle of the fast preset, in memory."""
    import vaecli

    return vaecli.fit(table, preset="fast", max_epochs=EPOCHS)


def measure(name: str, table: pd.DataFrame, draws: int, shifts: int, seed: int, results: record.Results) -> None:
    """Draw fresh rows, as they are and with one column shifted."""
    started = time.monotonic()
    half = min(len(table) // 2, MOST_TRAINING)
    training, fresh = table.iloc[:half], table.iloc[half:].reset_index(drop=True)
    model, rng = fitted(training), np.random.default_rng(seed)
    for n in SIZES:
        if len(fresh) < n:
            continue
        failed = warned = 0
        for _ in range(draws):
            found = model.check(fresh.iloc[rng.permutation(len(fresh))[:n]])
            failed, warned = failed + (found.level == "fail"), warned + (found.level != "ok")
        results.add({"table": name, "what": "fresh", "n": n, "draws": draws, "failed": failed, "warned": warned})
    if len(fresh) >= SIZES[-1]:
        numeric = [one.name for one in model.schema.features if one.kind == "numeric"]
        seen = first = 0
        for _ in range(shifts):
            rows = fresh.iloc[rng.permutation(len(fresh))[: SIZES[-1]]].copy()
            column = numeric[rng.integers(len(numeric))]
            rows[column] = rows[column] + SHIFT * training[column].std()
            named = [one.column for one in model.check(rows).findings]
            seen, first = seen + (column in named), first + (named[:1] == [column])
        results.add({"table": name, "what": "shift", "n": SIZES[-1], "draws": shifts, "seen": seen, "first": first})
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


def real_drift(folder: Path, results: record.Results) -> None:
    """NSL-KDD: training on the normal rows of one capture, checked on the rows of another."""
    training = pd.read_csv(folder / "mixed/nslkdd/train.csv").sample(MOST_TRAINING, random_state=0)
    test = pd.read_csv(folder / "mixed/nslkdd/test.csv")
    model = fitted(training)
    for what, rows in (("all", test), ("normal", test[test["label"] == 0])):
        found = model.check(rows.drop(columns="label"))
        named = [one.sentence for one in found.findings if one.level == "fail" and one.column is not None]
        row = {"table": f"nslkdd test, {what} rows", "what": "drift", "n": len(rows), "level": found.level}
        results.add(row | {"failed": len(named), "sentences": named[:N_NAMED]})


def report(results: record.Results) -> str:
    """Failures of fresh rows, shifts that were named, and what moved in NSL-KDD."""
    of = {what: [row for row in results.rows if row["what"] == what] for what in ("fresh", "shift", "drift")}
    draws, failed = (sum(row[name] for row in of["fresh"]) for name in ("draws", "failed"))
    shifted, seen, first = (sum(row[name] for row in of["shift"]) for name in ("draws", "seen", "first"))
    parts = [
        "# Drift",
        f"Of {draws:,} draws of fresh normal rows {failed:,} fail. Of {shifted:,} draws of 5,000 rows with one column "
        f"shifted by half a standard deviation {seen:,} name it, {first:,} first. Tables with fewer than 200 normal "
        f"rows or more than {MOST_COLUMNS} columns are left out; a bundle learned from half of the normal rows, at "
        f"most {MOST_TRAINING:,}, with the fast preset and {EPOCHS} epochs.",
        record.markdown_table(
            ("table", "rows", "draws", "fail", "warn or fail"),
            [(row["table"], row["n"], row["draws"], row["failed"], row["warned"]) for row in of["fresh"]],
        ),
        record.markdown_table(
            ("shifted", "draws", "named", "first"),
            [(row["table"], row["draws"], row["seen"], row["first"]) for row in of["shift"]],
        ),
    ]
    for row in of["drift"]:
        lines = "\n".join(f"- {sentence}" for sentence in row["sentences"])
        parts.append(f"{row['table']} ({row['n']:,}): {row['failed']} failures of columns, the first:\n\n{lines}")
    return "\n\n".join([*parts, record.machine_line(results.machine())]) + "\n"


if __name__ == "__main__":
    main()
