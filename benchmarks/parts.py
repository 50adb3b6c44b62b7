"""`vaecli score` of many files: a folder of parts beside one file, killed and resumed, by two processes; small files.

Each round runs all sides one after the other, so that a slow minute of the machine slows all; a ratio is the median
of the ratios within a round. A killed run gets SIGKILL at a random moment of an uninterrupted one's time and is resumed
until it ends by itself; parts and manifest must equal those of the uninterrupted run, the seconds left out. Small files
are scored into one output, as a pattern and as new files of `--since-last-run`. With `--against` the build of a commit
takes part in each round.

    python benchmarks/parts.py --work DIR
    python benchmarks/parts.py --work DIR --against COMMIT
    python benchmarks/parts.py --work DIR --quick
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
import tables
from against import checked_out

KEYS = ("question", "files", "rows", "run")
SMALL_ROWS = 50
LEAST_RATIO, MOST_SHARE, KILLS = 1.0, 0.6, 20  # what is aimed at
FIT = ("--seed", "0", "--quiet")


def main() -> None:
    """Measure what is missing, then write the report."""
    options = _options()
    os.chdir(options.work)
    _tables(options.files, options.rows)
    _small_tables(options.small)
    results = record.Results(options.out, KEYS)
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(checked_out(options.against)) if options.against else None
        for folder in (record.REPOSITORY, there or record.REPOSITORY):  # as pip does where it installs a package
            compileall.compile_dir(folder / "vaecli", quiet=2)
        for question in options.only:
            sizes = (
                {"files": options.small, "rows": SMALL_ROWS}
                if question == "small files"
                else {"files": options.files, "rows": options.rows}
            )
            for run in range(options.kills if question == "killed" else options.runs):
                key = {"question": question, **sizes, "run": run}
                if options.redo or not results.has(**key):
                    results.add(key | {"against": options.against} | QUESTIONS[question](run, there))
                    print(question, run, {name: results.rows[-1][name] for name in results.rows[-1] if name not in key})
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "parts.json")
    parser.add_argument("--work", type=Path, required=True, help="folder of some 3 GB for tables and outputs")
    parser.add_argument("--files", type=int, default=200, help="number of files (default 200)")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of each file (default 10,000)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"runs that are killed (default {KILLS})")
    parser.add_argument("--small", type=int, default=1_000, help=f"files of {SMALL_ROWS} rows (default 1,000)")
    parser.add_argument("--against", help="a commit whose build is measured beside this one")
    record.add_names(parser, "--only", tuple(QUESTIONS))
    parser.add_argument("--quick", action="store_true", help="6 files of 500 rows, 1 round: is all in place?")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.work, options.out = options.work.resolve(), options.out.resolve()
    if options.quick:
        options.files, options.rows, options.runs, options.kills, options.small = 6, 500, 1, 2, 20
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


def _small_tables(n_files: int) -> None:
    """`small/` with `n_files` files of SMALL_ROWS rows as Parquet and as CSV, and one file of each with all rows."""
    done = Path("small.json")
    if done.exists() and json.loads(done.read_text()) == n_files:
        return
    shutil.rmtree("small", ignore_errors=True)
    Path("small").mkdir()
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    rows = pa.concat_tables(tables.steps(n_files * SMALL_ROWS, seed=2)).combine_chunks()
    pq.write_table(rows, "small.parquet")
    pa_csv.write_csv(rows, "small.csv")
    for i in range(n_files):
        part = rows.slice(i * SMALL_ROWS, SMALL_ROWS)
        pq.write_table(part, f"small/{i:05d}.parquet")
        pa_csv.write_csv(part, f"small/{i:05d}.csv")
    done.write_text(json.dumps(n_files))


def vaecli(*words: str) -> list[str]:
    """A command line of this Python's vaecli."""
    return [sys.executable, "-m", "vaecli", *words]


def into_parts(output: str, *words: str) -> list[str]:
    """The command that scores `parts/` into `output`."""
    return vaecli("score", "parts/", "-o", f"{output}/", "--quiet", *words)


