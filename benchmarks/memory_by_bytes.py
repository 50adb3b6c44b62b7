"""How much memory scoring takes where rows are few and bytes are many: peak resident set and seconds of each case.

Writes the tables to `--work` and runs `vaecli score` on each, to CSV and to Parquet, watched from outside.

    python benchmarks/memory_by_bytes.py --work DIR
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import memory
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import record

N_ROWS, CELL_BYTES, LIMIT_MB = 100_000, 20_000, 500
# peaks in MB of the version before batches were bounded by bytes, on the same machine
BEFORE = {
    ("dictionary.parquet", "csv"): 2434,
    ("dictionary.parquet", "parquet"): 137,
    ("text.parquet", "csv"): 3956,
    ("text.parquet", "parquet"): 2444,
    ("cells.csv", "csv"): 414,
    ("cells.csv", "parquet"): 798,
    ("late.parquet", "csv"): 1406,
    ("late.parquet", "parquet"): 835,
    ("line.csv.gz", "csv"): 1277,
    ("line.csv.gz", "parquet"): 1277,
    ("wide.csv", "csv"): 1256,
    ("wide.csv", "parquet"): 3126,
    ("wide.parquet", "csv"): 2323,
    ("wide.parquet", "parquet"): 1740,
}


def main() -> None:
    """Make the tables, score each to both formats, write the results."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    bundle = options.work / "bytes.vae"
    pq.write_table(numbers(2_000), options.work / "fit.parquet")
    run(["fit", options.work / "fit.parquet", "-o", bundle, "--preset", "fast", "--max-epochs", "2", "--quiet"])
    measured = []
    for table in tables(options.work):
        for to in ("csv", "parquet"):
            out = options.work / f"out.{to}"
            seconds, peak, code = run(["score", table, "-m", bundle, "-o", out, "--quiet"])
            out.unlink(missing_ok=True)
            before = BEFORE.get((table.name, to))
            measured.append([table.name, to, table.stat().st_size, before, peak, seconds, code])
    results = {"machine": record.machine(), "limit_mb": LIMIT_MB, "measured": measured}
    record.write_json(options.out, results)
    record.finish(options.out, report(results))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with room for about 3 GB")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "memory_by_bytes.json")
    return parser.parse_args()


def numbers(n_rows: int) -> pa.Table:
    """Four numbers that move together."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=n_rows)
    return pa.table({f"x{i}": factor + rng.normal(size=n_rows) for i in range(4)})


def tables(folder: Path) -> Iterator[Path]:
    """Write each table and yield its path."""
    cell = "a" * CELL_BYTES
    with_codes = numbers(N_ROWS).append_column(
        "note", pa.DictionaryArray.from_arrays(pa.array(np.zeros(N_ROWS, np.int32)), pa.array([cell]))
    )
    pq.write_table(with_codes, folder / "dictionary.parquet")
    yield folder / "dictionary.parquet"
    texts = pa.chunked_array([pa.array([cell] * 5_000)] * (N_ROWS // 5_000))
    with_text = numbers(N_ROWS).append_column("note", texts)
    pq.write_table(with_text, folder / "text.parquet", row_group_size=N_ROWS)
    yield folder / "text.parquet"
    pa_csv.write_csv(with_text.slice(0, N_ROWS // 5), folder / "cells.csv")
    yield folder / "cells.csv"
    late = pa.array(["s"] * 60_000 + [cell] * 20_000)
    pq.write_table(numbers(80_000).append_column("note", late), folder / "late.parquet")
    yield folder / "late.parquet"
    with gzip.open(folder / "line.csv.gz", "wb", 1) as file:
        file.write(b"x0,x1,x2,x3\n1,2,3,4\n" + b"a" * 200_000_000 + b"\n")
    yield folder / "line.csv.gz"
    wide = numbers(300)
    wide = pa.table(
        {**{name: wide[name] for name in wide.column_names}, **{f"c{i}": wide["x0"] for i in range(99_996)}}
    )
    pa_csv.write_csv(wide, folder / "wide.csv")
    yield folder / "wide.csv"
    pq.write_table(wide, folder / "wide.parquet")
    yield folder / "wide.parquet"


def run(words: list[object]) -> tuple[float, int, int]:
    """Seconds, peak MB and exit code of one command; 0 and 4 are expected."""
    start, peak = time.monotonic(), 0
    process = subprocess.Popen([sys.executable, "-m", "vaecli", *map(str, words)], cwd=record.REPOSITORY)
    while process.poll() is None:
        peak = max(peak, memory.high_water_bytes(process.pid))
        time.sleep(0.01)
    if process.returncode not in (0, 4):
        raise SystemExit(f"vaecli {words[0]} ended with exit code {process.returncode}")
    return round(time.monotonic() - start, 1), round(peak / 1e6), process.returncode


def report(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        (name, to, f"{size / 1e6:,.1f} MB", f"{before:,} MB", f"{peak:,} MB", f"{seconds:.1f}", str(code))
        for name, to, size, before, peak, seconds, code in results["measured"]
    ]
    parts = (
        "# Memory where cells are long",
        f"`vaecli score` of {N_ROWS:,} rows with a text of {CELL_BYTES:,} bytes each (`dictionary`, `text`; `cells` a "
        "fifth of them; `late` from row 60,001 on), of a line of 200 MB, and of 100,000 columns. Exit code 4: beyond "
        f"the limits of docs/cli.md, and refused. The limit of the peak is {LIMIT_MB} MB.",
        record.markdown_table(("table", "to", "file", "peak before", "peak", "seconds", "exit"), lines),
        record.machine_line(results["machine"]),
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
