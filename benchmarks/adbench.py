"""Detection quality on ADBench's classical sets: vaecli and its peers, trained on normal rows only.

Protocol: cap of 10,000 rows drawn with the seed; the normal rows shuffled with the same generator; half of
them to train, the other half and all anomalies to test. One configuration for all sets. AUROC and average precision
per set, plain means over sets. Results are kept line by line, so a run can stop and go on.

    python benchmarks/adbench.py --data DIR
    python benchmarks/adbench.py --data DIR --methods vaecli --quick
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import peers
import record
from sklearn.metrics import average_precision_score, roc_auc_score

KEYS = ("method", "set", "seed", "cap")
PEERS = record.RESULTS / "adbench_peers.jsonl"  # they do not change with vaecli, so they are measured once
QUICK_SETS = r"(Hepatitis|letter|mammography|musk|Pima|Stamps|vowels|WDBC)$"
THRESHOLD = 0.99
FEW_ROWS = 300  # training rows below which a level of 0.99 rests on a tail model


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    folder = record.data_folder(options.data, "adbench") / "adbench"
    results = record.Results(options.out, KEYS, also=options.also)
    for seed in options.seeds:
        for path in _sets(folder, options.sets):
            _measure_set(path, seed, options, results)
    record.finish(options.out, report(results.rows, options.cap))
    plot([row for row in results.rows if row["cap"] == options.cap], options.out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--data", help="folder that holds adbench/*.npz")
    parser.add_argument("--cap", type=int, help="rows drawn from a larger set (default 10000)")
    parser.add_argument("--seeds", type=record.seeds, help="comma-separated (default 0,1,2)")
    parser.add_argument("--sets", help="regular expression over the file names")
    methods = ",".join(name for name in _known_methods() if name != "vaecli_cli")
    parser.add_argument("--methods", default=methods, help=f"comma-separated: {', '.join(_known_methods())}")
    parser.add_argument("--preset", default="default", help="vaecli's preset")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/adbench.jsonl (or adbench_quick.jsonl)")
    parser.add_argument("--also", type=Path, action="append", default=[PEERS], help="more results, read only")
    record.add_redo(parser)
    parser.add_argument("--quick", action="store_true", help="eight sets, at most 2,000 rows, seed 0")
    options = parser.parse_args()
    quick = options.quick
    options.cap = options.cap or (2_000 if quick else 10_000)
    options.seeds = options.seeds or ([0] if quick else [0, 1, 2])
    options.sets = options.sets or (QUICK_SETS if quick else "")
    options.out = options.out or record.RESULTS / ("adbench_quick.jsonl" if quick else "adbench.jsonl")
    options.methods = options.methods.split(",")
    unknown = [name for name in options.methods if name not in _known_methods()]
    if unknown:
        parser.error(f"unknown methods {', '.join(unknown)}; here are {', '.join(_known_methods())}")
    return options


def _known_methods() -> list[str]:
    return ["vaecli", "vaecli_cli", *peers.available()]


def _sets(folder: Path, pattern: str) -> list[Path]:
    found = [path for path in folder.glob("*.npz") if re.search(pattern, path.stem)]
    return sorted(found, key=lambda path: int(path.stem.split("_")[0]))


def _measure_set(path: Path, seed: int, options: argparse.Namespace, results: record.Results) -> None:
    split = None
    for method in options.methods:
        name = f"{method}:{options.preset}" if method.startswith("vaecli") and options.preset != "default" else method
        key = {"method": name, "set": path.stem, "seed": seed, "cap": options.cap}
        if results.has(**key) and not options.redo:
            continue
        split = split or split_set(path, seed, options.cap)
        row = key | _measured(method, *split, seed, options.preset)
        results.add(row)
        print(f"{name:12s} {path.stem:18s} seed {seed}: AUROC {row['auroc']:.4f}, AP {row['ap']:.4f}", file=sys.stderr)


def split_set(path: Path, seed: int, cap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train, test, label): half of the normal rows, then the other half followed by all anomalies."""
    with np.load(path) as arrays:
        rows, label = arrays["X"].astype(np.float64), arrays["y"].astype(bool)
    rng = np.random.default_rng(seed)
    if len(rows) > cap:
        kept = rng.choice(len(rows), cap, replace=False)
        rows, label = rows[kept], label[kept]
    normal = rng.permutation(np.flatnonzero(~label))
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(label)])
    return rows[normal[:half]], rows[test], label[test]


