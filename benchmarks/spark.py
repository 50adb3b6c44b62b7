"""`vaecli score --engine spark` through Sail beside the local run on the same files: rows per second, memory.

Each round runs both one after the other, in turn first; a ratio is the median of the ratios within a round. The server
is started anew for each round. "tasks" is what many small files take longer than one with the same rows. "memory" is
that of one server over jobs that score the same rows, and over jobs in which Python hands each batch back.

    python benchmarks/spark.py --work DIR
    python benchmarks/spark.py --work DIR --memory --rows 200000 --files 2
    python benchmarks/spark.py --work DIR --rows 2000000 --files 8
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import record
import tables

KEYS = ("question", "rows", "files", "run")
LEAST_RATIO = 0.75  # what is aimed at
MANY = 64
JOBS = 4
VAECLI = [sys.executable, "-m", "vaecli"]
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure what is missing, then write the report."""
    options = _options()
    os.chdir(options.work)
    if not Path("model.vae").exists():
        tables.write_parquet(Path("train.parquet"), 20_000, 20_000)
        subprocess.run([*VAECLI, "fit", "train.parquet", "-o", "model.vae", "--quiet"], check=True)
    results = record.Results(options.out, KEYS)
    data, small, one = (_folder(*size) for size in ((options.rows, options.files), (MANY * 16, MANY), (MANY * 16, 1)))
    for run in range(0 if options.memory else options.runs):
        key = {"question": "speed", "rows": options.rows, "files": options.files, "run": run}
        if options.redo or not results.has(**key):
            results.add(key | speed(data, reverse=run % 2 == 1))
            print(results.rows[-1])
        key = {"question": "tasks", "rows": MANY * 16, "files": MANY, "run": run}
        if options.redo or not results.has(**key):
            results.add(key | tasks(small, one))
            print(results.rows[-1])
    if options.memory:
        key = {"question": "memory", "rows": options.rows, "files": options.files, "run": 0}
        if options.redo or not results.has(**key):
            results.add(key | memory(data))
    record.finish(options.out, report(results.rows, results.machine()))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "spark.json")
    parser.add_argument("--work", type=Path, required=True, help="folder of some 20 GB for tables and outputs")
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of 30 columns (default 20,000,000)")
    parser.add_argument("--files", type=int, default=40, help="files that hold them (default 40)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--memory", action="store_true", help="memory of a server over several jobs, nothing else")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.work, options.out = options.work.resolve(), options.out.resolve()
    return options


