"""How long a fit takes as a whole process: vaecli beside PyOD's VAE and AutoEncoder with their default settings.

Each round runs every command once on the same Parquet file, one after the other, and is kept as soon as it is whole.
Seconds are medians over rounds; a ratio is the median of the ratios within a round, so that a slow minute of the
machine slows both sides. All commands compute on the CPU; `gpu.py` asks about the GPU.

    python benchmarks/fit.py --work DIR
    python benchmarks/fit.py --work DIR --quick
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import record
import tables

KEYS = ("rows", "run", "epochs")
SIZES = (5_000, 20_000)
GROUP_ROWS = 100_000
QUICK_SIZES = (500,)
QUICK_EPOCHS = 2
NAMES = {
    "vaecli": "`vaecli fit`",
    "vaecli:fast": "`vaecli fit --preset fast`",
    "pyod_vae": "PyOD VAE",
    "pyod_ae": "PyOD AutoEncoder",
}
DETECTORS = {"pyod_vae": "VAE", "pyod_ae": "AutoEncoder"}
MOST_SECONDS = {(5_000, "vaecli"): 30, (5_000, "vaecli:fast"): 6}
LEAST_TIMES_FASTER = {(20_000, "vaecli"): 4, (20_000, "vaecli:fast"): 15}  # than PyOD's VAE
ADBENCH = (record.RESULTS / "adbench.jsonl", record.RESULTS / "adbench_peers.jsonl")
ADBENCH_CAP, ADBENCH_SEEDS = 10_000, (0, 1, 2)
ON_CPU = {"CUDA_VISIBLE_DEVICES": ""}


def main() -> None:
    """Measure the rounds that are missing, then write the report."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    results = record.Results(options.out, KEYS)
    for n_rows in options.sizes:
        table = options.work / f"factors_{n_rows}x{tables.N_COLUMNS}.parquet"
        if not table.exists():
            tables.write_parquet(table, n_rows, GROUP_ROWS)
        for run in range(options.runs):
            key = {"rows": n_rows, "run": run, "epochs": options.epochs}
            if options.redo or not results.has(**key):
                results.add(key | {"measured": one_round(commands(table, options.work, options.epochs))})
    rows, quality = [row for row in results.rows if row["epochs"] == options.epochs], auroc(adbench_rows())
    record.finish(options.out, report(rows, quality))
    plot(rows, quality, options.out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for tables and models, a few MB")
    parser.add_argument("--runs", type=int, help="rounds of all commands (default 3)")
    parser.add_argument("--sizes", type=record.seeds, help=f"training rows (default {','.join(map(str, SIZES))})")
    parser.add_argument("--epochs", type=int, help="epochs of the PyOD detectors (default: theirs)")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/fit.json (or fit_quick.json in --work)")
    record.add_redo(parser)
    parser.add_argument(
        "--quick", action="store_true", help="500 rows, one round, two epochs for PyOD: is all in place?"
    )
    options = parser.parse_args()
    options.work = options.work.resolve()  # the commands run in the repository
    quick = options.quick
    options.runs = options.runs or (1 if quick else 3)
    options.sizes = options.sizes or list(QUICK_SIZES if quick else SIZES)
    options.epochs = options.epochs or (QUICK_EPOCHS if quick else None)
    options.out = options.out or (options.work / "fit_quick.json" if quick else record.RESULTS / "fit.json")
    return options


def commands(table: Path, work: Path, epochs: int | None) -> dict[str, list[str]]:
    """The command lines by method; PyOD's only where it is installed."""
    vaecli = [sys.executable, "-m", "vaecli", "fit", str(table), "--quiet", "-o"]
    found = {
        "vaecli": [*vaecli, str(work / "default.vae")],
        "vaecli:fast": [*vaecli, str(work / "fast.vae"), "--preset", "fast"],
    }
    if importlib.util.find_spec("pyod"):
        script = Path(__file__).resolve().parent / "scripts" / "pyod_fit.py"
        shorter = ["--epochs", str(epochs)] if epochs else []
        for method, name in DETECTORS.items():
            model = work / f"{method}.joblib"
            found[method] = [sys.executable, str(script), name, str(table), str(model), *shorter]
    return found


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command from start to end, children included."""

    seconds: float  # on the wall
    cpu_seconds: float  # user and system, over all cores


def one_round(lines: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """What each command costs, run in turn."""
    measured = {}
    for method, command in lines.items():
        cost = timed(command, ON_CPU)
        print(f"{method:12s} {cost.seconds:8.2f} s, {cost.cpu_seconds:8.2f} CPU s", file=sys.stderr)
        measured[method] = asdict(cost)
    return measured


def timed(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path = record.REPOSITORY
) -> Cost:
    """Run a command in a folder; a failure ends the benchmark with what it printed."""
    return _run(command, environment, folder)[0]


def said(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    """What a command that is run as by `timed` prints."""
    return _run(command, environment, folder)[1]


def _run(command: Sequence[str], environment: Mapping[str, str] | None, folder: Path) -> tuple[Cost, str]:
    with tempfile.TemporaryFile() as printed:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read().decode(errors="replace")
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\nexit code {process.returncode}\n{text}")
    return Cost(round(seconds, 3), round(usage.ru_utime + usage.ru_stime, 3)), text


def adbench_rows() -> list[dict[str, Any]]:
    """The measurements of `adbench.py`, the newest of each."""
    newest = {}
    for row in (row for path in ADBENCH for row in record.read_rows(path)):
        newest[row["method"], row["set"], row["seed"], row["cap"]] = row
    return list(newest.values())


def auroc(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Mean over sets of the mean over seeds; of the methods that were measured on every set with every seed."""
    found: dict[str, dict[tuple[str, int], float]] = {method: {} for method in NAMES}
    for row in rows:
        if row["method"] in NAMES and row["cap"] == ADBENCH_CAP and row["seed"] in ADBENCH_SEEDS:
            found[row["method"]][row["set"], row["seed"]] = row["auroc"]
    every = {key for measured in found.values() for key in measured}
    # every set has every seed, so the plain mean is the mean over sets of the mean over seeds
    return {
        method: statistics.fmean(values.values())
        for method, values in found.items()
        if every and values.keys() == every
    }


def median(rows: Sequence[Mapping[str, Any]], method: str, field: str) -> float | None:
    """Over the rounds that have the method."""
    values = [row["measured"][method][field] for row in rows if method in row["measured"]]
    return statistics.median(values) if values else None


def times_faster(rows: Sequence[Mapping[str, Any]], method: str, than: str) -> float | None:
    """Median over rounds of the seconds of `than` over those of `method`; above 1, `method` is faster."""
    pairs = [row["measured"] for row in rows if {method, than} <= row["measured"].keys()]
    return statistics.median(pair[than]["seconds"] / pair[method]["seconds"] for pair in pairs) if pairs else None


def report(rows: Sequence[Mapping[str, Any]], quality: Mapping[str, float]) -> str:
    """One table a size, the targets beside the figures, as Markdown."""
    parts = [
        "# How long a fit takes",
        "Whole processes on the CPU, from reading the Parquet file to the saved model: 30 columns moved by five hidden "
        "factors. Each round runs the commands in turn; seconds are medians over rounds, ratios medians of the "
        "ratios within a round. PyOD reads with pandas, standardises with scikit-learn, has default settings. AUROC is "
        f"the mean over ADBench's sets ({', '.join(f'`results/{path.name}`' for path in ADBENCH)}), higher is better.",
    ]
    for n_rows in sorted({row["rows"] for row in rows}):
        mine = [row for row in rows if row["rows"] == n_rows]
        epochs = {row["epochs"] for row in mine} - {None}
        shortened = f" PyOD was cut short after {min(epochs)} epochs: its seconds mean nothing." if epochs else ""
        parts += [
            f"## {n_rows:,} × {tables.N_COLUMNS}",
            f"Rounds: {len(mine)}.{shortened}",
            _table(mine, n_rows, quality),
        ]
    parts += [record.machine_line(record.machine())]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]], n_rows: int, quality: Mapping[str, float]) -> str:
    lines = []
    for method, name in NAMES.items():
        seconds, cpu = (median(rows, method, field) for field in ("seconds", "cpu_seconds"))
        if seconds is None:
            continue
        most, least = MOST_SECONDS.get((n_rows, method)), LEAST_TIMES_FASTER.get((n_rows, method))
        against = {than: times_faster(rows, method, than) for than in DETECTORS if than != method}
        lines.append(
            (
                name,
                quality.get(method),
                f"{seconds:.1f}",
                f"≤ {most}" if most else None,
                f"{cpu:.1f}",
                _times(against.get("pyod_vae")),
                f"≥ {least} ×" if least else None,
                _times(against.get("pyod_ae")),
            )
        )
    faster = ("faster than PyOD VAE", "target", "faster than PyOD AutoEncoder")
    return record.markdown_table(("command", "AUROC", "seconds", "target", "CPU seconds", *faster), lines)


def _times(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio:.2f} ×"


def plot(rows: Sequence[Mapping[str, Any]], quality: Mapping[str, float], path: Path) -> None:
    """Seconds of the largest table against AUROC: further left is faster, higher is better. Needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"{path} not drawn: pip install matplotlib", file=sys.stderr)
        return
    largest = max(row["rows"] for row in rows)
    mine = [row for row in rows if row["rows"] == largest]
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for method, name in NAMES.items():
        seconds = median(mine, method, "seconds")
        if seconds is None or method not in quality:
            continue
        colour = "#1f77b4" if method.startswith("vaecli") else "#9a9a9a"
        axes.plot(seconds, quality[method], "o", color=colour, markersize=8)
        axes.annotate(
            name.strip("`"), (seconds, quality[method]), xytext=(8, 4), textcoords="offset points", fontsize=9
        )
    axes.set(xscale="log", xlabel=f"seconds to fit {largest:,} × {tables.N_COLUMNS}", ylabel="mean AUROC on ADBench")
    axes.set_title("Higher and further left is better")
    axes.margins(0.3, 0.15)
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
