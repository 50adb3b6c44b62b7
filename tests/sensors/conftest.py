"""A plant of three sensors, a command line in this process, and one bundle that many tests share."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.published import assert_published
from vaecli.cli.app import main

START = "2024-03-01"
SENSORS = ["pressure", "flow", "temperature"]


@dataclass(frozen=True)
class Done:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        answer = json.loads(self.out)
        assert_published(answer)
        return answer


def call(*words: object) -> Done:
    """Run one command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return Done(int(left.value.code or 0), out.getvalue(), err.getvalue())


def plant(n: int, seed: int = 0, start: str = START, step: str = "1min") -> pd.DataFrame:
    """Rows of sensors whose readings follow each other, with a clock in the first column."""
    rng = np.random.default_rng(seed)
    load, noise = np.zeros(n), rng.normal(size=(n, 4))
    for t in range(1, n):
        load[t] = 0.9 * load[t - 1] + 0.4 * noise[t, 0]
    return pd.DataFrame(
        {
            "when": pd.date_range(start, periods=n, freq=step).strftime("%Y-%m-%dT%H:%M:%S"),
            "pressure": (5 + load + 0.1 * noise[:, 1]).round(4),
            "flow": (100 + 20 * load + 3 * noise[:, 2]).round(3),
            "temperature": (60 + 0.2 * np.sin(np.arange(n) / 15) + 0.05 * noise[:, 3]).round(4),
        }
    )


def write(table: pd.DataFrame, path: Path) -> Path:
    """The table in the format of the path's name."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def fitted(table: pd.DataFrame, folder: Path, *more: object) -> tuple[Path, dict[str, Any]]:
    """A bundle of the table, and the summary of its fit."""
    folder.mkdir(exist_ok=True, parents=True)
    bundle = folder / "model.vae"
    done = call("fit", write(table, folder / "normal.csv"), "-o", bundle, "--json", *more)
    assert done.code == 0, done.err
    return bundle, done.summary


def scored(table: pd.DataFrame, bundle: Path, folder: Path, *more: object, suffix: str = ".csv") -> pd.DataFrame:
    """The scored table, read again."""
    return scored_and_summary(table, bundle, folder, *more, suffix=suffix)[0]


def scored_and_summary(
    table: pd.DataFrame, bundle: Path, folder: Path, *more: object, suffix: str = ".csv"
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The scored table, and the summary of the scoring."""
    folder.mkdir(exist_ok=True, parents=True)
    source, output = write(table, folder / f"new{suffix}"), folder / f"scored{suffix}"
    done = call("score", source, "-m", bundle, "-o", output, "--json", *more)
    assert done.code == 0, done.err
    return read(output), done.summary


@pytest.fixture(scope="session")
def one_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A bundle of 600 rows of one series, and the summary of its fit. Tests must not change it."""
    return fitted(plant(600), tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="session")
def bundle(one_series: tuple[Path, dict[str, Any]]) -> Path:
    """That bundle."""
    return one_series[0]


@pytest.fixture(scope="session")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the interleaved rows of two devices."""
    return fitted(
        interleaved({"a": plant(300, 1), "b": plant(300, 2)}), tmp_path_factory.mktemp("two"), "--group", "device"
    )[0]


def interleaved(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of several devices in the order of time."""
    parts = [table.assign(device=name) for name, table in tables.items()]
    return pd.concat(parts).sort_values(["when", "device"], kind="stable").reset_index(drop=True)
