"""`vaecli.spark` and `score --engine spark` against a Spark Connect server without a JVM (Sail)."""

from __future__ import annotations

import datetime
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.cli.conftest import run as run
from tests.cli.messages import assert_is_a_message, contents
from tests.spark.conftest import tolerance
from tests.test_docs import DOCS, blocks
from vaecli.runtime.lock import locked

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(scope="module")
def table(fresh_table: pd.DataFrame) -> pa.Table:
    """Rows with gaps, a new word, dates, moments with a zone, decimals and numbers of each row."""
    frame = fresh_table[:200].copy()
    frame.loc[3, "mode"] = "unseen"
    n = len(frame)
    moments = [datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC) + datetime.timedelta(hours=i) for i in range(n)]
    return pa.Table.from_pandas(frame, preserve_index=False).append_column("row", pa.array(range(n))).append_column(
        "at", pa.array(moments, pa.timestamp("us", "Europe/Berlin"))
    ).append_column("price", pa.array([None, *range(1, n)], pa.decimal128(10, 2))).append_column(
        "date", pa.array([moment.date() for moment in moments])
    )  # fmt: skip


@pytest.fixture
def place(table: pa.Table, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a bundle, and a folder of Parquet by day."""
    shutil.copy(bundle, tmp_path / "model.vae")
    for i in (0, 1):
        folder = tmp_path / f"data/day=d{i}"
        folder.mkdir(parents=True)
        pq.write_table(table[i * 100 : (i + 1) * 100], folder / "a.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def session(remote: str) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from vaecli.engines.spark import connect

        yield connect(remote)


@pytest.mark.parametrize(
    "n_partitions", [7, pytest.param(1, marks=pytest.mark.slow), pytest.param(64, marks=pytest.mark.slow)]
)
def test_scores_are_those_of_a_local_run(session: Any, place: Path, table: pa.Table, n_partitions: int):
    """To the bit with AVX-512, else to 1e-5, with the same flags and reasons, in any number of partitions.

    The columns of the user keep their values.
    """
    frame = session.read.parquet(str(place / "data")).repartition(n_partitions)
    scored = vaecli.spark.score(frame, "model.vae", threshold=0.9, explain=3)
    assert scored.columns == [*frame.columns, "anomaly_score", "p_value", "is_anomaly", "top_columns"]
    assert [field.dataType for field in scored.schema][: len(frame.columns)] == [f.dataType for f in frame.schema]
    found = scored.toArrow().sort_by("row")
    alone = vaecli.load("model.vae").score(table, threshold=0.9, explain=3)
    assert len(found) == len(alone)
    for name in ("anomaly_score", "p_value"):
        np.testing.assert_allclose(found[name].to_numpy(), alone[name].to_numpy(), rtol=tolerance())
    for name in ("is_anomaly", *(set(table.column_names) - {"at"})):
        assert found[name].to_pylist() == alone[name].to_pylist(), name
    assert worthwhile(found["top_columns"]) == worthwhile(alone["top_columns"])
    assert found["at"].cast(pa.int64()).equals(alone["at"].cast(pa.int64()))
    assert 0 < sum(found["is_anomaly"].to_pylist()) < len(found)


def worthwhile(reasons: pa.ChunkedArray) -> list[list[str]]:
    """The reasons of each row without those of less than 0.05 nats, which rounding may add or drop."""
    texts = (text or "" for text in reasons.to_pylist())
    return [[reason for reason in text.split(";") if not reason.endswith(":0.0")] for text in texts]


def test_nothing_runs_before_an_action(session: Any, place: Path, table: pa.Table):
    """A DataFrame with a broken cell is scored lazily; the action names partition, row, column and value."""
    texts = pa.array([*map(str, range(42)), "broken"])
    pq.write_table(table[:43].set_column(1, "flow", texts), "broken.parquet")
    scored = vaecli.spark.score(session.read.parquet(str(place / "broken.parquet")), "model.vae")
    with pytest.raises(Exception, match="partition 0, row 43: column 'flow' wants a number, not 'broken'"):
        scored.collect()


def test_what_is_known_before_is_raised_before(session: Any, place: Path):
    """Missing columns and names that are taken need no job."""
    frame = session.read.parquet(str(place / "data"))
    with pytest.raises(vaecli.VaecliError, match="'flow'"):
        vaecli.spark.score(frame.drop("flow"), "model.vae")
    with pytest.raises(vaecli.VaecliError, match="already has a column 'p_value'"):
        vaecli.spark.score(frame.withColumnRenamed("row", "p_value"), "model.vae")


def test_the_command_line(run: Callable, remote: str, place: Path, table: pa.Table):
    """A folder is read and a new one written: columns of folders stay folders, the manifest comes last and counts."""
    words = ["score", "data", "--engine", "spark", "--remote", remote, "--threshold", "0.9", "-o", "out/"]
    done = run(*words, "--json")
    assert done.code == 0, done.err
    alone = vaecli.load("model.vae").score(table, threshold=0.9)
    answer, manifest = json.loads(done.out), json.loads(Path("out/_manifest.json").read_text())
    n_flagged = sum(alone["is_anomaly"].to_pylist())
    for counts in (answer, manifest):
        assert (counts["rows"], counts["anomalies"], counts["unscored"]) == (200, n_flagged, 0)
    assert {path.name for path in Path("out").iterdir()} >= {"day=d0", "day=d1", "_manifest.json"}
    assert len(manifest["outputs"]) == answer["parts"] == len(list(Path("out").rglob("*.parquet")))
    back = pa.concat_tables([pq.ParquetFile(path).read() for path in sorted(Path("out").rglob("*.parquet"))])
    assert back.column_names == alone.column_names
    np.testing.assert_allclose(
        back.sort_by("row")["anomaly_score"].to_numpy(), alone["anomaly_score"].to_numpy(), rtol=1e-5
    )
    before = contents(place)
    done = run(*words)
    assert done.code == 2
    assert "there is something already" in done.err
    assert contents(place) == before


def test_a_failed_run_leaves_nothing(run: Callable, remote: str, place: Path, table: pa.Table):
    """A broken cell is exit code 4 with its place and value, and no folder is there."""
    texts = pa.array([*map(str, range(99)), "broken"])
    pq.write_table(table[:100].set_column(1, "flow", texts), "data/day=d1/a.parquet")
    pq.write_table(table[:100].set_column(1, "flow", pa.array(map(str, range(100)))), "data/day=d0/a.parquet")
    done = run("score", "data", "--engine", "spark", "--remote", remote, "-o", "out/")
    assert done.code == 4, done.err
    assert_is_a_message(done.err)
    assert "row 100: column 'flow' wants a number, not 'broken'" in done.err
    assert not Path("out").exists()


def test_a_second_run_into_the_same_folder_leaves(run: Callable, remote: str, place: Path):
    """While a run has the folder, another one ends with code 7 and removes nothing; the lock goes with its run."""
    words = ["score", "data", "--engine", "spark", "--remote", remote, "-o", "out/"]
    with locked(".out.lock"):
        done = run(*words)
        assert done.code == 7, done.err
        assert not Path("out").exists()
    assert run(*words).code == 0
    assert not Path(".out.lock").exists()


def test_only_flagged_rows(run: Callable, remote: str, place: Path):
    """--anomalies-only writes the flagged rows and counts all; where none is flagged the run is complete as well."""
    spark = ["score", "data", "--engine", "spark", "--remote", remote, "--anomalies-only", "--json"]
    for score, n_flagged in (("0", 200), ("1e9", 0)):
        done = run(*spark, "--min-score", score, "-o", f"out{n_flagged}/")
        assert done.code == 0, done.err
        answer = json.loads(done.out)
        assert (answer["rows"], answer["anomalies"]) == (200, n_flagged)


def test_the_page_about_spark(run: Callable, remote: str, place: Path, capsys: pytest.CaptureFixture[str]):
    """docs/how-to/spark.md: its Python and its command do what they show, at the address of the test's server."""
    shutil.copy("model.vae", "pump.vae")
    page = DOCS / "how-to/spark.md"
    (python,) = blocks(page, "python")
    shown = {"sc://localhost:15002": remote, "/data/readings": str(place / "data")}
    shown |= {"s3://lake/codes/": "codes/", "s3://lake/filled/": "filled/"}
    shown |= {"s3://lake/readings/": "data/", "s3://lake/scored/": "scored/", "sc://host:15002": remote}
    commands = [line for block in blocks(page, "sh") for line in block.splitlines() if "--engine" in line]
    for text, here in shown.items():
        python, commands = python.replace(text, here), [command.replace(text, here) for command in commands]
    exec(compile(python, page.name, "exec"), {})
    assert "anomaly_score" in capsys.readouterr().out
    for command in commands:
        done = run(*command.split()[1:])
        assert done.code in (0, 6), done.err  # `check` finds drift in some rows of the table
    for folder in ("scored", "codes", "filled"):
        assert Path(f"{folder}/_manifest.json").exists()
    assert Path("pump.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("data -o out/ --remote sc://127.0.0.1:1", 7, "no Spark Connect server answers"),
        ("data -o out/ --remote http://127.0.0.1", 2, "not the address of a Spark Connect server"),
        ("data -o out.parquet --remote {remote}", 2, "--engine spark writes a folder"),
        ("data -o out/ --remote {remote} --plot p.png", 2, "--plot"),
        ("data -o out/ --remote {remote} --resume", 2, "--resume"),
        ("data -o out/ --remote {remote} --device cuda", 2, "--device cuda"),
        ("data -o out/ --remote {remote} -m none.vae", 5, "there is no such bundle"),
        ("data -o out/ --remote {remote} -m series.vae", 2, "is a model of series"),
        ("none -o out/ --remote {remote}", 4, "none"),
    ],
)
def test_what_cannot_run_is_refused_before_it_starts(
    run: Callable, remote: str, place: Path, words: str, code: int, says: str
):
    """With the exit code of its kind, at once, and nothing is written."""
    golden = Path(__file__).resolve().parent.parent / "golden"
    shutil.copy(golden / "sensors_v5/model.vae", "series.vae")
    before, begin = contents(place), time.monotonic()
    done = run("score", "--engine", "spark", *words.format(remote=remote).split())
    assert done.code == code, done.err
    assert says in done.err
    assert_is_a_message(done.err)
    assert contents(place) == before
    assert time.monotonic() - begin < 30