def seconds_of(*commands: Sequence[str], build: Path | None = None) -> tuple[float, float]:
    """Seconds on the wall, and of computing, of commands that run side by side; the package is that in `build`."""
    environment = None if build is None else os.environ | {"PYTHONPATH": str(build)}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [subprocess.Popen(command, env=environment) for command in commands]
    codes = [process.wait() for process in running]
    if any(codes):
        record.stop(f"exit codes {codes} of {commands}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, round(cpu, 2)


def beside_one_file(run: int, there: Path | None) -> dict[str, Any]:
    """Seconds for a folder of parts and for one file with the same rows; which comes first alternates."""
    one = vaecli("score", "one.parquet", "-o", "one.scored.parquet", "--quiet")
    sides: list[tuple[str, Sequence[str], Path | None]] = [("parts", into_parts("scored"), None), ("one", one, None)]
    if there is not None:
        sides.append(("other_parts", into_parts("scored"), there))
    return _in_turn(sides if run % 2 else sides[::-1])


def small_files(run: int, there: Path | None) -> dict[str, Any]:
    """Seconds for small files into one output, for one file with the same rows; the order alternates."""
    sides: list[tuple[str, Sequence[str], Path | None]] = []
    for kind in ("parquet", "csv"):
        output = ("-o", f"small.scored.{kind}", "--quiet")
        many = vaecli("score", f"small/*.{kind}", *output)
        since = vaecli("score", f"small/*.{kind}", "--since-last-run", "small.state", *output)
        sides += [(f"{kind}_many", many, None), (f"{kind}_since", since, None)]
        sides.append((f"{kind}_one", vaecli("score", f"small.{kind}", *output), None))
        if there is not None:
            sides += [(f"other_{kind}_many", many, there), (f"other_{kind}_since", since, there)]
    return _in_turn(sides if run % 2 else sides[::-1])


def _in_turn(sides: Sequence[tuple[str, Sequence[str], Path | None]]) -> dict[str, float]:
    """Seconds on the wall and of computing of each named command of a build."""
    found = {}
    for name, command, build in sides:
        shutil.rmtree("scored", ignore_errors=True)
        Path("small.state").unlink(missing_ok=True)
        found[f"{name}_seconds"], found[f"{name}_cpu_seconds"] = seconds_of(command, build=build)
    return found


def two_processes(_: int, __: Path | None) -> dict[str, Any]:
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


def killed(run: int, _: Path | None) -> dict[str, Any]:
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


QUESTIONS: dict[str, Callable[[int, Path | None], dict[str, Any]]] = {
    "one file": beside_one_file,
    "two processes": two_processes,
    "killed": killed,
    "small files": small_files,
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
    lines = ["# Many files", "", f"{command}, default preset, 30 columns of numbers."]
    if commits := sorted({row["against"] for row in rows if row.get("against")}):
        lines += ["", f"The other build, which takes part in each round, is that of commit {', '.join(commits)}."]
    for n_files, n_rows in dict.fromkeys((row["files"], row["rows"]) for row in rows):
        here = [row for row in rows if (row["files"], row["rows"]) == (n_files, n_rows)]
        small = [row for row in here if row["question"] == "small files"]
        if parts := [row for row in here if row not in small]:
            lines += ["", f"## {n_files:,} files of {n_rows:,} rows into a folder of parts", "", *_block(parts)]
        if small:
            lines += ["", f"## {n_files:,} files of {n_rows:,} rows into one file", "", *_small_block(small)]
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
        computing("one file", "other_parts_cpu_seconds", "one_cpu_seconds"),
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


def _small_block(rows: Sequence[dict[str, Any]]) -> list[str]:
    """CPU seconds of each command, and per file what it takes more than one file with the same rows."""
    lines: list[tuple[str | None, ...]] = []
    for kind, shown in (("parquet", "Parquet"), ("csv", "CSV")):
        one = [row[f"{kind}_one_cpu_seconds"] for row in rows]
        lines.append((f"{shown}, one file with the same rows", f"{statistics.median(one):.2f}", None, None, None))
        for way, how in (("many", "a pattern"), ("since", "new files of `--since-last-run`")):
            figures: list[str | None] = []
            for build in ("", "other_"):
                name = f"{build}{kind}_{way}_cpu_seconds"
                seen = [row for row in rows if name in row]
                more = [1e3 * (row[name] - row[f"{kind}_one_cpu_seconds"]) / row["files"] for row in seen]
                figures += [f"{statistics.median(row[name] for row in seen):.2f}" if seen else None]
                figures += [f"{statistics.median(more):.2f}" if seen else None]
            lines.append((f"{shown}, {how}", *figures))
    header = ("what", "CPU s", "ms more per file", "the other build, CPU s", "ms more per file there")
    return [f"Medians; rounds: {len(rows)}.", "", *record.markdown_table(header, lines).splitlines()]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


if __name__ == "__main__":
    main()
