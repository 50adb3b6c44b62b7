"""What a CUDA device brings: rows a second of scoring, seconds of a fit, and whether its scores are those of the CPU.

Whole processes on equal files, `--device cpu` and `--device cuda` in turn; seconds are medians over rounds, ratios
medians of the ratios within a round. A table of 1,000 rows stands for what a start costs: torch and the driver.
Agreement is measured for every score kind, on numbers alone and on a table with categories, gaps and new values.

    python benchmarks/gpu.py --work DIR
    python benchmarks/gpu.py --work DIR --device cpu-torch --quick

Without a CUDA device the first ends with exit code 2. The second needs none: it puts torch's CPU device in the place of
the GPU and checks the agreement only; it keeps no results.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import record
import tables
from fit import timed

KEYS = ("what", "table", "preset", "rows", "kind", "run")
PRESETS = ("default", "fast")
KINDS = ("combined", "elbo", "reconstruction", "latent")
LEVEL = 0.99
TRAIN_ROWS, AGREEMENT_ROWS = 20_000, 50_000
SCORE_SIZES, FIT_SIZES = (1_000, 1_000_000), (20_000, 200_000)
QUICK_ROWS = 2_000
QUICK_FIT = ("--max-epochs", "3")
GROUP_ROWS = 100_000
STAND_IN = "cpu-torch"


def main() -> None:
    """Measure what is missing; on a GPU, write the results."""
    options = _options()
    gpu = None if options.device == STAND_IN else cuda_device()
    if gpu is None and options.device != STAND_IN:
        record.stop(f"No CUDA device is available here: nothing was measured (--device {STAND_IN} needs none).")
    options.work.mkdir(parents=True, exist_ok=True)
    if gpu is None:
        rows = [agreement(key, options) for key in agreement_keys(options)]
        print(agreement_table(rows))
        return
    results = record.Results(options.out, KEYS)
    for key in [*score_keys(options), *fit_keys(options), *agreement_keys(options)]:
        if options.redo or not results.has(**key):
            results.add(MEASURES[key["what"]](key, options) | {"gpu": gpu})
            print(key, file=sys.stderr)
    record.finish(options.out, report(results.rows, gpu))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with room for about 1 GB")
    parser.add_argument("--device", choices=("cuda", STAND_IN), default="cuda")
    parser.add_argument("--runs", type=int, help="rounds (default 3)")
    parser.add_argument("--score-sizes", type=record.seeds, help=f"default {','.join(map(str, SCORE_SIZES))}")
    parser.add_argument("--fit-sizes", type=record.seeds, help=f"default {','.join(map(str, FIT_SIZES))}")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/gpu.json (or gpu_quick.json in --work)")
    record.add_redo(parser)
    parser.add_argument("--quick", action="store_true", help="2,000 rows, one round, three epochs: is all in place?")
    options = parser.parse_args()
    options.work = options.work.resolve()  # the commands run in the repository
    quick = options.quick
    options.runs = options.runs or (1 if quick else 3)
    options.score_sizes = options.score_sizes or ([QUICK_ROWS] if quick else list(SCORE_SIZES))
    options.fit_sizes = options.fit_sizes or ([QUICK_ROWS] if quick else list(FIT_SIZES))
    options.agreement_rows = QUICK_ROWS if quick else AGREEMENT_ROWS
    options.train_rows = QUICK_ROWS if quick else TRAIN_ROWS
    options.fit_arguments = QUICK_FIT if quick else ()
    options.out = options.out or (options.work / "gpu_quick.json" if quick else record.RESULTS / "gpu.json")
    return options


def cuda_device() -> str | None:
    """The name of the CUDA device and the version of CUDA; None when torch finds none, or is not there."""
    if not importlib.util.find_spec("torch"):
        return None
    import torch

    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if torch.cuda.is_available() else None


# -- what is measured ----------------------------------------------------------------------------


def score_keys(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rounds of scoring, by preset and size."""
    return [
        {"what": "score", "table": "factors", "preset": preset, "rows": n_rows, "kind": "combined", "run": run}
        for preset in PRESETS
        for n_rows in options.score_sizes
        for run in range(options.runs)
    ]