def _measured(
    method: str, train: np.ndarray, test: np.ndarray, label: np.ndarray, seed: int, preset: str
) -> dict[str, Any]:
    flags = None
    if method == "vaecli":
        answer, flags = _vaecli(train, test, seed, preset)
    elif method == "vaecli_cli":
        answer, flags = _vaecli_cli(train, test, seed, preset)
    else:
        answer = peers.available()[method](*peers.standardised(train, test), seed)
    measured = {
        "n_train": len(train),
        "n_test": len(test),
        "n_columns": train.shape[1],
        "auroc": float(roc_auc_score(label, answer.scores)),
        "ap": float(average_precision_score(label, answer.scores)),
        "fit_seconds": round(answer.fit_seconds, 3),
        "score_seconds": round(answer.score_seconds, 3),
    }
    if flags is not None:
        measured |= {"false_alarms": float(flags[~label].mean()), "recall": float(flags[label].mean())}
    return measured


def _frame(rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[f"x{j + 1}" for j in range(rows.shape[1])])


def _vaecli(train: np.ndarray, test: np.ndarray, seed: int, preset: str) -> tuple[peers.Answer, np.ndarray]:
    import vaecli

    start = time.perf_counter()
    model = vaecli.fit(_frame(train), seed=seed, preset=preset)
    fitted = time.perf_counter()
    scored = model.score(_frame(test), threshold=THRESHOLD)
    done = time.perf_counter()
    answer = peers.Answer(scored["anomaly_score"].to_numpy(np.float64), fitted - start, done - fitted)
    return answer, scored["is_anomaly"].to_numpy(bool)


def _vaecli_cli(train: np.ndarray, test: np.ndarray, seed: int, preset: str) -> tuple[peers.Answer, np.ndarray]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _frame(train).to_parquet(folder / "train.parquet")
        _frame(test).to_parquet(folder / "test.parquet")
        start = time.perf_counter()
        run_vaecli("fit", folder / "train.parquet", "-o", folder / "m.vae", "--seed", seed, "--preset", preset)
        fitted = time.perf_counter()
        out = folder / "out.parquet"
        run_vaecli("score", folder / "test.parquet", "-m", folder / "m.vae", "-o", out, "--threshold", THRESHOLD)
        done = time.perf_counter()
        scored = pd.read_parquet(out)
    answer = peers.Answer(scored["anomaly_score"].to_numpy(np.float64), fitted - start, done - fitted)
    return answer, scored["is_anomaly"].to_numpy(bool)


