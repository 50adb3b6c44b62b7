"""Incidents of row models: another group, or a stretch of time after a quiet one, is another incident."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.cli.conftest import Done
from tests.conftest import QUICK, sensor_table

Run = Callable[..., Done]
FAULTS = (range(20, 40), range(60, 80), range(220, 240))  # rows with a pressure that is too high


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of rows with a clock, a minute a row, and a group."""
    path = tmp_path_factory.mktemp("placed") / "model.vae"
    settings = {**QUICK, "time": "when", "group": "site", "windows.window": 0}
    vaecli.fit(stamped(sensor_table(400, seed=1), silent_days=0), **settings).save(path)
    return path


def stamped(table: pd.DataFrame, silent_days: int = 20) -> pd.DataFrame:
    """The table with stamps, days of silence after row 200, and two sites: `b` from row 51 to 100, else `a`."""
    n = np.arange(len(table))
    minutes = pd.to_timedelta(n + 1440 * silent_days * (n >= 200), unit="min")
    return table.assign(when=(pd.Timestamp("2026-01-05") + minutes).astype(str), site=np.where(n // 50 == 1, "b", "a"))


def hot(run: Run, table: pd.DataFrame, bundle: Path, *words: str) -> list[dict[str, Any]]:
    """The incidents of pressure in a table with FAULTS, of ten rows or more, in their order of rows."""
    for rows in FAULTS:
        table.loc[rows, "pressure"] += 25
    table.to_csv("t.csv", index=False)
    done = run("score", "t.csv", "-m", str(bundle), "--incidents", "i.json", *words, "--json")
    assert done.code == 0, done.err
    found = [one for one in json.loads(done.out)["incidents"] if one["rows"] >= 10]
    return sorted(found, key=lambda one: one["first_row"])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("cooldown", "split"), [((), True), (("--cooldown", "2h"), True), (("--cooldown", "720h"), False)]
)
def test_groups_and_quiet_stretches_separate(run: Run, placed: Path, cooldown: tuple[str, ...], split: bool) -> None:
    """The same fault is one incident per site, and another one after days without a flagged row."""
    words = (*(("--incident-state", "s") if cooldown else ()), *cooldown, "--threshold", "0.999")
    found = hot(run, stamped(sensor_table(300, seed=7)), placed, *words)
    assert [one["group"] for one in found] == (["a", "b", "a"] if split else ["a", "b"])
    assert len({one["id"] for one in found}) == len(found)
    first = Path("i.json").read_bytes()
    if not cooldown:
        hot(run, stamped(sensor_table(300, seed=7)), placed, *words, "--workers", "2", "--batch-rows", "16")
        assert Path("i.json").read_bytes() == first
        assert run("explain", "t.csv", "-m", str(placed), "--incidents", "i.json", "--threshold", "0.999").code == 0
        assert Path("i.json").read_bytes() == first


def test_the_page_names_groups(run: Run, placed: Path) -> None:
    """A report names the group of an incident of rows as such; they are not series."""
    hot(run, stamped(sensor_table(300, seed=7)), placed)
    assert run("report", "t.csv", "-m", str(placed), "-o", "r.html").code == 0
    page = Path("r.html").read_text()
    section = page[page.index("<h2>Incidents") : page.index("<h2>Responsible columns")]
    assert "<li>group <bdi" in section
    assert "series" not in section


def test_unreadable_and_late_stamps_begin_no_stretch(run: Run, placed: Path) -> None:
    """Rows without a stamp, or with one before the newest, stay with those before them."""
    table = stamped(sensor_table(300, seed=7))
    table.loc[range(100, 230), "when"] = [None, "soon"] * 65
    table.loc[230:, "when"] = "2026-01-01 00:00:00"
    found = hot(run, table.assign(site="a"), placed)
    assert [one["rows"] >= 50 for one in found] == [True]


def test_groups_of_a_calibration_separate(run: Run, bundle: Path) -> None:
    """`calibrate --by` names the groups of incidents of a model that was fitted without one."""
    stamped(sensor_table(600, seed=3)).to_csv("sites.csv", index=False)
    assert run("calibrate", str(bundle), "sites.csv", "-o", "by.vae", "--by", "site").code == 0
    found = hot(run, stamped(sensor_table(300, seed=7)), Path("by.vae"))
    assert [one["group"] for one in found] == ["a", "b"]
