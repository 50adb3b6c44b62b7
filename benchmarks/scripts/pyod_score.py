"""What a user of PyOD would write instead of `vaecli score`: read, fit or load a detector, score, flag, write.

    python benchmarks/scripts/pyod_score.py IForest train.parquet new.csv scored.csv
    python benchmarks/scripts/pyod_score.py IForest train.parquet new.csv scored.csv --keep iforest.joblib
    python benchmarks/scripts/pyod_score.py IForest iforest.joblib new.csv scored.csv
    python benchmarks/scripts/pyod_score.py IForest train.parquet new.csv scored.csv --readme

With `--readme` scores and labels are asked for as the example in PyOD's README does, by `decision_function` and
`predict`, each of which computes all scores; without it they are computed once. The detector has PyOD's default
settings. The second argument is a table to fit it on, or one that was kept. The new
table is written as it is with the columns `score` and `label` (1 = anomaly) behind it.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import pandas as pd

MODULES = {"IForest": "pyod.models.iforest", "KNN": "pyod.models.knn"}


def main() -> None:
    """Score NEW and write OUT."""
    options = _options()
    detector = load(options.learned) if options.learned.suffix == ".joblib" else fit(options.name, options.learned)
    if options.keep:
        keep(detector, options.keep)
    table = pd.read_csv(options.new)
    scores = detector.decision_function(table.to_numpy())
    labels = detector.predict(table.to_numpy()) if options.readme else (scores > detector.threshold_).astype(int)
    table.assign(score=scores, label=labels).to_csv(options.out, index=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(MODULES))
    parser.add_argument("learned", type=Path, help="training rows (.parquet) or a kept detector (.joblib)")
    parser.add_argument("new", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", type=Path, help="write the detector here")
    parser.add_argument("--readme", action="store_true", help="labels by `predict`, as in PyOD's README")
    return parser.parse_args()


def fit(name: str, train: Path) -> Any:
    """A detector of that name fitted on the rows of a Parquet file."""
    detector = getattr(importlib.import_module(MODULES[name]), name)()
    return detector.fit(pd.read_parquet(train).to_numpy())


def load(path: Path) -> Any:
    """A detector that was kept."""
    import joblib

    return joblib.load(path)


def keep(detector: Any, path: Path) -> None:
    """Write the detector, whole or not at all."""
    import joblib

    beside = path.with_suffix(".part")
    joblib.dump(detector, beside)
    beside.replace(path)


if __name__ == "__main__":
    main()