def _folder(n_rows: int, n_files: int) -> Path:
    """A folder with so many rows in so many files; what is there is kept."""
    folder = Path(f"data-{n_rows}-{n_files}")
    folder.mkdir(exist_ok=True)
    each = n_rows // n_files
    for i in range(n_files):
        path = folder / f"part-{i:05d}.parquet"
        if not path.exists():
            beside = Path("writing.parquet")
            tables.write_parquet(beside, each, min(each, 100_000), seed=i + 2)
            beside.replace(path)
    return folder


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """The address of a Sail server and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with Path("server.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"sc://127.0.0.1:{port}", process.pid
        finally:
            process.kill()


def spark(data: Path) -> dict[str, Any]:
    """Score a folder on a fresh server: seconds, seconds of computing of server and driver, peak memory of both."""
    shutil.rmtree("spark", ignore_errors=True)
    with server() as (remote, pid):
        before = _cpu(pid)
        found = command("spark", [*_score(data, "spark/"), "--engine", "spark", "--remote", remote])
        return found | {"server_cpu_seconds": round(_cpu(pid) - before, 2), "server_peak_mb": _peak_mb(pid)}


def local(data: Path) -> dict[str, Any]:
    """Score a folder into a folder here."""
    shutil.rmtree("local", ignore_errors=True)
    return command("local", _score(data, "local/"))


def _score(data: Path, output: str) -> list[str]:
    return [*VAECLI, "score", f"{data}/", "-m", "model.vae", "-o", output, "--quiet"]


def command(name: str, words: Sequence[str]) -> dict[str, Any]:
    """Seconds, seconds of computing and peak memory of a command; ends the program when it fails."""
    begin = time.monotonic()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        record.stop(f"{name}: {' '.join(words)} ended with status {status}; see server.log")
    return {
        f"{name}_seconds": round(time.monotonic() - begin, 2),
        f"{name}_cpu_seconds": round(_seconds(usage), 2),
        f"{name}_peak_mb": round(usage.ru_maxrss / 1024),
    }


def _seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _cpu(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, values[11:13])) / TICKS


def _peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)


def speed(data: Path, *, reverse: bool) -> dict[str, Any]:
    """One round of both."""
    first, second = (local, spark) if reverse else (spark, local)
    return first(data) | second(data)


def tasks(small: Path, one: Path) -> dict[str, Any]:
    """Seconds of computing of the server for many files of 16 rows, and for one with as many rows."""
    return {f"{name}_cpu_seconds": spark(data)["server_cpu_seconds"] for name, data in (("many", small), ("one", one))}


def memory(data: Path) -> dict[str, Any]:
    """Megabytes of a server after each of several jobs: that score, and that only pass through Python."""
    os.environ.setdefault("SPARK_HOME", "not used")  # else the client may leave
    found: dict[str, Any] = {}
    for name in ("score", "pass"):
        with server() as (remote, pid):
            after = [_resident_mb(pid)]
            for _ in range(JOBS):
                if name == "score":
                    spark_to(data, remote)
                else:
                    words = [sys.executable, "-c", _PASS, str(data.resolve()), remote]
                    subprocess.run(words, check=True, capture_output=True)
                after.append(_resident_mb(pid))
            found[f"{name}_mb"] = after
            found[f"{name}_peak_mb"] = _peak_mb(pid)
    return found


_PASS = """
import sys
from pyspark.sql import SparkSession
session = SparkSession.builder.remote(sys.argv[2]).getOrCreate()
frame = session.read.parquet(sys.argv[1])
frame.mapInArrow(lambda batches: batches, frame.schema).write.mode("overwrite").parquet("spark")
session.stop()
"""


def spark_to(data: Path, remote: str) -> None:
    """Score a folder by a server that runs."""
    shutil.rmtree("spark", ignore_errors=True)
    command("spark", [*_score(data, "spark/"), "--engine", "spark", "--remote", remote])


def _resident_mb(pid: int) -> int:
    return round(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)


def report(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["# Spark beside one machine", "", "`python benchmarks/spark.py --work DIR`, 30 columns of numbers, Sail."]
    for n_rows, n_files in dict.fromkeys((row["rows"], row["files"]) for row in rows if row["question"] == "speed"):
        here = [row for row in rows if row["question"] == "speed" and (row["rows"], row["files"]) == (n_rows, n_files)]
        ratios = [row["local_seconds"] / row["spark_seconds"] for row in here]
        cpu = [row["spark_cpu_seconds"] + row["server_cpu_seconds"] for row in here]
        middle = {
            name: statistics.median(row[name] for row in here) for name in here[0] if name.endswith(("seconds", "mb"))
        }
        both = statistics.median(cpu)
        memory = f"{middle['spark_peak_mb']:.0f} driver, {middle['server_peak_mb']:.0f} server"
        table = [
            ("seconds", middle["local_seconds"], middle["spark_seconds"]),
            ("seconds of computing", middle["local_cpu_seconds"], both),
            ("microseconds of computing a row", 1e6 * middle["local_cpu_seconds"] / n_rows, 1e6 * both / n_rows),
            ("peak memory, MB", f"{middle['local_peak_mb']:.0f}", memory),
        ]
        lines += ["", f"## {n_rows:,} rows in {n_files} files, {len(here)} rounds", ""]
        lines += record.markdown_table(("what", "local", "Spark"), table).splitlines()
        lines += [
            "",
            f"Rows per second on Spark as a multiple of local: {statistics.median(ratios):.2f} "
            f"({', '.join(f'{ratio:.2f}' for ratio in ratios)}); asked for is at least {LEAST_RATIO:g}.",
        ]
    for row in (row for row in rows if row["question"] == "memory"):
        lines += ["", f"Memory of one server, MB, before and after each of {JOBS} jobs of {row['rows']:,} rows:", ""]
        lines += [
            f"- jobs that {what}: {', '.join(map(str, row[f'{name}_mb']))}; peak {row[f'{name}_peak_mb']}"
            for name, what in (("score", "score"), ("pass", "hand each batch to Python and back"))
        ]
    starts = [row for row in rows if row["question"] == "tasks"]
    each = [(row["many_cpu_seconds"] - row["one_cpu_seconds"]) / (MANY - 1) for row in starts]
    if each:
        lines += [
            "",
            f"A further small file takes {1000 * statistics.median(each):.0f} ms of computing on the server "
            f"({len(each)} rounds; below zero: less than rounds differ).",
        ]
    return "\n".join([*lines, "", record.machine_line(machine), ""])


if __name__ == "__main__":
    main()
