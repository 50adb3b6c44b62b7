"""Verbs beside `score` with `--engine spark`: what adds up, and rows that pass on, as on one machine (Sail)."""

from __future__ import annotations

import datetime
import decimal
import json
import pickle
import re
import shutil
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
import vaecli.spark
from tests.cli.conftest import run as run
from tests.cli.messages import assert_is_a_message, contents
from vaecli.engines.plain_results import pickled, plain_result
from vaecli.engines.spark import connect

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


def test_a_report_shows_the_same(run: Callable, remote: str, place: Path) -> None:
    """The page is that of this machine but for its incidents: rows have their numbers, from three files too."""
    words = ["-m", "model.vae", "--threshold", "0.9", "--batch-rows", "50", "-q"]
    assert run("report", "one.parquet", *words, "-o", "here.html").code == 0
    for table, page in (("one.parquet", "there.html"), ("data", "data.html")):
        done = run("report", table, *words, "-o", page, "--engine", "spark", "--remote", remote)
        assert done.code == 0, done.err
    here, there = Path("here.html").read_text(), Path("there.html").read_text()
    assert "<h2>Incidents</h2>" in here
    here = re.sub("<section><h2>Incidents</h2>.*?</section>", "", here, flags=re.DOTALL)
    number = r"-?\d+(?:\.\d+)?"
    assert re.sub(number, "#", here) == re.sub(number, "#", there)
    one, other = ([float(text) for text in re.findall(number, page)] for page in (here, there))
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=0.02)
    assert Path("data.html").read_text().count("<h2>") == there.count("<h2>")


@pytest.fixture
def numbered(place: Path) -> Path:
    """The same rows, by the number of which they can be sorted."""
    for path in ("one.parquet", *Path("data").glob("*.parquet")):
        table = pq.read_table(path)
        pq.write_table(table.rename_columns([name.replace("dotted.name", "id") for name in table.column_names]), path)
    return place


def test_codes_are_those_of_this_machine(run: Callable, remote: str, numbered: Path) -> None:
    """`encode --keep` into a folder: the columns of the table, and coordinates that agree to 1e-5."""
    words = ["--keep", "--dims", "2", "--spreads", "--prefix", "v_"]
    assert run("encode", "one.parquet", *words, "-o", "here.parquet").code == 0
    done = run("encode", "data", *words, "-o", "there/", "--engine", "spark", "--remote", remote, "--json")
    assert done.code == 0, done.err
    assert (json.loads(done.out)["rows"], json.loads(done.out)["columns"][0]) == (N_ROWS, "v_map1")
    here, there = pq.read_table("here.parquet"), pq.read_table("there").sort_by("id")
    assert there.column_names == here.column_names
    for name in here.column_names:
        if name.startswith("v_"):
            np.testing.assert_allclose(there[name].to_numpy(), here[name].to_numpy(), rtol=1e-5, atol=1e-5)
        else:
            assert there[name].to_pylist() == here[name].to_pylist(), name
    assert json.loads(Path("there/_manifest.json").read_text())["verb"] == "encode"


@pytest.mark.parametrize("impute", [["--impute"], []])
def test_rows_as_the_model_expects_them(run: Callable, remote: str, numbered: Path, impute: list[str]) -> None:
    """`reconstruct` into a folder: the cells, and the counts of missing and novel ones, of this machine."""
    done_here = run("reconstruct", "one.parquet", *impute, "-o", "here.parquet", "--json")
    done = run("reconstruct", "data", *impute, "-o", "there/", "--engine", "spark", "--remote", remote, "--json")
    assert done.code == 0, done.err
    one, other = json.loads(done_here.out), json.loads(done.out)
    assert one["missing_cells"] > 0 < one["novel_cells"]
    assert without(one, "output") == without(other, "output")
    manifest = json.loads(Path("there/_manifest.json").read_text())
    assert (manifest["verb"], manifest["missing_cells"]) == ("reconstruct", one["missing_cells"])
    here, there = pq.read_table("here.parquet"), pq.read_table("there").sort_by("id")
    assert there.column_names == here.column_names
    for name in here.column_names:
        if pa.types.is_floating(here[name].type):
            np.testing.assert_allclose(there[name].to_numpy(), here[name].to_numpy(), rtol=1e-5, atol=1e-5)
        else:
            assert there[name].to_pylist() == here[name].to_pylist(), name


def test_a_name_with_a_dot_is_refused(run: Callable, remote: str, place: Path) -> None:
    """The client's `mapInArrow` would look for a field `name` of a column `dotted`: the column is named at once."""
    done = run("encode", "data", "--keep", "-o", "out/", "--engine", "spark", "--remote", remote)
    assert done.code == 4, done.err
    assert "column 'dotted.name': Spark hands no column with a dot" in done.err
    assert not Path("out").exists()


def test_dataframes_are_encoded_and_reconstructed(remote: str, numbered: Path) -> None:
    """From Python, lazily: the columns that come after those of the DataFrame, and what is refused at once."""
    frame = connect(remote).read.parquet(str(numbered / "data"))
    codes = vaecli.spark.encode(frame, "model.vae", dims=2)
    assert codes.columns == [*frame.columns, "map1", "map2"]
    alone = vaecli.load("model.vae").encode(pq.read_table("one.parquet"), dims=2)
    found = codes.toArrow().sort_by("id")
    np.testing.assert_allclose(found["map1"].to_numpy(), alone["map1"].to_numpy(), rtol=1e-5, atol=1e-5)
    filled = vaecli.spark.reconstruct(frame, "model.vae", impute=True).toArrow()
    gaps = [sum(table[i].null_count for i in range(5)) for table in (filled, pq.read_table("one.parquet"))]
    assert gaps[0] == 0 < gaps[1]
    with pytest.raises(vaecli.VaecliError, match="unknown settings: workers"):
        vaecli.spark.encode(frame, "model.vae", workers=2)
    with pytest.raises(vaecli.VaecliError, match="'flow'"):
        vaecli.spark.reconstruct(frame.drop("flow"), "model.vae")


def test_moments_and_decimals_come_back(place: Path) -> None:
    """Own values of rows in a result are dates, moments with zones and decimals, and a function is refused."""
    values = (
        datetime.date(2026, 11, 29),
        datetime.datetime(2026, 11, 29, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        datetime.timedelta(1),
        decimal.Decimal("1.5"),
    )
    assert plain_result(pickled(values)) == values
    with pytest.raises(pickle.UnpicklingError):
        plain_result(pickle.dumps(shutil.rmtree))


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
        ("report data --workers 2", 2, "--engine spark and --workers"),
        ("report data -m series.vae", 2, "is a model of series"),
        ("encode data -o out/", 2, "--keep"),
        ("encode data -o out/ --keep --dims 2 --map umap", 2, "--map umap"),
        ("encode data -o out/ --keep --dims 2 --plot p.png", 2, "--engine spark and --plot"),
        ("encode data -o out.parquet --keep", 2, "--engine spark writes a folder"),
        ("reconstruct data", 2, "--engine spark writes a folder"),
        ("reconstruct data -o out/ -m series.vae", 2, "series"),
        ("reconstruct none -o out/", 4, "none"),
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
    for verb in ("check", "explain", "evaluate", "report", "encode", "reconstruct"):
        done = run(verb, "one.parquet", "--engine", "spark")
        assert done.code == 2
        assert "--remote" in done.err
