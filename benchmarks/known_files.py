"""What a run with --since-last-run costs where nearly all files of a folder are known: CPU time, memory, its parts.

Before each run one file of one row comes. `without` is the same run over its one new file. The parts are timed in a
process of their own: the names of the files, one look at each, the state read and written.

    python benchmarks/known_files.py --work DIR
    python benchmarks/known_files.py --work DIR --files 1440
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record
import soak

FILES = (1_440, 10_080, 43_200)  # a day, a week and 30 days of minutes
N_RUNS = 9
LONG_AGO = time.time() - 86_400  # a run trusts the time of a file only some seconds later


def main() -> None:
    """Measure each number of files in a process of its own, then write the report."""
    options = _options()
    if options.measure is not None:
        print(json.dumps(_measured(options.measure)))
        return
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    results = record.Results(options.out, ("files",))
    os.chdir(options.work)
    soak._prepare()
    for n in (0, *options.files):
        if not results.has(files=n):
            _fill(n)
            command = [sys.executable, __file__, "--work", ".", "--measure", str(n)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.add({"files": n} | json.loads(done.stdout))
            print(results.rows[-1], flush=True)
    record.finish(options.out, report(results.rows, results.machine()))


def _fill(n: int) -> None:
    """A folder of `n` files that are known."""
    from vaecli.tables.read.found_files import find_files
    from vaecli.tables.read.since import Progress

    Path(f"incoming_{n}").mkdir()
    for i in range(n):
        _add(n, f"{i:06d}")
    if n:
        progress = Progress.load(Path(f"{n}.state"))
        progress.select(find_files([f"incoming_{n}/*.csv"]))
        progress.save()


def _add(n: int, name: str) -> None:
    header, *rows = Path("new.csv").read_text().splitlines(keepends=True)
    path = Path(f"incoming_{n}/{name}.csv")
    path.write_text(header + rows[hash(name) % len(rows)])
    os.utime(path, (LONG_AGO, LONG_AGO))


def _measured(n: int) -> dict[str, Any]:
    """CPU ms of runs, the peak of memory, bytes of the state, and CPU ms of its parts."""
    milliseconds = []
    for i in range(N_RUNS + 1):
        _add(n, f"new_{i}")
        pattern = f"incoming_{n}/*.csv" if n else f"incoming_{n}/new_{i}.csv"
        began = time.process_time()
        soak._command("score", pattern, "--since-last-run", f"{n}.state", "-o", "new_rows.csv", "-q")
        milliseconds.append(1e3 * (time.process_time() - began))
        if Path("new_rows.csv").read_bytes().count(b"\n") != 2:
            raise RuntimeError("a run did not score its one row")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"milliseconds": statistics.median(milliseconds[1:]), "peak_mb": peak}
    return found | {"state_bytes": Path(f"{n}.state").stat().st_size, "parts": _parts(n) if n else {}}


def _parts(n: int) -> dict[str, float]:
    from vaecli.tables.read.found_files import find_files
    from vaecli.tables.read.locations import matches
    from vaecli.tables.read.seen_files import SeenFiles

    pattern, state = f"incoming_{n}/*.csv", Path(f"{n}.state")
    seen = SeenFiles.load(state)
    names = matches(pattern)
    ways: dict[str, Callable[[], object]] = {
        "list the names": lambda: matches(pattern),
        "one lstat for each": lambda: [os.lstat(name) for name in names],
        "list and look, as a run does": lambda: find_files([pattern]),
        "read the state": lambda: SeenFiles.load(state),
        "write the state": lambda: seen.save(Path("copy.state")),
    }
    return {name: _median(way) for name, way in ways.items()}


def _median(way: Callable[[], object]) -> float:
    times = []
    for _ in range(N_RUNS):
        began = time.process_time()
        way()
        times.append(1e3 * (time.process_time() - began))
    return statistics.median(times)


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The Markdown of the results."""
    rows = sorted(rows, key=lambda row: row["files"])
    alone = rows[0]["milliseconds"]
    lines = [
        [
            f"{row['files']:,}" if row["files"] else "none",
            f"{row['milliseconds']:.0f}",
            f"{1e3 * (row['milliseconds'] - alone) / row['files']:.1f}" if row["files"] else "",
            f"{row['peak_mb']:.0f}",
            f"{row['state_bytes'] / 1e6:.1f}" if row["files"] else "",
        ]
        for row in rows
    ]
    parts = [row for row in rows if row["parts"]]
    names = list(parts[-1]["parts"]) if parts else []
    of_parts = [[name, *(f"{row['parts'][name]:.0f}" for row in parts)] for name in names]
    return "\n".join(
        [
            "# Known files",
            "",
            "Written by `benchmarks/known_files.py`: runs of `vaecli score --since-last-run` in one process over a "
            "folder of known files of one row, to which one file comes before each run; with none the run is given "
            f"its new file by name. CPU times are medians of {N_RUNS} runs after one that warms up.",
            "",
            record.markdown_table(
                ["known files", "CPU ms of a run", "µs per known file", "peak of memory, MB", "state, MB"], lines
            ),
            "",
            "The parts that grow with the number of files, CPU ms:",
            "",
            record.markdown_table(["part", *(f"{row['files']:,} files" for row in parts)], of_parts),
            "",
            record.machine_line(machine),
            "",
        ]
    )


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "known_files.json")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; what it holds is removed")
    parser.add_argument("--files", type=int, nargs="+", default=FILES, help="numbers of known files")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work, options.out = options.work.resolve(), options.out.resolve()
    if options.redo and options.measure is None:
        options.out.unlink(missing_ok=True)
    return options


if __name__ == "__main__":
    main()
