"""`vaecli score` of many files into a folder of parts: speed beside one file, resumption after SIGKILL, two processes.

Each round runs both sides one after the other, so that a slow minute of the machine slows both; a ratio is the median
of the ratios within a round. A killed run gets SIGKILL at a random moment of an uninterrupted one's time and is resumed
until it ends by itself; parts and manifest must equal those of the uninterrupted run, the seconds left out.

    python benchmarks/parts.py --work DIR
    python benchmarks/parts.py --work DIR --quick
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
import tables

KEYS = ("question", "files", "rows", "run")
LEAST_RATIO, MOST_SHARE, KILLS = 1.0, 0.6, 20  # what is aimed at
FIT = ("--seed", "0", "--quiet")


def main() -> None:
    """Measure what is missing, then write the report."""
    options = _options()
    os.chdir(options.work)
    _tables(options.files, options.rows)
    results = record.Results(options.out, KEYS)
    for question, measure in (("one file", beside_one_file), ("two processes", two_processes), ("killed", killed)):
        for run in range(options.kills if question == "killed" else options.runs):
            key = {"question": question, "files": options.files, "rows": options.rows, "run": run}
            if options.redo or not results.has(**key):
                results.add(key | measure(run))
                print(question, run, {name: results.rows[-1][name] for name in results.rows[-1] if name not in key})
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "parts.json")
    parser.add_argument("--work", type=Path, required=True, help="folder of some 3 GB for tables and outputs")
    parser.add_argument("--files", type=int, default=200, help="number of files (default 200)")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of each file (default 10,000)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"runs that are killed (default {KILLS})")
    parser.add_argument("--quick", action="store_true", help="6 files of 500 rows, 1 round: is all in place?")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.work, options.out = options.work.resolve(), options.out.resolve()
    if options.quick:
        options.files, options.rows, options.runs, options.kills = 6, 500, 1, 2
        options.out = options.work / "parts_quick.json"
    return options


def _tables(n_files: int, n_rows: int) -> None:
    """`parts/` with `n_files` files, `one.parquet` with the same rows, and a bundle of other rows of the process."""
    done, facts = Path("tables.json"), {"files": n_files, "rows": n_rows}
    if done.exists() and json.loads(done.read_text()) == facts:
        return
    shutil.rmtree("parts", ignore_errors=True)
    Path("parts").mkdir()
    for i in range(n_files):
        tables.write_parquet(Path(f"parts/part-{i:05d}.parquet"), n_rows, n_rows, seed=i + 2)
    import pyarrow.parquet as pq

    with pq.ParquetWriter("one.parquet", tables.SCHEMA) as writer:
        for path in sorted(Path("parts").iterdir()):
            writer.write_table(pq.read_table(path))
    tables.write_parquet(Path("train.parquet"), 20_000, 20_000)
    subprocess.run([*vaecli("fit", "train.parquet", "-o", "model.vae"), *FIT], check=True)
    done.write_text(json.dumps(facts))


def vaecli(*words: str) -> list[str]:
    """A command line of this Python's vaecli."""
    return [sys.executable, "-m", "vaecli", *words]


def into_parts(output: str, *words: str) -> list[str]:
    """The command that scores `parts/` into `output`."""
    return vaecli("score", "parts/", "-o", f"{output}/", "--quiet", *words)


