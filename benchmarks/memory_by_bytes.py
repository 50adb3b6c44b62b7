"""How much memory a run takes where rows are few and bytes are many: peak resident set and seconds of each case.

Writes the tables to `--work` and runs `vaecli score` on each, to CSV and to Parquet, and `vaecli fit`, watched from
outside. Without its libraries for training a fit takes as much as `fit.parquet`, a small table of numbers, does.

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
    ("columns.csv", "parquet"): 2115,
    ("different.parquet", "bundle"): 3618,
    ("different.csv", "bundle"): 3401,
}
FITTED = ("text.parquet", "cells.csv", "different.parquet", "different.csv")


def main() -> None:
    """Make the tables, score each to both formats, write the results."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    bundle = options.work / "bytes.vae"
    pq.write_table(numbers(2_000), options.work / "fit.parquet")
    run(["fit", options.work / "fit.parquet", "-o", bundle, "--preset", "fast", "--max-epochs", "2", "--quiet"])
    measured, floors = [], {"pyarrow": pyarrow_alone(options.work)}
    floors["fit"] = run(fit_words(options.work / "fit.parquet", options.work))[1]
    for table in tables(options.work):
        if table.name in FITTED:
            seconds, peak, code = run(fit_words(table, options.work))
            measured.append(
                [table.name, "bundle", table.stat().st_size, BEFORE.get((table.name, "bundle")), peak, seconds, code]
            )
        for to in ("csv", "parquet"):
            out = options.work / f"out.{to}"
            seconds, peak, code = run(["score", table, "-m", bundle, "-o", out, "--quiet"])
            out.unlink(missing_ok=True)
            before = BEFORE.get((table.name, to))
            measured.append([table.name, to, table.stat().st_size, before, peak, seconds, code])
    results = {"machine": record.machine(), "limit_mb": LIMIT_MB, "floors_mb": floors, "measured": measured}
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
    different = pa.array([f"{i:08}" * (CELL_BYTES // 8) for i in range(2_000)])
    notes = pa.chunked_array([different] * 25)
    pq.write_table(numbers(50_000).append_column("note", notes), folder / "different.parquet", row_group_size=50_000)
    yield folder / "different.parquet"
    pa_csv.write_csv(numbers(20_000).append_column("note", notes.slice(0, 20_000)), folder / "different.csv")
    yield folder / "different.csv"
    yield folder / "columns.csv"
    wide = many_columns(100_000)
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


def fit_words(table: Path, folder: Path) -> list[object]:
    """A short fit of a table."""
    return ["fit", table, "-o", folder / "fitted.vae", "--preset", "fast", "--max-epochs", "2", "--quiet"]


def pyarrow_alone(folder: Path) -> int:
    """Peak MB of a process in which pyarrow alone reads 16,384 columns of CSV as text and writes them to Parquet."""
    pa_csv.write_csv(many_columns(16_384), folder / "columns.csv")
    code = (
        "import resource, sys, pyarrow as pa, pyarrow.csv as c, pyarrow.parquet as q\n"
        "names = open(sys.argv[1]).readline().replace('\"', '').strip().split(',')\n"
        "types = c.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))\n"
        "options = c.ReadOptions(use_threads=False, block_size=16 * 2**20)\n"
        "batches = c.open_csv(sys.argv[1], options, convert_options=types)\n"
        "with q.ParquetWriter(sys.argv[2], batches.schema, compression='zstd') as writer:\n"
        "    for batch in batches: writer.write_batch(batch)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)"
    )
    words = [sys.executable, "-c", code, str(folder / "columns.csv"), str(folder / "alone.parquet")]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def many_columns(n_columns: int) -> pa.Table:
    """300 rows of so many numbers."""
    few = numbers(300)
    return pa.table(
        {**dict(zip(few.column_names, few.columns, strict=True)), **{f"c{i}": few["x0"] for i in range(n_columns - 4)}}
    )


def report(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        (
            name,
            to,
            f"{size / 1e6:,.1f} MB",
            f"{before:,} MB" if before else "",
            f"{peak:,} MB",
            f"{seconds:.1f}",
            str(code),
        )
        for name, to, size, before, peak, seconds, code in results["measured"]
    ]
    parts = (
        "# Memory where cells are long",
        f"`vaecli score`, and `fit` (to a bundle), of {N_ROWS:,} rows with a text of {CELL_BYTES:,} bytes each "
        "(`dictionary`, `text`; `cells` a "
        "fifth of them; `late` from row 60,001 on), of a line of 200 MB, "
        "of 2,000 different texts of that length in 50,000 rows (`different`; 20,000 in CSV), "
        "of 16,384 columns (`columns`) and of 100,000. Exit code 4: beyond "
        f"the limits of docs/cli.md, and refused. The limit of the peak of scoring long cells is {LIMIT_MB} MB.",
        f"A fit of 2,000 rows of numbers takes {results['floors_mb']['fit']} MB: its libraries. pyarrow alone takes "
        f"{results['floors_mb']['pyarrow']} MB to read 16,384 columns of CSV as text and to write them as Parquet, of "
        "which it keeps encoders and pages for each.",
        record.markdown_table(("table", "to", "file", "peak before", "peak", "seconds", "exit"), lines),
        record.machine_line(results["machine"]),
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
