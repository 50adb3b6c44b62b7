"""How much memory fitting and scoring a large Parquet file take: peak resident set, seconds and rows a second.

Writes a synthetic table (30 columns moved by five hidden factors, with noise) to `--work`, a row group at a
time, then runs `vaecli fit` and `vaecli score` as a user would and watches the processes from outside.

    python benchmarks/memory.py --work DIR
    python benchmarks/memory.py --work DIR --rows 200000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import record
import tables

GROUP_ROWS = 100_000
LIMITS_MB = {"fit": 1_500, "score": 500}
SAMPLE_SECONDS = 0.2


def main() -> None:
    """Make the table, run both verbs, write the results."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    table = options.work / f"factors_{options.rows}x{tables.N_COLUMNS}.parquet"
    if not table.exists():
        tables.write_parquet(table, options.rows, GROUP_ROWS)
    bundle, scored = options.work / "memory.vae", options.work / "memory.scored.parquet"
    commands = {
        "fit": ["fit", table, "-o", bundle, "--quiet"],
        "score": ["score", table, "-m", bundle, "-o", scored, "--quiet"],
    }
    measured = {verb: watched(verb, arguments, options.rows) for verb, arguments in commands.items()}
    check_scored(scored, options.rows)
    results = {
        "machine": record.machine(),
        "rows": options.rows,
        "columns": tables.N_COLUMNS,
        "table_bytes": table.stat().st_size,
        "limits_mb": LIMITS_MB,
        "measured": measured,
    }
    record.write_json(options.out, results)
    record.finish(options.out, report(results))
    if not options.keep:
        for path in (table, bundle, scored):
            path.unlink()


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with room for about 3 GB at the full size")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--out", type=Path, default=record.RESULTS / "memory.json")
    parser.add_argument("--keep", action="store_true", help="leave the table, the bundle and the scores in --work")
    return parser.parse_args()


def watched(verb: str, arguments: Sequence[object], n_rows: int) -> dict[str, Any]:
    """Run one vaecli command; peak resident memory in MB (10^6 bytes) of it and all processes below it.

    The larger of two measurements, both sampled every 0.2 s: the kernel's own high-water mark of the command, and the
    sum over the process tree (children count, pages they share count twice). Not what the kernel reports when a command
    has ended: that includes the moment before it began, when the process was still a copy of this script.
    """
    command = [sys.executable, "-m", "vaecli", *map(str, arguments)]
    print("$ vaecli", *arguments, file=sys.stderr)
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=record.REPOSITORY)
    sampler = Sampler(process.pid)
    sampler.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"vaecli {verb} ended with exit code {process.returncode}")
    kernel_mb = sampler.high_water_bytes / 1e6
    return {
        "peak_mb": round(max(kernel_mb, sampler.peak_bytes / 1e6), 1),
        "kernel_peak_mb": round(kernel_mb, 1),
        "sampled_peak_mb": round(sampler.peak_bytes / 1e6, 1),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "rows_per_second": round(n_rows / seconds),
    }


class Sampler(threading.Thread):
    """Looks at a process every 0.2 s: the largest sum of resident memory over its tree, and its own high-water mark."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak_bytes, self.high_water_bytes = pid, 0, 0
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, sum(map(resident_bytes, process_tree(self.pid))))
            self.high_water_bytes = max(self.high_water_bytes, high_water_bytes(self.pid))

    def stop(self) -> None:
        """End the sampling."""
        self._stopped.set()
        self.join()


def process_tree(pid: int) -> list[int]:
    """The process and everything below it; only itself where /proc does not exist."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            children = [child for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found += map(int, children)
    return found


def high_water_bytes(pid: int) -> int:
    """The most resident memory a process ever had, as the kernel knows while it runs; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def check_scored(path: Path, n_rows: int) -> None:
    """Stop when the output is not whole: a small peak is worth nothing if rows were dropped."""
    n_scored = pq.ParquetFile(path).metadata.num_rows
    if n_scored != n_rows:
        raise SystemExit(f"{path}: {n_scored:,} rows scored of {n_rows:,}")


def report(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        (
            f"`vaecli {verb}`",
            f"{values['peak_mb']:,.0f} MB",
            f"{LIMITS_MB[verb]:,} MB",
            f"{values['seconds']:,.0f}",
            f"{values['cpu_seconds']:,.0f}",
            f"{values['rows_per_second']:,}",
        )
        for verb, values in results["measured"].items()
    ]
    parts = (
        "# Memory on a large Parquet file",
        f"{results['rows']:,} rows × {results['columns']} columns of float64, "
        f"{results['table_bytes'] / 1e6:,.0f} MB on disk. "
        "Peak resident memory of the command and all processes below it; the limits are those for 5,000,000 rows.",
        record.markdown_table(("command", "peak", "limit", "seconds", "CPU seconds", "rows/s"), lines),
        record.machine_line(results["machine"]),
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
