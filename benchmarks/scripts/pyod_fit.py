"""What a user of PyOD writes instead of `vaecli fit`: read a table, standardise it, fit a detector, save both.

    python benchmarks/scripts/pyod_fit.py VAE train.parquet model.joblib
    python benchmarks/scripts/pyod_fit.py AutoEncoder train.parquet model.joblib

The detector has its default settings and is only told not to print; `--epochs` shortens a trial run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Fit NAME on the table and write the model."""
    options = _options()
    rows = pd.read_parquet(options.table).to_numpy()
    scaler = StandardScaler().fit(rows)
    settings: dict[str, Any] = {"verbose": 0} | ({"epoch_num": options.epochs} if options.epochs else {})
    detector = _class(options.name)(**settings).fit(scaler.transform(rows))
    joblib.dump({"scaler": scaler, "detector": detector}, options.model)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("VAE", "AutoEncoder"))
    parser.add_argument("table", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--epochs", type=int, help="default: PyOD's")
    return parser.parse_args()


def _class(name: str) -> Any:
    """The detector by its name; the other one is not imported, as no user would."""
    if name == "VAE":
        from pyod.models.vae import VAE

        return VAE
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder


if __name__ == "__main__":
    main()