def fit_keys(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rounds of fitting, by preset and size; a fit calibrates every score kind."""
    return [
        {"what": "fit", "table": "factors", "preset": preset, "rows": n_rows, "kind": "all", "run": run}
        for preset in PRESETS
        for n_rows in options.fit_sizes
        for run in range(options.runs)
    ]


def agreement_keys(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every table, preset and score kind once."""
    rows = options.agreement_rows
    return [
        {"what": "agreement", "table": table, "preset": preset, "rows": rows, "kind": kind, "run": 0}
        for table in TABLES
        for preset in PRESETS
        for kind in KINDS
    ]


def scoring(key: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """One round of `vaecli score`, and how far the two outputs are apart."""
    table = table_of(key["table"], key["rows"], options.work, seed=2)
    bundle = bundle_of(key["table"], key["preset"], options)
    costs, outputs = {}, {}
    for device in ("cpu", "cuda"):
        outputs[device] = options.work / f"scored_{device}.parquet"
        costs[device] = asdict(timed(score_command(table, bundle, outputs[device], key["kind"], device)))
    return key | costs | compared(outputs["cpu"], outputs["cuda"])


def fitting(key: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """One round of `vaecli fit`."""
    table, bundle = table_of(key["table"], key["rows"], options.work, seed=1), options.work / "fitted.vae"
    return key | {
        device: asdict(timed(fit_command(table, bundle, key["preset"], device, options.fit_arguments)))
        for device in ("cpu", "cuda")
    }


def agreement(key: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """How far the scores of one bundle on the two devices are apart."""
    table = table_of(key["table"], key["rows"], options.work, seed=2)
    bundle = bundle_of(key["table"], key["preset"], options)
    ours, theirs = options.work / "scored_cpu.parquet", options.work / f"scored_{options.device}.parquet"
    timed(score_command(table, bundle, ours, key["kind"], "cpu"))
    if options.device == STAND_IN:
        score_with_torch(table, bundle, theirs, key["kind"])
    else:
        timed(score_command(table, bundle, theirs, key["kind"], options.device))
    return key | compared(ours, theirs)


MEASURES = {"score": scoring, "fit": fitting, "agreement": agreement}


def score_command(table: Path, bundle: Path, out: Path, kind: str, device: str) -> list[str]:
    """`vaecli score` as a user types it."""
    settings = ["--score-kind", kind, "--threshold", str(LEVEL), "--device", device, "--quiet"]
    return [sys.executable, "-m", "vaecli", "score", str(table), "-m", str(bundle), "-o", str(out), *settings]


def fit_command(table: Path, bundle: Path, preset: str, device: str, more: Sequence[str] = ()) -> list[str]:
    """`vaecli fit` as a user types it."""
    settings = ["--preset", preset, "--device", device, "--quiet", *more]
    return [sys.executable, "-m", "vaecli", "fit", str(table), "-o", str(bundle), *settings]


def score_with_torch(table: Path, bundle: Path, out: Path, kind: str) -> None:
    """`vaecli score --device cuda` in this process, with torch's CPU device in the place of the GPU."""
    import torch

    from vaecli.config import ScoreConfig
    from vaecli.detector import Detector
    from vaecli.workflows.score import score

    on, config = Detector.on, ScoreConfig(score_kind=kind, threshold=LEVEL, device="cuda")
    with (
        mock.patch.object(torch.cuda, "is_available", return_value=True),
        mock.patch.object(Detector, "on", lambda self, _: on(self, "cpu")),
    ):
        score([str(table)], bundle, str(out), config)


def compared(ours: Path, theirs: Path) -> dict[str, Any]:
    """The largest relative and absolute difference of the scores, and how many rows only one side flags."""
    (a, flagged_a), (b, flagged_b) = (scores_in(path) for path in (ours, theirs))
    if a.shape != b.shape:
        raise SystemExit(f"{ours} has {a.size:,} rows, {theirs} has {b.size:,}")
    with np.errstate(invalid="ignore"):
        absolute = np.abs(a - b)
        relative = absolute / np.maximum(np.abs(a), np.abs(b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    absolute, relative = (np.nan_to_num(np.where(same, 0.0, part), nan=np.inf) for part in (absolute, relative))
    return {
        "largest_relative": float(relative.max()),
        "largest_absolute": float(absolute.max()),
        "flagged": int(flagged_a.sum()),
        "flags_differ": int((flagged_a != flagged_b).sum()),
    }


def scores_in(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(n,) scores and (n,) flags of a scored table."""
    scored = pq.read_table(path, columns=["anomaly_score", "is_anomaly"])
    return scored["anomaly_score"].to_numpy(), scored["is_anomaly"].to_numpy()


# -- tables and bundles --------------------------------------------------------------------------


def write_mixed(path: Path, n_rows: int, seed: int) -> None:
    """Numbers, a switch and two categories that move together, with gaps; from seed 2 on also what fit never saw.

    Rows of `seed` 1 train. Others have gaps in a column without, and one mode more: every branch of the likelihood.
    """
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n_rows)
    modes = np.array(["eco", "normal", "boost", "service"])
    mode = np.where(load > 0.8, 2, rng.integers(0, 2, n_rows))
    flow_gap = np.zeros(n_rows, bool)
    if seed > 1:
        mode[rng.random(n_rows) < 0.01] = 3
        flow_gap = rng.random(n_rows) < 0.01
    columns = {
        "pressure": pa.array(5 + load + 0.1 * rng.normal(size=n_rows)),
        "flow": pa.array(100 + 20 * load + 3 * rng.normal(size=n_rows), mask=flow_gap),
        "temperature": pa.array(60 + 4 * rng.standard_t(3, size=n_rows), mask=rng.random(n_rows) < 0.1),
        "pump_on": pa.array(load > -1),
        "mode": pa.array(modes[mode], mask=rng.random(n_rows) < 0.02),
        "line": pa.array(np.array([f"line {i}" for i in range(6)])[rng.integers(0, 6, n_rows)]),
    }
    beside = path.with_suffix(".part")
    pq.write_table(pa.table(columns), beside, row_group_size=GROUP_ROWS)
    beside.replace(path)


def write_factors(path: Path, n_rows: int, seed: int) -> None:
    """30 columns moved by five hidden factors."""
    tables.write_parquet(path, n_rows, GROUP_ROWS, seed)


TABLES = {"factors": write_factors, "mixed": write_mixed}


def table_of(name: str, n_rows: int, work: Path, seed: int) -> Path:
    """The table, made when it is not there; seed 1 trains, seed 2 is new."""
    path = work / f"{name}_{n_rows}_seed{seed}.parquet"
    if not path.exists():
        TABLES[name](path, n_rows, seed)
    return path


def bundle_of(name: str, preset: str, options: argparse.Namespace) -> Path:
    """A bundle of that preset, fitted on the CPU when it is not there: both devices score with the same."""
    bundle = options.work / f"{name}_{preset}_{options.train_rows}.vae"
    if not bundle.exists():
        table = table_of(name, options.train_rows, options.work, seed=1)
        timed(fit_command(table, bundle, preset, "cpu", options.fit_arguments))
    return bundle


# -- what is reported ----------------------------------------------------------------------------


def report(rows: Sequence[Mapping[str, Any]], gpu: str) -> str:
    """Scoring, fitting and agreement as Markdown."""
    scored, fitted, agreed = ([row for row in rows if row["what"] == what] for what in MEASURES)
    parts = [
        "# On a GPU",
        f"{gpu}. Whole processes; `--device cpu` and `--device cuda` in turn, medians over rounds.",
        "## `vaecli score`",
        f"Parquet, {tables.N_COLUMNS} columns. The row of fewest rows is what a start costs.",
        speed_table(scored),
        "## `vaecli fit`",
        speed_table(fitted),
        "## Agreement",
        f"The same bundle on both devices, threshold {LEVEL:g}.",
        agreement_table([*agreed, *(row for row in scored if row["run"] == 0)]),
        record.machine_line(record.machine()),
    ]
    return "\n\n".join(parts) + "\n"


def speed_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Medians by preset and size."""
    lines = []
    for preset, n_rows in sorted({(row["preset"], row["rows"]) for row in rows}):
        mine = [row for row in rows if (row["preset"], row["rows"]) == (preset, n_rows)]
        cpu, cuda = (statistics.median(row[device]["seconds"] for row in mine) for device in ("cpu", "cuda"))
        ratio = statistics.median(row["cpu"]["seconds"] / row["cuda"]["seconds"] for row in mine)
        speeds = (f"{n_rows / seconds:,.0f}" for seconds in (cpu, cuda))
        lines.append((preset, f"{n_rows:,}", f"{cpu:.1f}", f"{cuda:.1f}", *speeds, f"{ratio:.2f} ×"))
    header = ("preset", "rows", "CPU, s", "CUDA, s", "CPU, rows/s", "CUDA, rows/s", "CUDA faster")
    return record.markdown_table(header, lines)


def agreement_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """How far the devices are apart, by table, preset and score kind."""
    lines = [
        (
            f"{row['table']}, {row['preset']}, `{row['kind']}`",
            f"{row['rows']:,}",
            f"{row['largest_relative']:.1e}",
            f"{row['largest_absolute']:.1e}",
            f"{row['flagged']:,}",
            f"{row['flags_differ']:,}",
        )
        for row in rows
    ]
    header = ("table, preset, score kind", "rows", "largest relative", "absolute", "flagged", "flags that differ")
    return record.markdown_table(header, lines)


if __name__ == "__main__":
    main()
