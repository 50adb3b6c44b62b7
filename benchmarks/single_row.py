"""One row in memory: how long does `model.score(row)` take, ten thousand times, and is it the batch's score?

Rows are DataFrames of one row of a table with numbers and categories; also as record batches, which saves what pandas
costs. Percentiles are of wall time, and of CPU time for machines that do other work as well.

    python benchmarks/single_row.py
    python benchmarks/single_row.py --rows 1000
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import record

import vaecli

N_NORMAL = 2_000
N_WARM = 100
TARGET_MS, TARGET_GAP = 2.0, 1e-6
SHAPES = ((10, "default"), (50, "default"))  # columns, preset


def main() -> None:
    """Fit small models, score rows one by one, write the report."""
    options = record.parser(__doc__, "single_row.json")
    options.add_argument("--rows", type=int, default=10_000, help="single rows of each kind (10,000)")
    given = options.parse_args()
    results = record.Results(given.out, ("columns", "kind"))
    for n_columns, preset in SHAPES:
        if not given.redo and all(results.has(columns=n_columns, kind=kind) for kind in KINDS):
            continue
        table = rows_of(n_columns, N_NORMAL + given.rows)
        model = vaecli.fit(table[:N_NORMAL], preset=preset, seed=0)
        for kind, one_row in KINDS.items():
            results.add({"columns": n_columns, "kind": kind} | measured(model, table[N_NORMAL:], one_row))
            print(results.rows[-1], flush=True)
    record.finish(given.out, report(results.rows, results.machine()))


def rows_of(n_columns: int, n_rows: int) -> pd.DataFrame:
    """Rows of numbers that move with two loads, and two categories."""
    rng = np.random.default_rng(0)
    loads = rng.normal(size=(n_rows, 2))
    values = loads @ rng.normal(size=(2, n_columns - 2)) + 0.3 * rng.normal(size=(n_rows, n_columns - 2))
    table = pd.DataFrame(values, columns=[f"c{j}" for j in range(n_columns - 2)])
    return table.assign(mode=rng.choice(["eco", "normal", "boost"], n_rows), pump_on=loads[:, 0] > 0)


KINDS: dict[str, Callable[[pd.DataFrame, int], Any]] = {
    "DataFrame": lambda table, i: table.iloc[i : i + 1],
    "Arrow record batch": lambda table, i: pa.RecordBatch.from_pandas(table.iloc[i : i + 1], preserve_index=False),
}


def measured(model: vaecli.Model, table: pd.DataFrame, one_row: Callable[[pd.DataFrame, int], Any]) -> dict[str, Any]:
    """Milliseconds of each row, and the largest difference from the score of the row in one batch with the others."""
    wall, cpu, scores = [], [], []
    for i in range(-N_WARM, len(table)):
        row = one_row(table, max(i, 0))
        began, began_cpu = time.perf_counter(), time.process_time()
        scored = model.score(row)
        if i >= 0:
            wall.append(1e3 * (time.perf_counter() - began))
            cpu.append(1e3 * (time.process_time() - began_cpu))
            scores.append(float(scored["anomaly_score"][0] if isinstance(scored, pa.Table) else scored.iat[0, -3]))
    whole = model.score(table)["anomaly_score"].to_numpy()
    gap = float(np.max(np.abs(np.array(scores) - whole) / np.maximum(np.abs(whole), 1)))
    percentiles = {
        f"{name}_p{p}": float(np.percentile(of, p)) for name, of in (("wall", wall), ("cpu", cpu)) for p in (50, 99)
    }
    return {"rows": len(table), "gap": gap} | percentiles


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The Markdown of the results."""
    lines = [
        [
            f"{row['columns']} columns, {row['kind']}",
            f"{row['rows']:,}",
            *(f"{row[name]:.2f}" for name in ("wall_p50", "wall_p99", "cpu_p50", "cpu_p99")),
            f"{row['gap']:.1e}",
        ]
        for row in rows
    ]
    header = ["one row", "rows", "p50 ms", "p99 ms", "p50 CPU ms", "p99 CPU ms", "largest difference from the batch"]
    return "\n".join(
        [
            "# One row in memory",
            "",
            "Written by `benchmarks/single_row.py`: `model.score` of one row after the other, after 100 that warm up. "
            f"The aim is {TARGET_MS:.0f} ms and a difference of at most {TARGET_GAP:g} (relative where scores are "
            "above 1 nat).",
            "",
            record.markdown_table(header, lines),
            "",
            record.machine_line(machine),
            "",
        ]
    )


if __name__ == "__main__":
    main()
