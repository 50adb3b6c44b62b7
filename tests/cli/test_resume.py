"""`fit --resume` goes on from its own checkpoint, and from no other."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from vaecli.cli.app import main
from vaecli.training import schedule

N_ROWS = 3_000  # more than a sample of the rows would look at
CHANGED = 1_234


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "temp": rng.normal(20.0, 2.0, N_ROWS).round(4),
            "on": rng.choice(["true", "false"], N_ROWS),
            "mode": rng.choice(["slow", "fast", "idle"], N_ROWS),
            "site": rng.choice(["north", "south", "east", "west"], N_ROWS),
            "fault": "0",
        }
    )


def words_of(folder: Path, quick: Path) -> tuple[str, ...]:
    """A fit of table.csv in a folder."""
    names = ("--group", "site", "--label", "fault", "--config", str(quick), "-q")
    return ("fit", str(folder / "table.csv"), "-o", str(folder / "model.vae"), *names)


@pytest.fixture
def fit(tmp_path: Path, quick: Path, run: Callable) -> Callable:
    """Fit table.csv of `tmp_path`, with more words of the command line."""
    return lambda *words: run(*words_of(tmp_path, quick), *words)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> Path:
    """A folder with table.csv and what a fit leaves that was interrupted before its bundle was written."""
    folder = tmp_path_factory.mktemp("left")
    table().to_csv(folder / "table.csv", index=False)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr("vaecli.workflows.fit.save_detector", interrupt)
        with pytest.raises(SystemExit) as ended:
            main(words_of(folder, quick))
    assert ended.value.code == 130
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path, left: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of both, of which the checkpoint is that of a fit in this folder."""
    monkeypatch.setattr(schedule, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    for name in ("table.csv", "model.vae.checkpoint"):
        shutil.copy2(left / name, tmp_path)
    return tmp_path / "model.vae.checkpoint"


def test_the_same_table_goes_on(checkpoint: Path, fit: Callable) -> None:
    """The same table with the same options is resumed, and the checkpoint is deleted."""
    assert fit("--resume").code == 0
    assert not checkpoint.exists()


def test_the_clock_does_not_matter(checkpoint: Path, fit: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed with a clock of the day before, on files of the day after: the bundle of an undisturbed fit."""
    now, now_ns = time.time, time.time_ns
    for path in (checkpoint, checkpoint.with_name("table.csv")):
        os.utime(path, (now() + 86_400,) * 2)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now() - 86_400)
        patch.setattr(time, "time_ns", lambda: now_ns() - 86_400 * 10**9)
        assert fit("--resume").code == 0
    resumed = checkpoint.with_name("model.vae").read_bytes()
    assert not checkpoint.exists()
    assert fit().code == 0
    assert checkpoint.with_name("model.vae").read_bytes() == resumed


@pytest.mark.parametrize(
    ("column", "value"), [("temp", 20.5), ("on", None), ("mode", None), ("site", None), ("fault", "1")]
)
def test_one_changed_cell_is_another_table(
    checkpoint: Path, fit: Callable, tmp_path: Path, column: str, value: object
) -> None:
    """One number, boolean, category, group or label among thousands makes it another table: exit 5."""
    changed = table()
    others = [word for word in changed[column].unique() if word != changed.loc[CHANGED, column]]
    changed.loc[CHANGED, column] = others[0] if value is None else value
    changed.to_csv(tmp_path / "table.csv", index=False)
    done = fit("--resume")
    assert done.code == 5, done.err
    assert "another table" in done.err
    assert checkpoint.exists()


def test_another_version_does_not_go_on(checkpoint: Path, fit: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of another version of vaecli is refused: exit 5."""
    monkeypatch.setattr(vaecli, "__version__", "99.0")
    done = fit("--resume")
    assert done.code == 5
    assert "another vaecli" in done.err


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_any_changed_bit_is_damage(checkpoint: Path, fit: Callable, share: float, bit: int) -> None:
    """A bit changed in weights, optimiser state, step or digest is exit 5 and two lines."""
    data = bytearray(checkpoint.read_bytes())
    data[int(share * len(data))] ^= bit
    checkpoint.write_bytes(data)
    done = fit("--resume")
    assert done.code == 5
    assert "damaged checkpoint" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("n_bytes", [0, 1, 31, 32, 33, 500])
def test_a_short_checkpoint_is_damage(checkpoint: Path, fit: Callable, n_bytes: int) -> None:
    """A checkpoint cut anywhere is exit 5."""
    checkpoint.write_bytes(checkpoint.read_bytes()[:n_bytes])
    done = fit("--resume")
    assert done.code == 5
    assert "damaged checkpoint" in done.err
