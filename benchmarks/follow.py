"""How long after its line is written does a row of a stream come back scored?

Fits a bundle of sensors and one of rows on 4,000 rows of 50 columns, then writes lines to `vaecli score - --follow` at
200 rows a second and reads the scored lines back, each in a thread of its own. Latency is from the write of a line to
the read of its scored line; the first second, in which the process warms up, is left out. CPU time is that of the
whole process but for its start, which a stream of one row measures.

    python benchmarks/follow.py
    python benchmarks/follow.py --seconds 10 --rate 100
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import record

N_COLUMNS = 50
N_FACTORS = 5
TRAIN_ROWS = 4_000
KINDS = {"sensors": (), "rows": ("--window", "0")}
PROGRAM = [sys.executable, "-m", "vaecli"]
WARM_SECONDS = 1


def lines(n: int, seed: int) -> list[str]:
    """A header and n rows: a clock, and sensors that follow slow factors."""
    rng = np.random.default_rng(seed)
    factors = np.zeros((n, N_FACTORS))
    for t in range(1, n):
        factors[t] = 0.95 * factors[t - 1] + 0.3 * rng.normal(size=N_FACTORS)
    weights = np.random.default_rng(7).normal(size=(N_FACTORS, N_COLUMNS))
    table = factors @ weights + 0.3 * rng.normal(size=(n, N_COLUMNS))
    header = ",".join(["time", *(f"c{i:02d}" for i in range(N_COLUMNS))])
    rows = (",".join([str(1_700_000_000 + i), *(f"{value:.4f}" for value in row)]) for i, row in enumerate(table))
    return [header, *rows]


def latencies(bundle: Path, rate: float, seconds: float) -> np.ndarray:
    """Seconds (n,) between the write of each line and the read of its scored line."""
    header, *rows = lines(int(rate * (seconds + WARM_SECONDS)), seed=2)
    command = [*PROGRAM, "score", "-", "--follow", "-q", "-m", str(bundle), "-o", "-"]
    read: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None

        def collect() -> None:
            assert process.stdout is not None
            while piece := process.stdout.read(2**16):
                read.extend([time.perf_counter()] * piece.count(b"\n"))

        reader = threading.Thread(target=collect)
        reader.start()
        process.stdin.write(f"{header}\n".encode())
        written: list[float] = []
        process.stdin.write(f"{rows[0]}\n".encode())  # with it the process begins
        while len(read) < 2:
            time.sleep(0.01)
        start = time.perf_counter()
        for i, row in enumerate(rows[1:]):
            time.sleep(max(start + i / rate - time.perf_counter(), 0))
            written.append(time.perf_counter())
            process.stdin.write(f"{row}\n".encode())
        process.stdin.close()
        reader.join()
    found = np.array(read[2:]) - np.array(written)
    return found[int(rate * WARM_SECONDS) :]


def main() -> None:
    """Measure, and write the results."""
    parser = record.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=200, help="rows a second")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "follow.json")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train.csv"
        train.write_text("\n".join(lines(TRAIN_ROWS, seed=1)) + "\n")
        for kind, words in KINDS.items():
            bundle = Path(folder) / f"{kind}.vae"
            subprocess.run([*PROGRAM, "fit", str(train), "-q", "-o", str(bundle), *words], check=True)
            before = _cpu_seconds()
            latencies(bundle, options.rate, 1 / options.rate)
            start = _cpu_seconds() - before
            found = latencies(bundle, options.rate, options.seconds) * 1000
            cpu = _cpu_seconds() - before - 2 * start
            results[kind] = {
                "rows": found.size,
                "p50_ms": round(float(np.percentile(found, 50)), 2),
                "p99_ms": round(float(np.percentile(found, 99)), 2),
                "max_ms": round(float(found.max()), 2),
                "cpu_ms_per_row": round(1000 * cpu / (options.rate * options.seconds), 2),
                "load": round(os.getloadavg()[0], 1),
            }
            print(kind, results[kind], flush=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(_page(results, options.rate, options.seconds))


def _cpu_seconds() -> float:
    """Of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _page(results: dict[str, dict[str, float]], rate: float, seconds: float) -> str:
    body = "\n".join(
        f"| {kind} | {one['rows']:,} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | {one['max_ms']:.1f} "
        f"| {one['cpu_ms_per_row']:.2f} | {one['load']:.1f} |"
        for kind, one in results.items()
    )
    return (
        "# Latency of a followed stream\n\n"
        f"`python benchmarks/follow.py`: {N_COLUMNS} columns, {rate:g} rows/s for {seconds:g} s, through two pipes to "
        "`vaecli score - --follow` and back; from the write of a line to the read of its scored line.\n\n"
        "| bundle of | rows | p50 ms | p99 ms | longest ms | CPU ms per row | load |\n|---|---|---|---|---|---|---|\n"
        f"{body}\n\nThe load is the average number of processes that ran or waited, on 2 cores: where it is above 2, "
        "the milliseconds are those of a machine that others use too.\n"
    )


if __name__ == "__main__":
    main()
