"""`score --incidents` and `explain --incidents`: flagged rows grouped by the columns responsible."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Done
from tests.conftest import sensor_table

Run = Callable[..., Done]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path) -> Path:
    """A folder with a table of two faults and the bundle; it is the current one."""
    monkeypatch.chdir(tmp_path)
    two_faults(sensor_table(300, seed=7)).to_csv("t.csv", index=False)
    Path("model.vae").symlink_to(bundle)
    return tmp_path


def two_faults(table: pd.DataFrame) -> pd.DataFrame:
    """Rows 11 to 40 have a pressure that is too high, rows 101 to 120 a flow that is too low."""
    table.loc[10:39, "pressure"] += 25
    table.loc[100:119, "flow"] -= 400
    return table


def found(run: Run, *words: str) -> list[dict[str, Any]]:
    """The incidents of a command line."""
    done = run(*words, "--json")
    assert done.code == 0, done.err
    return list(json.loads(done.out)["incidents"])


def test_two_faults_are_two_incidents(run: Run, place: Path) -> None:
    """Each fault is one incident with its rows, its column and direction, three examples and a typical reason."""
    first, second = found(run, "score", "t.csv", "--incidents", "i.csv")[:2]
    assert first["columns"][0] | {"share": 0} == {"column": "pressure", "direction": "up", "share": 0}
    assert second["columns"][0] | {"share": 0} == {"column": "flow", "direction": "down", "share": 0}
    assert first["rows"] >= 28
    assert second["rows"] >= 18
    assert (first["first_row"], second["last_row"]) == (11, 120)
    assert first["reason"].startswith("pressure = ")
    assert len(first["examples"]) == 3
    assert first["peak_row"] == first["examples"][0]["row"]
    assert first["sentence"].startswith(f"{first['rows']} rows from row 11 to ")


@pytest.mark.parametrize("extension", ["csv", "parquet", "json"])
def test_each_format_holds_the_same(run: Run, place: Path, extension: str) -> None:
    """One row per incident; `explain` writes what `score` writes."""
    expected = found(run, "score", "t.csv", "--incidents", f"i.{extension}")
    written = Path(f"i.{extension}").read_bytes()
    assert found(run, "explain", "t.csv", "--incidents", f"i.{extension}") == expected
    assert Path(f"i.{extension}").read_bytes() == written
    if extension == "json":
        assert json.loads(written)["incidents"] == expected
        return
    table = pd.read_csv("i.csv") if extension == "csv" else pq.read_table("i.parquet").to_pandas()
    assert table["id"].tolist() == [one["id"] for one in expected]
    assert table["columns"][0].startswith("pressure:up:")
    assert json.loads(table["examples"][0]) == expected[0]["examples"]


def test_batches_and_workers_change_no_byte(run: Run, place: Path) -> None:
    """The file of incidents is the same whatever the batch size and the number of threads."""
    contents = []
    for words in (["--workers", "1"], ["--workers", "2", "--batch-rows", "64"]):
        assert run("score", "t.csv", "--incidents", "i.json", *words).code == 0
        contents.append(Path("i.json").read_bytes())
    assert contents[0] == contents[1]


def test_the_page_shows_incidents(run: Run, place: Path) -> None:
    """The terminal names the number of incidents, and the columns responsible for each."""
    out = run("score", "t.csv", "--incidents", "i.csv").out
    assert " in i.csv" in out
    assert "pressure up" in out
    assert "flow down" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("score", "t.csv", "--incidents", "i.txt"), "not a .csv, .parquet or .json file"),
        (("score", "t.csv", "--incidents", "t.csv"), "is the input, the bundle or another output itself"),
        (("explain", "t.csv", "--incidents", "no/i.csv"), "no such directory"),
    ],
)
def test_a_wrong_file_is_refused(run: Run, place: Path, words: tuple[str, ...], message: str) -> None:
    """Two lines and code 2, and no scored table."""
    done = run(*words)
    assert done.code == 2
    assert message in done.err
    assert not Path("t.scored.csv").exists()
