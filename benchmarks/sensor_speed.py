"""How fast series of sensors are scored, and how much memory that takes: 20 sensors, one or many devices interleaved.

Writes tables of Parquet to `--work` (a clock, a device, 20 sensors moved by five slow factors, with noise), then runs
`vaecli fit` and `vaecli score` as a user would and watches the processes from outside.

    python benchmarks/sensor_speed.py --work DIR
    python benchmarks/sensor_speed.py --work DIR --only devices_large --keep
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import memory
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import record
from scipy.signal import lfilter

N_SENSORS, N_FACTORS = 20, 5
MEMORY = 0.98  # of a factor, from one row of a device to its next
FIT_ROWS = 100_000
STEP_ROWS = 100_000
START_MS = 1_700_000_000_000
TARGETS = {"score": "≥ 120,000 rows/s on 2 cores", "fit": "≤ 60 s"}


@dataclass(frozen=True, slots=True)
class Case:
    """A table to score: its rows, and the devices that take turns in it."""

    words: str
    rows: int
    devices: int


CASES = {
    "one": Case("one series", 1_000_000, 1),
    "ten": Case("10 devices, interleaved", 1_000_000, 10),
    "devices": Case("1,000 devices, interleaved", 1_000_000, 1_000),
    "devices_large": Case("1,000 devices, interleaved", 10_000_000, 1_000),
}


def main() -> None:
    """Fit one series and ten devices, score the tables, write the results."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    results = record.Results(options.out, ("name",))
    for name, case in CASES.items():
        if name not in options.only or (results.has(name=name) and not options.redo):
            continue
        bundle = _fitted(min(case.devices, 10), options.work, results)
        table, scored = options.work / f"{name}.parquet", options.work / f"{name}.scored.parquet"
        if not table.exists():
            write_table(table, case.rows, case.devices, seed=2)
        found = memory.watched("score", ["score", table, "-m", bundle, "-o", scored, "--quiet"], case.rows)
        memory.check_scored(scored, case.rows)
        results.add({"name": name, "verb": "score", "words": case.words, "rows": case.rows} | found)
        scored.unlink()
        if not options.keep:
            table.unlink()
    record.finish(options.out, report(results))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "sensor_speed.json")
    parser.add_argument("--work", type=Path, required=True, help="folder with room for about 4 GB")
    record.add_names(parser, "--only", list(CASES))
    parser.add_argument("--keep", action="store_true", help="leave the tables in --work")
    return parser.parse_args()


def _fitted(devices: int, work: Path, results: record.Results) -> Path:
    """The bundle of 100,000 rows of so many devices; fitted and measured when it is not in `work`."""
    bundle, table = work / f"{devices}.vae", work / f"{devices}.fit.parquet"
    if bundle.exists():
        return bundle
    write_table(table, FIT_ROWS, devices, seed=1)
    words = ["--group", "device"] if devices > 1 else ["--exclude", "device"]
    found = memory.watched("fit", ["fit", table, "-o", bundle, "--time", "time", *words, "--quiet"], FIT_ROWS)
    name = f"fit_{devices}"
    told = CASES["one" if devices == 1 else "ten"].words
    results.add({"name": name, "verb": "fit", "words": told, "rows": FIT_ROWS} | found)
    return bundle


def write_table(path: Path, n_rows: int, devices: int, seed: int) -> None:
    """Write rows of devices that take turns once per second, a row group at a time."""
    loadings = np.random.default_rng(0).normal(size=(N_FACTORS, N_SENSORS))
    rng = np.random.default_rng(seed)
    scale = np.sqrt(1 - MEMORY**2)
    state = MEMORY * rng.normal(size=(1, devices, N_FACTORS))
    names = [f"sensor_{j + 1}" for j in range(N_SENSORS)]
    of_devices = pa.array([f"device_{number}" for number in range(devices)])
    schema = pa.schema(
        [("time", pa.timestamp("ms")), ("device", pa.string()), *((name, pa.float64()) for name in names)]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_rows, STEP_ROWS):
            n = min(STEP_ROWS, n_rows - start)
            ticks = n // devices
            noise = scale * rng.normal(size=(ticks, devices, N_FACTORS))
            factors, state = lfilter([1.0], [1.0, -MEMORY], noise, axis=0, zi=state)
            readings = factors.reshape(n, N_FACTORS) @ loadings + 0.3 * rng.normal(size=(n, N_SENSORS))
            row = np.arange(start, start + n)
            time = pa.array(START_MS + 1000 * (row // devices), pa.timestamp("ms"))
            columns = [time, of_devices.take(pa.array(row % devices)), *(pa.array(column) for column in readings.T)]
            writer.write_table(pa.table(columns, schema=schema))


def report(results: record.Results) -> str:
    """The figures as Markdown."""
    rows = [
        [
            f"`vaecli {row['verb']}`",
            row["words"],
            f"{row['rows']:,}",
            row["seconds"],
            row["cpu_seconds"],
            f"{row['rows_per_second']:,}",
            f"{row['peak_mb']:,.0f} MB",
            TARGETS[row["verb"]],
        ]
        for row in results.rows
    ]
    header = ["command", "table", "rows", "seconds", "CPU seconds", "rows/s", "peak", "target"]
    return (
        f"# Speed and memory on series of sensors\n\n{N_SENSORS} sensors of float64, a clock and a device, Parquet in "
        "and out; whole processes. Scores are causal.\n\n"
        f"{record.markdown_table(header, rows)}\n\n{record.machine_line(results.machine())}\n"
    )


if __name__ == "__main__":
    main()
