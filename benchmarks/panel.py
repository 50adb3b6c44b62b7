"""Detection quality on the broad panel of tables that choices are made on: vaecli and its peers, normal rows only.

Protocol as in `adbench.py`: cap of 10,000 rows drawn with the seed; half of the normal rows train, the others and all
anomalies are the test; one configuration for all tables. vaecli gets categories and gaps as they are, its peers one-hot
columns and medians (`peers.encode`). vaecli runs in a process of its own, by the Python that `--python` names, so that
several commits can stand in one file; a commit and a kind of score are a variant. Results are kept line by line, so a
run can stop and go on.

    python benchmarks/panel.py --data DIR
    python benchmarks/panel.py --data DIR --methods vaecli --only 'common|keel' --max-rows 2000
    python benchmarks/panel.py --data DIR --methods vaecli --python ../other/.venv/bin/python --cache /tmp/panel
    python benchmarks/panel.py --report
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import panel_report
import panel_tables
import peers
import record
from panel_tables import Draw, Table
from sklearn.metrics import average_precision_score, roc_auc_score

KEYS = ("method", "variant", "table", "seed", "cap")
PEERS = record.RESULTS / "panel_peers.jsonl"  # they do not change with vaecli, so they are measured once
PEER_NAMES = ("knn1", "knn5", "lof", "iforest", "ecod", "pyod_vae")
KINDS = ("combined", "elbo", "reconstruction", "latent")
THRESHOLD = 0.99
WORKER = Path(__file__).resolve().parent / "scripts/panel_worker.py"


def main() -> None:
    """Measure what is missing, then write the tables."""
    options = _options()
    results = record.Results(options.out, KEYS, also=options.also)
    if not options.report:
        _measure(options, results)
    record.finish(options.out, panel_report.report(results.rows, options.cap))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--data", help="folder that holds adbench/ and mixed/")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "panel.jsonl")
    parser.add_argument("--also", type=Path, action="append", default=[PEERS], help="more results, read only")
    record.add_redo(parser)
    parser.add_argument("--seeds", type=record.seeds, default=[0], help="comma-separated (default 0)")
    parser.add_argument("--only", default="", help="regular expression over the names of tables, as `keel:letter:U`")
    parser.add_argument(
        "--max-rows", type=int, default=10_000, dest="cap", help="rows drawn of a table (default 10000)"
    )
    record.add_names(parser, "--methods", ["vaecli", *(name for name in PEER_NAMES if name in peers.available())])
    parser.add_argument("--python", default=sys.executable, help="the Python whose vaecli is measured")
    parser.add_argument("--label", help="name of the variant (default: the commit of that vaecli)")
    parser.add_argument("--kinds", default="combined", type=_kinds, help=f"comma-separated: {', '.join(KINDS)}")
    parser.add_argument("--preset", default="default", help="vaecli's preset")
    parser.add_argument("--cache", type=Path, help="folder in which the drawn tables are kept")
    parser.add_argument("--list", action="store_true", help="print the tables and their families, measure nothing")
    parser.add_argument("--report", action="store_true", help="write the tables from what is measured already")
    return parser.parse_args()


def _kinds(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in KINDS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; here are {', '.join(KINDS)}")
    return names


def _measure(options: argparse.Namespace, results: record.Results) -> None:
    data = record.data_folder(options.data, "adbench")
    tables = [table for table in panel_tables.tables(data) if re.search(options.only, table.name)]
    if options.list:
        for table in tables:
            print(f"{table.name}\t{table.family}")
        raise SystemExit(0)
    with contextlib.ExitStack() as stack:
        cache = options.cache or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        worker = stack.enter_context(Worker(options.python)) if "vaecli" in options.methods else None
        for seed in options.seeds:
            for table in tables:
                key = {"table": table.name, "seed": seed, "cap": options.cap}
                for method in options.methods:
                    _measure_table(table, method, key, options, results, worker, cache)


def _measure_table(
    table: Table,
    method: str,
    key: dict[str, Any],
    options: argparse.Namespace,
    results: record.Results,
    worker: Worker | None,
    cache: Path,
) -> None:
    variants = {"": ""}
    if method == "vaecli" and worker is not None:
        variants = {kind: variant(options.label or worker.commit, options.preset, kind) for kind in options.kinds}
    wanted = {
        kind: name
        for kind, name in variants.items()
        if options.redo or not results.has(method=method, variant=name, **key)
    }
    if not wanted:
        return
    folder = drawn(table, key["seed"], options.cap, cache)
    draw = read(folder)
    if method == "vaecli" and worker is not None:
        told = worker.figures(folder, draw.label, key["seed"], options.preset, list(wanted))
    else:
        told = {"": _peer(method, draw, key["seed"])}
    shape = {"family": table.family, "n_train": len(draw.train), "n_test": len(draw.test)}
    for kind, values in told.items():
        results.add({"method": method, "variant": wanted[kind]} | key | shape | values)
        print(
            f"{method:8s} {wanted[kind]:12s} {table.name:34s} AUROC {values['auroc']:.4f}, AP {values['ap']:.4f}, "
            f"{values['fit_seconds']:.1f} s",
            file=sys.stderr,
        )


def variant(base: str, preset: str, kind: str) -> str:
    """The name of what was measured: a commit, with the preset and the kind of score where they are no defaults."""
    others = [name for name, usual in ((preset, "default"), (kind, "combined")) if name != usual]
    return ":".join([base, *others])


def drawn(table: Table, seed: int, cap: int, cache: Path) -> Path:
    """The folder of a drawn table, made if it is not there: train.parquet, test.parquet and draw.json."""
    folder = cache / f"{table.name.replace(':', '_')}-{seed}-{cap}"
    if (folder / "draw.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    draw = panel_tables.draw(table.load(), seed, cap)
    draw.train.to_parquet(folder / "train.parquet")
    draw.test.to_parquet(folder / "test.parquet")
    about = {"label": draw.label.astype(int).tolist(), "identifiers": list(draw.identifiers)}
    record.write_json(folder / "draw.json", about)  # the last: where it is, the others are whole
    return folder


def read(folder: Path) -> Draw:
    """What `drawn` wrote."""
    about = json.loads((folder / "draw.json").read_text(encoding="utf-8"))
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    return Draw(train, test, np.array(about["label"], bool), tuple(about["identifiers"]))


def figures(label: np.ndarray, scores: np.ndarray, fit_seconds: float, score_seconds: float) -> dict[str, float]:
    """What every method is measured by."""
    return {
        "auroc": float(roc_auc_score(label, scores)),
        "ap": float(average_precision_score(label, scores)),
        "fit_seconds": round(fit_seconds, 3),
        "score_seconds": round(score_seconds, 3),
    }


def _peer(method: str, draw: Draw, seed: int) -> dict[str, float]:
    frames = (frame.drop(columns=list(draw.identifiers)) for frame in (draw.train, draw.test))
    answer = peers.available()[method](*peers.encode(*frames), seed)
    return figures(draw.label, answer.scores, answer.fit_seconds, answer.score_seconds)


class Worker:
    """`scripts/panel_worker.py` in a process of its own, which loads its modules once for all tables."""

    def __init__(self, python: str) -> None:
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen([python, str(WORKER)], stdin=pipe, stdout=pipe, text=True)
        except OSError as error:
            record.stop(f"--python {python}: {error.strerror}.")
        self.commit: str = self._reply()["commit"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *raised: Any) -> None:
        self.process.__exit__(*raised)  # closes its input, so it ends

    def figures(
        self, folder: Path, label: np.ndarray, seed: int, preset: str, kinds: list[str]
    ) -> dict[str, dict[str, float]]:
        """Figures of each kind of score; ends the program where a row stays without one."""
        assert self.process.stdin is not None
        words = {"folder": str(folder.resolve()), "seed": seed, "preset": preset, "kinds": kinds}
        self.process.stdin.write(json.dumps(words | {"threshold": THRESHOLD}) + "\n")
        self.process.stdin.flush()
        reply, told = self._reply(), {}
        for kind, seconds in reply["score_seconds"].items():
            with np.load(folder / f"{kind}.npz") as arrays:
                scores, flags = arrays["anomaly_score"].astype(np.float64), arrays["is_anomaly"].astype(bool)
            if not np.isfinite(scores).all():
                record.stop(f"{folder.name}: vaecli left {(~np.isfinite(scores)).sum()} rows without a finite score.")
            told[kind] = figures(label, scores, reply["fit_seconds"], seconds) | {
                "false_alarms": float(flags[~label].mean()),
                "recall": float(flags[label].mean()),
            }
        return told

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            record.stop(f"{WORKER.name} ended with exit code {self.process.wait()}; what it printed stands above.")
        reply: dict[str, Any] = json.loads(line)
        return reply


if __name__ == "__main__":
    main()
