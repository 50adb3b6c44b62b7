"""`check`, `explain` and `evaluate` with `--engine spark`: results that add up, as on one machine (Sail)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import run as run
from tests.cli.messages import assert_is_a_message, contents

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore::FutureWarning")]

N_ROWS = 240


@pytest.fixture
def place(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a bundle, and rows with gaps, a new word and a label in one file and in three."""
    frame = fresh_table[:N_ROWS].copy()
    frame.loc[3, "mode"] = "unseen"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    is_fault = np.arange(N_ROWS) % 10 == 0
    table = table.append_column("is_fault", pa.array(is_fault)).append_column("dotted.name", pa.array(range(N_ROWS)))
    shutil.copy(bundle, tmp_path / "model.vae")
    pq.write_table(table, tmp_path / "one.parquet")
    (tmp_path / "data").mkdir()
    for i in range(3):
        pq.write_table(table[i * 80 : (i + 1) * 80], tmp_path / f"data/{i}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def both(run: Callable, remote: str, place: Path) -> Callable[..., tuple[Any, Any]]:
    """What a verb answers of the table here and on the cluster, as JSON; the exit codes agree."""

    def answers(verb: str, *words: str, there: str = "data") -> tuple[Any, Any]:
        here = run(verb, "one.parquet", *words, "--json")
        cluster = run(verb, there, *words, "--json", "--engine", "spark", "--remote", remote)
        assert here.code == cluster.code, cluster.err
        return json.loads(here.out), json.loads(cluster.out)

    return answers


def assert_alike(here: Any, there: Any, path: str = "") -> None:
    """The same structure, with numbers equal to 1e-5; what differs by design is left out by the caller."""
    assert type(here) is type(there), path
    if isinstance(here, dict):
        assert here.keys() == there.keys(), path
        for name in here:
            assert_alike(here[name], there[name], f"{path}/{name}")
    elif isinstance(here, list):
        assert len(here) == len(there), path
        for i, (one, other) in enumerate(zip(here, there, strict=True)):
            assert_alike(one, other, f"{path}/{i}")
    elif isinstance(here, float):
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-9, err_msg=path)
    else:
        assert here == there, path


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("seconds", *names)}


def test_check_counts_the_same(both: Callable) -> None:
    """Findings, sizes and chances of a check: its counts are integers, so only scores may round."""
    here, there = both("check")
    assert here["rows"] == N_ROWS
    assert_alike(without(here, "table"), without(there, "table"))


def test_evaluate_measures_the_same(both: Callable) -> None:
    """All figures of a labelled table, with groups."""
    here, there = both("evaluate", "--label", "is_fault", "--group", "mode", "--threshold", "0.9")
    assert here["anomalies"] == N_ROWS / 10
    assert_alike(without(here), without(there))


def test_explain_names_the_same_rows_and_columns(both: Callable, place: Path) -> None:
    """Rows of one file have the same numbers, and the reasons of the strongest are the same."""
    here, there = both("explain", "--threshold", "0.9", "--most", "5", "--top", "1", there="one.parquet")
    assert here["explained"] == there["explained"] > 0
    for one, other in zip(here["shown"], there["shown"], strict=True):
        assert (one["row"], one["reasons"][0]["column"]) == (other["row"], other["reasons"][0]["column"])


def test_reasons_of_all_rows_are_written(run: Callable, remote: str, place: Path) -> None:
    """With -o every flagged row is there once; files are numbered in the order in which Spark has them."""
    words = ["--threshold", "0.9", "--top", "1", "-q"]
    assert run("explain", "one.parquet", *words, "-o", "here.parquet").code == 0
    done = run("explain", "data", *words, "-o", "there.parquet", "--engine", "spark", "--remote", remote)
    assert done.code == 0, done.err
    here, there = pq.read_table("here.parquet"), pq.read_table("there.parquet")
    first = [table.filter(pa.compute.equal(table["rank"], 1)) for table in (here, there)]
    assert len(set(first[1]["row"].to_pylist())) == len(first[0]) == len(first[1])
    assert max(first[1]["row"].to_pylist()) <= N_ROWS
    values = [sorted(text or "" for text in one["value"].to_pylist()) for one in first]
    assert values[0] == values[1]


def test_a_broken_cell_is_named(run: Callable, remote: str, place: Path) -> None:
    """Exit code 4 with partition, row, column and value, as `score` does."""
    table = pq.read_table("one.parquet")
    texts = pa.array([*map(str, range(99)), "broken"])
    pq.write_table(table[:100].set_column(table.column_names.index("flow"), "flow", texts), "broken.parquet")
    done = run("check", "broken.parquet", "--engine", "spark", "--remote", remote)
    assert done.code == 4, done.err
    assert "row 100: column 'flow' wants a number, not 'broken'" in done.err
    assert_is_a_message(done.err)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("explain data --row 3", 2, "--engine spark and --row"),
        ("explain data --incidents i.json", 2, "--engine spark and --incidents"),
        ("evaluate data --label is_fault --marks one.parquet", 2, "--engine spark and --marks"),
        ("evaluate data --label is_fault --baselines one.parquet", 2, "--engine spark and --baselines"),
        ("check data --workers 2", 2, "--engine spark and --workers"),
        ("explain data -m series.vae", 2, "is a model of series"),
        ("evaluate data --label none", 2, "no such column"),
        ("check none", 4, "none"),
    ],
)
def test_what_cannot_run_is_refused(run: Callable, remote: str, place: Path, words: str, code: int, says: str) -> None:
    """Before anything starts, and nothing is written."""
    shutil.copy(Path(__file__).resolve().parent.parent / "golden/sensors_v5/model.vae", "series.vae")
    before = contents(place)
    done = run(*words.split(), "--engine", "spark", "--remote", remote)
    assert done.code == code, done.err
    assert says in done.err
    assert contents(place) == before


def test_both_options_or_neither(run: Callable, place: Path) -> None:
    """An engine without an address is refused by each verb."""
    for verb in ("check", "explain", "evaluate"):
        done = run(verb, "one.parquet", "--engine", "spark")
        assert done.code == 2
        assert "--remote" in done.err
