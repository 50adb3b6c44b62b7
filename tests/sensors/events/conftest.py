"""A plant of two devices, a model of it, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vaecli.cli.app import main

START = pd.Timestamp("2026-01-05 00:00")


def plant(n_rows: int, seed: int, first_minute: int = 0) -> pd.DataFrame:
    """A row per minute and device, devices interleaved: `temp` and `flow` wander together, `level` swings."""
    rng = np.random.default_rng(seed)
    frames = []
    for device in ("press", "oven"):
        noise = rng.normal(size=(n_rows, 3))
        for t in range(1, n_rows):
            noise[t] += 0.8 * noise[t - 1]
        phase = rng.uniform(0, 6)
        minute = first_minute + np.arange(n_rows)
        frames.append(
            pd.DataFrame(
                {
                    "time": START + pd.to_timedelta(minute, unit="min"),
                    "device": device,
                    "temp": 50 + 2 * noise[:, 0],
                    "flow": noise[:, 0] + 0.5 * noise[:, 1],
                    "level": 10 + 2 * np.sin(minute / 15 + phase) + 0.3 * rng.normal(size=n_rows),
                    "mode": np.where(np.sin(minute / 40 + phase) > 0, "heat", "hold"),
                }
            )
        )
    return (
        pd.concat(frames).sort_values(["time", "device"], ignore_index=True).round({"temp": 3, "flow": 3, "level": 3})
    )


def rows_of(table: pd.DataFrame, device: str, minutes: range) -> pd.Index:
    """The rows of a device, from a minute of the table to another."""
    mine = table.index[table.device == device]
    return mine[minutes.start : minutes.stop]


@pytest.fixture(scope="session")
def plant_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of four days of the two devices."""
    folder = tmp_path_factory.mktemp("plant")
    plant(5760, 1).to_csv(folder / "normal.csv", index=False)
    with pytest.raises(SystemExit) as done:
        main(["fit", str(folder / "normal.csv"), "-o", str(folder / "plant.vae"), "--group", "device", "-q"])
    assert done.value.code == 0
    return folder / "plant.vae"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line; (exit code, standard output, standard error)."""

    def typed(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return typed


@pytest.fixture
def summary(run: Callable[..., tuple[int, str, str]]) -> Callable[..., dict[str, Any]]:
    """The JSON summary of a command line that succeeds."""

    def of(*words: object) -> dict[str, Any]:
        code, out, err = run(*words, "--json")
        assert code == 0, err
        return dict(json.loads(out))

    return of
