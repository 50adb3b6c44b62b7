"""What two settings of the process do for `vaecli score` of Parquet: each is switched off in turn.

They are the allocator that Arrow takes, and how soon a thread that waits for the interpreter's lock gets it. Every
round runs all commands in turn, whole processes with two workers; figures are medians over rounds, ratios medians of
the ratios round by round. CPU seconds and peaks vary less than seconds where the machine does other work.

    python benchmarks/threads_and_memory.py --work DIR
    python benchmarks/threads_and_memory.py --work DIR --rows 200000 --preset fast
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import record
import tables

N_TRAIN = 20_000
BUILT = "as built"
RUN = "from vaecli.cli.app import run; run()"
# what is run before the program, and in which environment
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    BUILT: ("", {}),
    "Arrow's own allocator, mimalloc": ("", {"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}),
    "turns of 5 ms": ("from vaecli.runtime import parallel; parallel.SHORT_TURN = 5e-3; ", {}),
}
Cost = dict[str, float]


def main() -> None:
    """Make the tables, run the rounds that are missing, write the report."""
    options = record.parser(__doc__, "threads_and_memory.json")
    options.add_argument("--work", type=Path, required=True, help="folder for tables and bundles")
    options.add_argument("--rows", type=int, default=1_000_000, help="rows that are scored (1,000,000)")
    options.add_argument("--preset", default="default", help="of the fit (default)")
    options.add_argument("--runs", type=int, default=3, help="rounds (3)")
    given = options.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    work = given.work.resolve()
    results = record.Results(given.out, ("rows", "preset", "run"))
    new, bundle = prepared(work, given.rows, given.preset)
    for run in range(given.runs):
        if given.redo or not results.has(rows=given.rows, preset=given.preset, run=run):
            words = ["score", str(new), "-m", str(bundle), "-o", str(work / "scored.parquet"), "--quiet"]
            costs = {name: cost([*words, "--device", "cpu", "--workers", "2"], *how) for name, how in VARIANTS.items()}
            results.add({"rows": given.rows, "preset": given.preset, "run": run, "costs": costs})
            print(costs, file=sys.stderr, flush=True)
    record.finish(given.out, report(results.rows, results.machine()))


def prepared(work: Path, n_rows: int, preset: str) -> tuple[Path, Path]:
    """The table that is scored, and the bundle; made where they are missing."""
    train, new, bundle = work / "train.parquet", work / f"new_{n_rows}.parquet", work / f"{preset}.vae"
    if not train.exists():
        tables.write_parquet(train, N_TRAIN, N_TRAIN)
    if not new.exists():
        tables.write_parquet(new, n_rows, 1_000_000, seed=2)
    if not bundle.exists():
        words = ["-m", "vaecli", "fit", str(train), "-o", str(bundle), "--preset", preset, "--quiet", "--device", "cpu"]
        subprocess.run([sys.executable, *words], check=True, cwd=record.REPOSITORY)
    return new, bundle


def cost(words: Sequence[str], before: str, environment: Mapping[str, str]) -> Cost:
    """What a command line of vaecli costs: seconds, CPU seconds, peak memory in MB, pages from the system."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", before + RUN, *words], env=os.environ | environment, cwd=record.REPOSITORY
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        record.stop(f"vaecli {' '.join(words)} ended with {status}")
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "page_faults": used.ru_minflt,
    }


def report(rows: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]) -> str:
    """The Markdown of the results."""
    parts = [
        "# Threads and memory of `vaecli score`",
        "Written by `benchmarks/threads_and_memory.py`: Parquet of 30 columns, two workers; each line but the first "
        "switches one setting off. Medians; ratios to the build round by round.",
    ]
    for key in dict.fromkeys((row["rows"], row["preset"]) for row in rows):
        runs = [row["costs"] for row in rows if (row["rows"], row["preset"]) == key]
        parts.append(f"## {key[0]:,} rows, `{key[1]}`, {len(runs)} rounds")
        header = ("command", "s", "CPU s", "CPU s / as built", "peak, MB", "pages from the system")
        parts.append(record.markdown_table(header, [_line(name, runs) for name in VARIANTS]))
    return "\n\n".join([*parts, record.machine_line(machine)]) + "\n"


def _line(name: str, runs: Sequence[Mapping[str, Cost]]) -> tuple[str, ...]:
    def of(figure: str) -> float:
        return median(costs[name][figure] for costs in runs)

    ratio = median(costs[name]["cpu_seconds"] / costs[BUILT]["cpu_seconds"] for costs in runs)
    figures = (f"{of('seconds'):.2f}", f"{of('cpu_seconds'):.2f}", f"{ratio:.2f}", f"{of('peak_mb'):.0f}")
    return name, *figures, f"{of('page_faults'):,.0f}"


if __name__ == "__main__":
    main()
