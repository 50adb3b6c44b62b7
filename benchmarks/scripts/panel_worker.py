"""Fits and scores the tables that benchmarks/panel.py names, with the vaecli of the Python that runs this.

A line of JSON on standard input: `folder` (train.parquet and test.parquet), `seed`, `preset`, `kinds`, `threshold`.
A line on standard output: seconds of the fit, and the seconds of each kind, whose scores and flags lie in the folder
(`KIND.npz`). The first line says which commit it is. Only the public interface is used, so that an older vaecli runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import vaecli


def main() -> None:
    """Answer one line at a time, until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else prints is not an answer
    print(json.dumps({"commit": commit()}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), file=answers, flush=True)


def commit() -> str:
    """The commit that vaecli was imported from."""
    words = ["git", "describe", "--always", "--dirty"]
    folder = Path(vaecli.__file__).parent
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() or vaecli.__version__


def answer(folder: str, seed: int, preset: str, kinds: list[str], threshold: float) -> dict[str, Any]:
    """Fit once, and score by every kind."""
    tables = Path(folder)
    began = time.perf_counter()
    model = vaecli.fit(str(tables / "train.parquet"), seed=seed, preset=preset)
    told: dict[str, Any] = {"fit_seconds": time.perf_counter() - began, "score_seconds": {}}
    for kind in kinds:
        began = time.perf_counter()
        scored = model.score(str(tables / "test.parquet"), threshold=threshold, score_kind=kind)
        told["score_seconds"][kind] = time.perf_counter() - began
        columns = {name: scored.column(name).to_numpy(zero_copy_only=False) for name in ("anomaly_score", "is_anomaly")}
        np.savez(tables / f"{kind}.npz", **columns)
    return told


if __name__ == "__main__":
    main()