def seconds_of(*commands: Sequence[str]) -> tuple[float, float]:
    """Seconds on the wall, and of computing, of commands that run side by side."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [subprocess.Popen(command) for command in commands]
    codes = [process.wait() for process in running]
    if any(codes):
        record.stop(f"exit codes {codes} of {commands}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, round(cpu, 2)


def beside_one_file(run: int) -> dict[str, Any]:
    """Seconds for a folder of parts and for one file with the same rows; which comes first alternates."""
    shutil.rmtree("scored", ignore_errors=True)
    one = vaecli("score", "one.parquet", "-o", "one.scored.parquet", "--quiet")
    if run % 2:
        single, parts = seconds_of(one), seconds_of(into_parts("scored"))
    else:
        parts, single = seconds_of(into_parts("scored")), seconds_of(one)
    return {
        "parts_seconds": parts[0],
        "one_seconds": single[0],
        "parts_cpu_seconds": parts[1],
        "one_cpu_seconds": single[1],
    }


def two_processes(_: int) -> dict[str, Any]:
    """Seconds of one process with one worker, and of two such processes on one folder."""
    found = []
    for n in (1, 2):
        shutil.rmtree("scored", ignore_errors=True)
        found.append(seconds_of(*[into_parts("scored", "--resume", "--workers", "1")] * n))
    (one, one_cpu), (two, two_cpu) = found
    return {
        "one_process_seconds": one,
        "two_processes_seconds": two,
        "one_process_cpu_seconds": one_cpu,
        "two_processes_cpu_seconds": two_cpu,
    }


def killed(run: int) -> dict[str, Any]:
    """Kill a run at a random moment, resume it, and compare with a run that was left alone."""
    if not Path("whole/_manifest.json").exists() or run == 0:
        shutil.rmtree("whole", ignore_errors=True)
        seconds_of(into_parts("whole"))
    seconds = json.loads(Path("whole/_manifest.json").read_text())["seconds"]
    moment = float(np.random.default_rng(run).uniform(0.0, 1.0)) * (seconds + 1)
    shutil.rmtree("killed", ignore_errors=True)
    process = subprocess.Popen(into_parts("killed"))
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    n_parts = len(list(Path("killed").glob("part-*"))) if Path("killed").exists() else 0
    was_whole = Path("killed/_manifest.json").exists()
    seconds_of(into_parts("killed", "--resume"))
    return {
        "after_seconds": round(moment, 3),
        "parts_left": n_parts,
        "was_whole": was_whole,
        "equal": contents("killed") == contents("whole"),
    }


def contents(folder: str) -> dict[str, str]:
    """A digest of each file in a folder, hidden ones too; the manifest without its seconds."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        if path.name == "_manifest.json":
            data = json.dumps({name: value for name, value in json.loads(data).items() if name != "seconds"}).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def report(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The figures as Markdown, one block for each size."""
    command = "`python benchmarks/parts.py --work DIR`"
    lines = ["# Folders of parts", "", f"{command}, default preset, 30 columns of numbers."]
    for n_files, n_rows in dict.fromkeys((row["files"], row["rows"]) for row in rows):
        here = [row for row in rows if (row["files"], row["rows"]) == (n_files, n_rows)]
        lines += ["", f"## {n_files:,} files of {n_rows:,} rows", "", *_block(here)]
    return "\n".join([*lines, "", record.machine_line(machine), ""])


def _block(rows: Sequence[dict[str, Any]]) -> list[str]:
    def of(question: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["question"] == question]

    def computing(question: str, above: str, below: str) -> tuple[str, float | None, str, str]:
        ratios = [row[above] / row[below] for row in of(question) if above in row]
        what = f"{above.removesuffix('_cpu_seconds')} / {below.removesuffix('_cpu_seconds')}".replace("_", " ")
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        return f"seconds of computing: {what}", _median(ratios), "–", f"{len(ratios)} rounds: {shown}"

    speed = [row["one_seconds"] / row["parts_seconds"] for row in of("one file")]
    shared = [row["two_processes_seconds"] / row["one_process_seconds"] for row in of("two processes")]
    kills = of("killed")
    table = [
        (
            "rows a second of parts, as a multiple of one file",
            _median(speed),
            f"at least {LEAST_RATIO:g}",
            f"{len(speed)} rounds: " + ", ".join(f"{one:.2f}" for one in speed),
        ),
        (
            "time of two processes with one worker, as a share of one",
            _median(shared),
            f"at most {MOST_SHARE:g}",
            f"{len(shared)} rounds: " + ", ".join(f"{one:.2f}" for one in shared),
        ),
        computing("one file", "parts_cpu_seconds", "one_cpu_seconds"),
        computing("two processes", "two_processes_cpu_seconds", "one_process_cpu_seconds"),
        (
            "killed at a random moment and resumed: equal to an uninterrupted run",
            f"{sum(row['equal'] for row in kills)} of {len(kills)}",
            "all",
            "parts there when killed: " + ", ".join(str(row["parts_left"]) for row in kills),
        ),
    ]
    found = [row for row in table if row[1] is not None and row[1] != "0 of 0"]
    return record.markdown_table(("what", "measured", "asked for", "of"), found).splitlines()


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


if __name__ == "__main__":
    main()
