"""Thousands of runs in a row: does memory, the number of open files, of temporary files or the time of a run grow?

`runs` scores one small table again and again in one process, through the command line's function; `beside` does so
too, and compares runs of that process with those of a new one in pairs; `processes` starts a program for each;
`minutes` scores a folder into which a file comes each minute, with --since-last-run, and removes those older than a
day; `month` does the same with a folder that keeps every file. Each measurement is a point of a line whose slope has a
95 % interval by blocks of runs, as neighbouring runs resemble each other.

    python benchmarks/soak.py --work DIR
    python benchmarks/soak.py --work DIR --only runs --runs 10000
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

KINDS = ("runs", "beside", "processes", "minutes", "month")
N_PAIRS = 30  # after each twentieth of the runs
N_ROWS, N_WARM, N_BLOCKS = 50, 200, 20
DAY = 1440  # minutes
FIGURES = {
    "memory": "resident memory, kB",
    "blocks": "blocks of Python's allocator",
    "arrow": "memory of Arrow, bytes",
    "files": "open files",
    "temporary": "temporary files",
    "seconds": "CPU ms of a run",
    "relative": "the same, in units of a piece of Python",
    "of_new": "CPU time of a run, in units of one in a new process",
}
T_95 = 2.10  # Student's t for 20 blocks


def main() -> None:
    """Make the runs that are missing, then write the report."""
    options = _options()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    results = record.Results(options.out, ("kind",))
    os.chdir(options.work)
    os.environ["TMPDIR"] = str(options.work / "tmp")
    tempfile.tempdir = None
    (options.work / "tmp").mkdir()
    _prepare()
    for kind in options.only:
        if options.redo or not results.has(kind=kind):
            until = time.monotonic() + 60 * options.at_most
            results.add({"kind": kind} | MEASURES[kind](getattr(options, kind), until))
            print(results.rows[-1], flush=True)
    record.finish(options.out, report(results.rows, results.machine()))


def _prepare() -> None:
    rng = np.random.default_rng(0)
    load = rng.normal(size=2_000)
    columns = {f"c{j}": load * (j + 1) + rng.normal(size=load.size) for j in range(3)}
    table = pd.DataFrame(columns | {"mode": rng.choice(["eco", "normal"], load.size)})
    table[:400].to_csv("normal.csv", index=False)
    table[400 : 400 + N_ROWS].to_csv("new.csv", index=False)
    command = [sys.executable, "-m", "vaecli", "fit", "normal.csv", "--preset", "fast", "--max-epochs", "2", "-q"]
    subprocess.run(command, check=True)


def in_one_process(n: int, until: float) -> dict[str, Any]:
    """One table, `n` times through the function of the command line."""
    return _points(n, until, lambda _: _command("score", "new.csv", "-o", "out.csv", "-q", "--metrics", "soak.prom"))


def in_processes(n: int, until: float) -> dict[str, Any]:
    """One table, `n` programs one after the other."""
    words = [sys.executable, "-m", "vaecli", "score", "new.csv", "-o", "out.csv", "-q", "--metrics", "soak.prom"]
    return _points(n, until, lambda _: subprocess.run(words, check=True))


def minute_files(n: int, until: float, kept: int | None = DAY) -> dict[str, Any]:
    """A file comes and a run follows, `n` times; the oldest goes once there are `kept`."""
    folder = Path(f"incoming_{kept}")
    folder.mkdir()
    lines = Path("new.csv").read_text().splitlines(keepends=True)
    long_ago = time.time() - 86_400  # a run trusts the time of a file only some seconds later

    def run(i: int) -> None:
        path = folder / f"{i:06d}.csv"
        path.write_text(lines[0] + lines[1 + i % N_ROWS])
        os.utime(path, (long_ago + i / 1e3,) * 2)
        if kept is not None and i >= kept:
            (folder / f"{i - kept:06d}.csv").unlink()
        _command("score", f"{folder}/*.csv", "--since-last-run", f"{folder}.state", "-o", "new_rows.csv", "-q")
        if (found := Path("new_rows.csv").read_bytes().count(b"\n") - 1) != 1:
            raise RuntimeError(f"run {i} scored {found} rows instead of its one")

    first = 0
    if kept is not None:  # the folder is as full at the begin as at the end
        for i in range(kept):
            (folder / f"{i:06d}.csv").write_text(lines[0] + lines[1])
            os.utime(folder / f"{i:06d}.csv", (long_ago + i / 1e3,) * 2)
        _command("score", f"{folder}/*.csv", "--since-last-run", f"{folder}.state", "-o", "new_rows.csv", "-q")
        first = kept
    return _points(n, until, run, first)


def _command(*words: str) -> None:
    """Run a command line in this process. Raises RuntimeError where it fails."""
    from vaecli.cli.app import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(words)
        except SystemExit as left:
            if left.code:
                raise RuntimeError(said.getvalue()) from None


def beside_a_new_process(n: int, until: float) -> dict[str, Any]:
    """One table, `n` times in one process; after each twentieth, pairs of runs by it and by a process with few runs."""
    with _Runner("old") as old, _Runner("new") as new:
        old.medians(N_WARM)
        new.medians(N_WARM)
        started, ratios, memory = time.monotonic(), [], []
        for _ in range(N_BLOCKS):
            if time.monotonic() > until:
                break
            old.medians(n // N_BLOCKS)
            pairs = [(old.medians(1), new.medians(1)) for _ in range(N_PAIRS)]
            ratios += [one[0] / other[0] for one, other in pairs]
            memory += [one[1] for one, _ in pairs]
    figures = {"of_new": np.array(ratios), "memory": np.array(memory)}
    return {
        "n": len(ratios) // N_PAIRS * (n // N_BLOCKS),
        "wall_seconds": round(time.monotonic() - started),
        "figures": {name: slope_of(values, n / N_BLOCKS / N_PAIRS) for name, values in figures.items()},
    }


class _Runner:
    """A process that scores the table of the working folder, in a folder of its own, as often as it is asked to."""

    def __init__(self, name: str) -> None:
        folder = Path(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in Path().iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        words = [sys.executable, __file__, "--runner"]
        self._process = subprocess.Popen(words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> _Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def medians(self, n: int) -> tuple[float, float]:
        """Make `n` runs: the median of their CPU ms, and the resident memory after the last, kB."""
        ask, answer = self._process.stdin, self._process.stdout
        if ask is None or answer is None:
            raise RuntimeError("the process has no pipes")
        print(n, file=ask, flush=True)
        seconds, memory = map(float, answer.readline().split())
        return seconds, memory


def _serve() -> None:
    """Make as many runs as each line of standard input says; answer with a median of CPU ms and the memory in kB."""
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            before = time.process_time()
            _command("score", "new.csv", "-o", "out.csv", "-q", "--metrics", "soak.prom")
            seconds.append(1e3 * (time.process_time() - before))
        print(float(np.median(seconds)), _resident_kb(), flush=True)


MEASURES: dict[str, Callable[[int, float], dict[str, Any]]] = {
    "runs": in_one_process,
    "beside": beside_a_new_process,
    "processes": in_processes,
    "minutes": minute_files,
    "month": lambda n, until: minute_files(n, until, None),
}


def _points(n: int, until: float, run: Callable[[int], object], first: int = 0) -> dict[str, Any]:
    """Measure `n` runs after some that warm up, fewer if the time is `until`: begin, end, slope of each figure."""
    n_warm = min(N_WARM, n // 4)
    # made before the first run: lists that grow with the runs are growth that is measured
    measured, done = {name: np.zeros(n) for name in FIGURES if name != "of_new"}, 0
    for values in measured.values():
        values.fill(1)  # so that the pages are there
    started = time.monotonic()
    for i in range(first, first + n_warm + n):
        if time.monotonic() > until:
            break
        before = _cpu_seconds()
        run(i)
        if i >= first + n_warm:
            seconds = 1e3 * (_cpu_seconds() - before)
            for name, value in {"seconds": seconds, "relative": seconds / _control(), **_state()}.items():
                measured[name][done] = value
            done += 1
    figures = {name: slope_of(values[:done]) for name, values in measured.items()}
    return {"n": done, "wall_seconds": round(time.monotonic() - started), "figures": figures}


def _control() -> float:
    """CPU ms of a piece of work that never grows: what else runs on the machine slows both."""
    before = time.process_time()
    sum(i * i for i in range(40_000))
    return 1e3 * (time.process_time() - before)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _state() -> dict[str, float]:
    names = [*os.listdir("tmp"), *(name for name in os.listdir() if name.endswith(".part"))]
    import pyarrow as pa

    return {
        "blocks": sys.getallocatedblocks(),
        "arrow": pa.total_allocated_bytes(),
        "memory": _resident_kb(),
        "files": len(os.listdir("/proc/self/fd")),
        "temporary": len(names),
    }


def _resident_kb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def slope_of(values: np.ndarray, runs_each: float = 1.0) -> dict[str, float]:
    """Of values (n,), one per `runs_each` runs: first and last block, and the slope per 1,000 runs with its interval.

    A block counts by its median, since single runs that met another program are no growth; the line is fitted to those
    of 20 blocks, since neighbours resemble each other. The interval is one of 95 %.
    """
    blocks = np.array([np.median(block) for block in np.array_split(values, min(N_BLOCKS, values.size))])
    at = (np.arange(blocks.size) + 0.5) * values.size * runs_each / blocks.size / 1000
    centred = at - at.mean()
    slope = float(centred @ blocks / (centred @ centred))
    rest = blocks - blocks.mean() - slope * centred
    error = float(np.sqrt(rest @ rest / max(blocks.size - 2, 1) / (centred @ centred)))
    return {
        "first": float(blocks[0]),
        "last": float(blocks[-1]),
        "slope": slope,
        "low": slope - T_95 * error,
        "high": slope + T_95 * error,
    }


NAMES = {
    "runs": "{n:,} runs in one process",
    "beside": "{n:,} runs in one process, beside a new one",
    "processes": "{n:,} programs one after the other",
    "minutes": "{n:,} minute files, those of a day kept",
    "month": "{n:,} minute files, all kept",
}


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The Markdown of the results."""
    lines = []
    for row in sorted(rows, key=lambda one: KINDS.index(one["kind"])):
        for name, figure in row["figures"].items():
            interval = f"{figure['low']:+.4f} to {figure['high']:+.4f}"
            digits = 3 if name == "of_new" else 1
            first, last = (f"{figure[end]:,.{digits}f}" for end in ("first", "last"))
            lines.append([NAMES[row["kind"]].format(n=row["n"]), FIGURES[name], first, last, interval])
    return "\n".join(
        [
            "# Soak",
            "",
            "Written by `benchmarks/soak.py`: runs of `vaecli score` on a table of 50 rows, or with `--since-last-run` "
            "on folders into which a file of one row comes before each run. First and last are medians of the first "
            "and last twentieth, after some runs that warm up; the slope is that of a line through 20 such medians. "
            "Memory and open files are those of the process that makes the runs. CPU time moves with what else runs on "
            "the machine; in units of a piece of Python that was timed after each run it does so less, and beside a "
            "process that has made few runs, asked in turn, hardly.",
            "",
            record.markdown_table(["what", "figure", "first", "last", "slope per 1,000 runs, 95 %"], lines),
            "",
            record.machine_line(machine),
            "",
        ]
    )


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "soak.json")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; what it holds is removed")
    parser.add_argument("--runs", type=int, default=10_000, help="runs in one process (10,000)")
    parser.add_argument("--beside", type=int, default=10_000, help="runs in one process, beside a new one (10,000)")
    parser.add_argument("--processes", type=int, default=200, help="programs (200)")
    parser.add_argument("--minutes", type=int, default=43_200, help="minute files where a day is kept (43,200)")
    parser.add_argument("--month", type=int, default=10_080, help="minute files where all are kept (10,080)")
    parser.add_argument("--at-most", type=float, default=float("inf"), help="minutes of each; then it is cut short")
    record.add_names(parser, "--only", KINDS)
    options = parser.parse_args()
    options.work, options.out = options.work.resolve(), options.out.resolve()
    return options


if __name__ == "__main__":
    if sys.argv[1:] == ["--runner"]:
        _serve()
    else:
        main()
