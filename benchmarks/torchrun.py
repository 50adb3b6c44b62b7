"""`torchrun -m vaecli fit` with two ranks beside one rank, and beside `vaecli fit`: seconds, and bytes of the bundles.

Each round runs all of them one after the other, so that a slow minute of the machine slows all; a ratio is the median
of the ratios within a round. "One thread" is one process on one core.

    python benchmarks/torchrun.py --work DIR
    python benchmarks/torchrun.py --work DIR --quick
    python benchmarks/torchrun.py --work DIR --stages --rows 2000

With `--stages` the seconds of each stage of a fit, by rank (`rank_stages.py`), go to torchrun_stages.json instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record
import tables

KEYS = ("preset", "rows", "run")
LEAST_RATIO = 1.6  # what is aimed at
RANKS = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
VAECLI = ["-m", "vaecli"]
# what each is called, its command, the cores it may use
COMMANDS: dict[str, tuple[list[str], int]] = {
    "two ranks, two cores": ([*RANKS, "2", *VAECLI], 2),
    "one rank, one core": ([*RANKS, "1", *VAECLI], 1),
    "vaecli fit, one core": ([sys.executable, *VAECLI], 1),
    "vaecli fit, two cores": ([sys.executable, *VAECLI], 2),
}
TWO, ONE = "two ranks, two cores", "one rank, one core"


def main() -> None:
    """Measure what is missing, then write the report."""
    options = _options()
    os.chdir(options.work)
    table = Path(f"train-{options.rows}.parquet")
    if not table.exists():
        tables.write_parquet(table, options.rows, options.rows)
    if options.stages:
        results = record.Results(options.out.with_name("torchrun_stages.json"), KEYS[:2])
        key = {"preset": options.preset, "rows": options.rows}
        if options.redo or not results.has(**key):
            results.add(key | {name: stages(table, options.preset, n) for name, n in ((ONE, 1), (TWO, 2))})
        record.finish(results.path, report_of_stages(results.rows, results.machine()))
        return
    results = record.Results(options.out, KEYS)
    for run in range(options.runs):
        key = {"preset": options.preset, "rows": options.rows, "run": run}
        if options.redo or not results.has(**key):
            results.add(key | one_round(table, options.preset, reverse=run % 2 == 1))
            print(run, results.rows[-1])
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "torchrun.json")
    parser.add_argument("--work", type=Path, required=True, help="folder for the table and the bundles")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of 30 columns (default 20,000)")
    parser.add_argument("--preset", default="best", help="preset (default best)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--stages", action="store_true", help="seconds of each stage by rank, once")
    parser.add_argument("--quick", action="store_true", help="500 rows, preset fast, 1 round: is all in place?")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.work, options.out = options.work.resolve(), options.out.resolve()
    if options.quick:
        options.rows, options.preset, options.runs = 500, "fast", 1
        options.out = options.work / "torchrun_quick.json"
    return options


def one_round(table: Path, preset: str, *, reverse: bool) -> dict[str, Any]:
    """Seconds on the wall and of computing of each command, and the digest of its bundle."""
    found: dict[str, Any] = {}
    cores = sorted(os.sched_getaffinity(0))
    for name in sorted(COMMANDS, reverse=reverse):
        command, n_cores = COMMANDS[name]
        words = ["fit", str(table), "-o", "model.vae", "--preset", preset, "--seed", "0", "--quiet"]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        os.sched_setaffinity(0, cores[:n_cores])  # which the command inherits
        try:
            done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        finally:
            os.sched_setaffinity(0, cores)
        if done.returncode:
            record.stop(f"{name}: exit code {done.returncode}: {done.stderr[-2000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found[name] = {
            "seconds": round(time.monotonic() - begin, 2),
            "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
            "sha256": hashlib.sha256(Path("model.vae").read_bytes()).hexdigest(),
        }
    return found


def stages(table: Path, preset: str, n: int) -> list[dict[str, list[float]]]:
    """The seconds of computing and on the wall of each stage, for each of n ranks."""
    words = ["fit", str(table), "-o", "model.vae", "--preset", preset, "--seed", "0", "--quiet"]
    script = str(Path(__file__).resolve().with_name("rank_stages.py"))
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:n])
    try:
        done = subprocess.run([*RANKS, str(n), script, *words], capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, cores)
    if done.returncode:
        record.stop(f"{n} ranks: exit code {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(Path(f"stages-{rank}.json").read_text(encoding="utf-8")) for rank in range(n)]


def report_of_stages(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The seconds of each stage as Markdown, one block for each table."""
    lines = ["# Where ranks spend their time", "", "`python benchmarks/torchrun.py --work DIR --stages --rows N`."]
    for row in rows:
        ranks = [*row[ONE], *row[TWO]]
        names = [name for name in ranks[0] if any(max(rank[name]) >= 0.01 for rank in ranks)]
        table = [(name, *(_both(rank[name]) for rank in ranks)) for name in names]
        table.append(("sum", *(_both([sum(both) for both in zip(*rank.values(), strict=True)]) for rank in ranks)))
        header = ("stage", "one rank", "two: rank 0", "two: rank 1")
        lines += ["", f"## {row['rows']:,} rows, preset {row['preset']}", ""]
        lines += ["Seconds of computing (on the wall):", ""]
        lines += record.markdown_table(header, table).splitlines()
    return "\n".join([*lines, "", record.machine_line(machine), ""])


def _both(seconds: Sequence[float]) -> str:
    return f"{seconds[0]:.2f} ({seconds[1]:.2f})"


def report(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The figures as Markdown, one block for each table."""
    lines = ["# Ranks of torchrun", "", "`python benchmarks/torchrun.py --work DIR`, 30 columns of numbers."]
    for preset, n_rows in dict.fromkeys((row["preset"], row["rows"]) for row in rows):
        here = [row for row in rows if (row["preset"], row["rows"]) == (preset, n_rows)]
        ratios = [row[ONE]["seconds"] / row[TWO]["seconds"] for row in here]
        same = all(row[ONE]["sha256"] == row[TWO]["sha256"] for row in here)
        table = [
            (name, *(statistics.median(row[name][key] for row in here) for key in ("seconds", "cpu_seconds")))
            for name in COMMANDS
        ]
        lines += ["", f"## {n_rows:,} rows, preset {preset}, {len(here)} rounds", ""]
        lines += record.markdown_table(("command", "seconds", "seconds of computing"), table).splitlines()
        lines += [
            "",
            f"Two ranks are {statistics.median(ratios):.2f} times as fast as one rank on one core "
            f"({', '.join(f'{ratio:.2f}' for ratio in ratios)}); asked for are {LEAST_RATIO:g}. "
            f"Their bundles {'are the same to the byte' if same else 'DIFFER'}.",
        ]
    return "\n".join([*lines, "", record.machine_line(machine), ""])


if __name__ == "__main__":
    main()