def run_vaecli(*arguments: Any) -> None:
    """Run the command line as a user would; a failure ends the benchmark with what it printed."""
    command = [sys.executable, "-m", "vaecli", *map(str, arguments), "--quiet"]
    done = subprocess.run(command, cwd=record.REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")


def report(rows: list[dict[str, Any]], cap: int) -> str:
    """Means over sets, wins against kNN-5, false alarms, costs, and the table of all sets, as Markdown."""
    rows = [row for row in rows if row["cap"] == cap]
    methods = sorted({row["method"] for row in rows}, key=_order)
    per_set = {(row["method"], row["set"]): _set_means(rows, row["method"], row["set"]) for row in rows}
    sets = sorted({row["set"] for row in rows}, key=lambda name: int(name.split("_")[0]))
    seeds_used = sorted({row["seed"] for row in rows})
    parts = [
        "# ADBench, clean protocol",
        f"{len(sets)} sets, cap {cap:,} rows, seeds {', '.join(map(str, seeds_used))}; mean over seeds, then plain "
        "mean over sets. Higher is better for AUROC and average precision (AP). "
        "“Sets” counts the sets a method was measured on: compare means only where it is the same.",
        _method_table(methods, sets, per_set),
    ]
    alarms = _alarm_table([m for m in methods if m.startswith("vaecli")], sets, per_set)
    parts += [alarms] if alarms else []
    parts += ["## AUROC by set", _set_table(methods, sets, per_set, "auroc")]
    parts += ["## Average precision by set", _set_table(methods, sets, per_set, "ap")]
    parts += [record.machine_line(record.machine())]
    return "\n\n".join(parts) + "\n"


def _order(method: str) -> tuple[int, str]:
    names = list(peers.NAMES)
    base = method.partition(":")[0]
    return (names.index(base) if base in names else 0, method)


def _set_means(rows: list[dict[str, Any]], method: str, name: str) -> dict[str, float | None]:
    of_set = [row for row in rows if row["method"] == method and row["set"] == name]
    fields = ("auroc", "ap", "fit_seconds", "score_seconds", "false_alarms", "recall", "n_train", "n_test")
    return {field: record.mean(row.get(field) for row in of_set) for field in fields}


def _method_table(methods: list[str], sets: list[str], per_set: dict[tuple[str, str], dict[str, Any]]) -> str:
    lines = []
    for method in methods:
        mine = {name: per_set[method, name] for name in sets if (method, name) in per_set}
        shared = [name for name in mine if ("knn5", name) in per_set]
        gaps = {name: mine[name]["auroc"] - per_set["knn5", name]["auroc"] for name in shared}
        worst = min(gaps, key=lambda name: gaps[name]) if gaps and method != "knn5" else None
        scored = sum(values["n_test"] for values in mine.values())
        lines.append(
            (
                peers.NAMES.get(method, method),
                len(mine),
                record.mean(values["auroc"] for values in mine.values()),
                record.mean(values["ap"] for values in mine.values()),
                f"{sum(gap >= 0 for gap in gaps.values())} of {len(gaps)}" if worst else None,
                f"{worst} {gaps[worst]:+.3f}" if worst else None,
                f"{record.mean(values['fit_seconds'] for values in mine.values()):.2f}",
                f"{scored / max(1e-9, sum(values['score_seconds'] for values in mine.values())):,.0f}",
            )
        )
    against = ("at or above kNN-5", "worst against kNN-5")
    header = ("method", "sets", "AUROC", "AP", *against, "fit, mean s", "rows/s scored")
    return record.markdown_table(header, lines)


def _alarm_table(methods: list[str], sets: list[str], per_set: dict[tuple[str, str], dict[str, Any]]) -> str:
    lines = []
    for method in methods:
        mine = [per_set[method, name] for name in sets if (method, name) in per_set]
        for title, chosen in (
            (f"≥ {FEW_ROWS} training rows", [v for v in mine if v["n_train"] >= FEW_ROWS]),
            (f"< {FEW_ROWS} training rows", [v for v in mine if v["n_train"] < FEW_ROWS]),
        ):
            if chosen:
                shares = [values["false_alarms"] for values in chosen]
                recall = record.mean(values["recall"] for values in chosen)
                cells = map(record.percent, (record.mean(shares), max(shares), recall))
                lines.append((f"{method}, sets with {title}", len(chosen), *cells))
    if not lines:
        return ""
    header = ("normal test rows flagged at 0.99", "sets", "mean", "worst set", "anomalies found")
    return "## False alarms\n\n" + record.markdown_table(header, lines)


def _set_table(methods: list[str], sets: list[str], per_set: dict[tuple[str, str], dict[str, Any]], field: str) -> str:
    lines = []
    for name in sets:
        n_train = record.mean(per_set[m, name]["n_train"] for m in methods if (m, name) in per_set)
        values = [per_set.get((method, name), {}).get(field) for method in methods]
        lines.append((name, f"{n_train:,.0f}", *values))
    header = ("set", "training rows", *(peers.NAMES.get(method, method) for method in methods))
    return record.markdown_table(header, lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Left, where each method stands on both means; right, vaecli against kNN-5 set by set. Needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"{path} not drawn: pip install matplotlib", file=sys.stderr)
        return
    sets = {row["set"] for row in rows}
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    means, gaps = figure.subplots(1, 2, width_ratios=(1, 1.1))
    for i, method in enumerate(sorted({row["method"] for row in rows}, key=_order)):
        per_set = [_set_means(rows, method, name) for name in sorted(sets)]
        if any(values["auroc"] is None for values in per_set):
            continue  # a mean over other sets would stand in the wrong place
        place = [record.mean(values[field] for values in per_set) for field in ("auroc", "ap")]
        means.plot(*place, "o", color=_colour(method), markersize=8)
        away, side = ((-8, 2), "right") if i % 2 else ((8, -7), "left")
        label = peers.NAMES.get(method, method)
        means.annotate(label, place, xytext=away, textcoords="offset points", ha=side, fontsize=9)
    means.set(xlabel="mean AUROC", ylabel="mean average precision", title="Higher and further right is better")
    means.margins(0.25, 0.08)
    means.grid(alpha=0.25)
    _plot_gaps(gaps, rows, sets)
    figure.savefig(path, dpi=110)


def _plot_gaps(axes: Any, rows: list[dict[str, Any]], sets: set[str]) -> None:
    by_method = {m: {name: _set_means(rows, m, name)["auroc"] for name in sets} for m in ("vaecli", "knn5")}
    pairs = {name: (by_method["vaecli"][name], by_method["knn5"][name]) for name in sets}
    gap = {name: ours - theirs for name, (ours, theirs) in pairs.items() if ours is not None and theirs is not None}
    names = sorted(gap, key=lambda name: gap[name])
    axes.barh(names, [gap[name] for name in names], color=[_colour("vaecli" if gap[n] >= 0 else "knn5") for n in names])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.tick_params(axis="y", labelsize=7)
    axes.set(xlabel="AUROC of vaecli minus that of kNN, k = 5", title="Set by set")


def _colour(method: str) -> str:
    return "#1f77b4" if method.startswith("vaecli") else "#9a9a9a"


if __name__ == "__main__":
    main()
