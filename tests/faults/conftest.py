"""A folder with a table and a bundle, and real processes in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

PROGRAM = [sys.executable, "-m", "vaecli"]
QUICK = (
    "[train]\nmax_steps = 12\n[model]\nn_noise = 2\nn_exemplars = 20\n[calibration]\nn_folds = 3\n"
    "[heteroscedastic]\nn_hidden = 8\nn_latent = 2\n[homoscedastic]\nn_hidden = 8\nn_latent = 2\n"
)

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def place(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: fresh.csv with an anomalous row, fresh.parquet, bad.csv, quick.toml and model.vae."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    table = fresh_table.copy()
    table.loc[16, ["pressure", "flow"]] = 9.0, 20.0
    table.to_csv("fresh.csv", index=False)
    table.to_parquet("fresh.parquet", index=False)
    table.assign(pressure="high").to_csv("bad.csv", index=False)
    Path("model.vae").write_bytes(bundle.read_bytes())
    Path("quick.toml").write_text(QUICK)
    return place


@pytest.fixture
def shell(place: Path) -> Callable[[str], Done]:
    """Run a line of bash, in which `$V` is the program; what it prints is in `stdout` and `stderr`."""

    def run(line: str) -> Done:
        environment = os.environ | {"V": " ".join(PROGRAM)}
        return subprocess.run(
            ["bash", "-c", line], env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.fixture
def program(place: Path) -> Callable[..., Done]:
    """Run the program after some lines of Python that change the machine under it: `program(change, "score", …)`."""

    def run(change: str, *words: str) -> Done:
        code = f"import os, signal, sys\n{change}\nfrom vaecli.cli.app import run\nrun()\n"
        return subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=120
        )

    return run
