"""What becomes of runs under `ulimit -v`: exit code, processor seconds and the first line of each message.

A small table (500 rows), and 200,000 rows of the same columns; `fit` learns the small one. No run may hang: one that
takes longer than `--seconds` is sent SIGTERM, and whether it ended by that is noted.

    python benchmarks/limited_memory.py --work DIR
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import record

LIMITS = (300, 480, 500, 520, 560, 650, 800, 900, 1024, 1100, 1200, 2000)  # MB
FIT = ["fit", "small.csv", "--preset", "fast", "--max-epochs", "5", "-q"]
RUNS = {
    "fit": [*FIT, "-o", "fitted.vae"],
    "score": ["score", "small.csv", "-o", "out.csv", "-q"],
    "score, 200,000 rows": ["score", "large.csv", "-o", "out.csv", "-q"],
    "check": ["check", "small.csv", "-q"],
    "explain": ["explain", "small.csv", "-q"],
    "report": ["report", "small.csv", "-o", "out.html", "-q"],
    "selftest": ["selftest", "small.csv", "-q"],
}


def main() -> None:
    """Fit without a limit, run everything under each, write the results."""
    parser = record.parser(__doc__, "limited_memory.json")
    parser.add_argument("--work", type=Path, required=True, help="folder with room for about 50 MB")
    parser.add_argument("--seconds", type=float, default=180.0, help="after which a run is terminated")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name, n_rows in (("small", 500), ("large", 200_000)):
        pa_csv.write_csv(table(n_rows), options.work / f"{name}.csv")
    subprocess.run([sys.executable, "-m", "vaecli", *FIT], cwd=options.work, check=True)
    measured = [
        {"run": name, "limit_mb": limit, **one(words, limit, options.work, options.seconds)}
        for name, words in RUNS.items()
        for limit in LIMITS
    ]
    results = {"machine": record.machine(), "measured": measured}
    record.write_json(options.out, results)
    record.finish(options.out, report(results))


def table(n_rows: int) -> pa.Table:
    """Six numbers that move together and a category."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=n_rows)
    columns: dict[str, Any] = {f"x{i}": factor + rng.normal(size=n_rows) for i in range(6)}
    return pa.table(columns | {"mode": rng.choice(["eco", "normal", "boost"], n_rows)})


def one(words: list[str], limit: int, folder: Path, seconds: float) -> dict[str, Any]:
    """One run under a limit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "vaecli", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_AS, (limit * 2**20, limit * 2**20)),
    )
    ended_by = "itself"
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        ended_by = "SIGTERM"
        try:
            _, said = process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
            ended_by = "SIGKILL"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    return {"code": process.returncode, "ended_by": ended_by, "cpu_seconds": round(took, 1), "said": lines[-1:]}


def report(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Runs under a limit on memory",
        "",
        record.machine_line(results["machine"]),
        "",
        "Exit code and processor seconds under `ulimit -v`, by `benchmarks/limited_memory.py`; 7 comes with a message.",
        "",
        "| run | " + " | ".join(f"{limit:,} MB" for limit in LIMITS) + " |",
        "|---|" + "--:|" * len(LIMITS),
    ]
    for name in RUNS:
        found = {one["limit_mb"]: one for one in results["measured"] if one["run"] == name}
        lines.append(f"| `{name}` | " + " | ".join(map(_cell, map(found.__getitem__, LIMITS))) + " |")
    n_hung = sum(one["ended_by"] != "itself" for one in results["measured"])
    n_silent = sum(one["code"] == 7 and not one["said"] for one in results["measured"])
    codes = sorted({one["code"] for one in results["measured"]})
    lines += [
        "",
        f"{len(results['measured'])} runs: {n_hung} did not end by themselves, {n_silent} with exit code 7 had "
        f"no message; exit codes {', '.join(map(str, codes))}.",
        "",
        "Messages:",
        "",
        *sorted({f"- {one['said'][0].removeprefix('error: ')}" for one in results["measured"] if one["said"]}),
    ]
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any]) -> str:
    how = "" if found["ended_by"] == "itself" else f" by {found['ended_by']}"
    return f"{found['code']}{how} ({found['cpu_seconds']:g} s)"


if __name__ == "__main__":
    main()
