"""Folders of Parquet files: columns in their names are read, and the tables of a lakehouse are refused."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.messages import assert_is_a_message, contents
from tests.sensors.conftest import call
from vaecli import tables
from vaecli.errors import InputError

N_ROWS = 40


@dataclass(frozen=True)
class Refused:
    """What writes a folder, the inputs that name it, and what the error must contain."""

    write: Callable[[Path], None]
    says: tuple[str, ...]
    words: str


def refused(id: str, write: Callable[[Path], None], *says: str, words: str = "lake"):
    return pytest.param(Refused(write, says, words), id=id)


def lake(*marks: str, parts: tuple[str, ...] = ("part-0.parquet",)) -> Callable[[Path], None]:
    """A folder with Parquet files and the marks of a lake table."""

    def write(path: Path) -> None:
        for part in parts:
            (path / part).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(frame(), path / part)
        for mark in marks:
            (path / mark).parent.mkdir(parents=True, exist_ok=True)
            (path / mark).write_text("{}")

    return write


def frame(shift: float = 0.0, n_rows: int = N_ROWS, **more: pa.Array) -> pa.Table:
    i = np.arange(n_rows)
    return pa.table({"temp": 20 + i % 7 / 10, "flow": 60 + i % 11 / 4 + shift} | more)


def partitioned(n_rows: int, **values: float) -> Callable[[Path], None]:
    """Folders of one file of `n_rows` rows each, with `flow` shifted by the number."""

    def write(path: Path) -> None:
        for folder, shift in values.items():
            (path / folder).mkdir(parents=True)
            pq.write_table(frame(shift, n_rows), path / folder / "part-0.parquet")

    return write


REFUSED = [
    refused("delta", lake("_delta_log/0.json"), "a Delta table", "DeltaTable('lake')"),
    refused("delta-pattern", lake("_delta_log/0.json"), "a Delta table", words="'lake/*.parquet'"),
    refused("delta-file", lake("_delta_log/0.json"), "a Delta table", words="lake/part-0.parquet"),
    refused(
        "delta-partitions",
        lake("_delta_log/0.json", parts=("p=1/a.parquet", "p=2/a.parquet")),
        "a Delta table",
        words="lake/p=1",
    ),
    refused("delta-below", lake("t/_delta_log/0.json", parts=("t/a.parquet",)), "a Delta table"),
    refused("iceberg", lake("metadata/v1.metadata.json", parts=("data/a.parquet",)), "an Iceberg table"),
    refused(
        "iceberg-data",
        lake("metadata/v1.metadata.json", parts=("data/a.parquet",)),
        "an Iceberg table",
        words="lake/data",
    ),
    refused("hudi", lake(".hoodie/hoodie.properties"), "a Hudi table", "format('hudi')"),
    refused(
        "partition-of-some",
        lake(parts=("p=1/a.parquet", "b.parquet")),
        "columns in their names, but not for every file",
        "b.parquet: no folder p=",
    ),
]


@pytest.mark.parametrize("verb", ["fit -o out.vae", "score -m model.vae -o out.csv"], ids=["fit", "score"])
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_the_way_to_export_it(case: Refused, verb: str, run, place: Path, bundle: Path):
    """Exit 4 names what the folder is, and nothing is written."""
    (place / "model.vae").write_bytes(bundle.read_bytes())
    case.write(place / "lake")
    before = contents(place)
    done = run(*shlex.split(verb), *shlex.split(case.words))
    assert done.code == 4, done.err
    assert contents(place) == before
    assert_is_a_message(done.err)
    for said in case.says:
        assert said in done.err


def scored(run, inputs: list[str], out: str, model: str = "m.vae") -> pa.Table:
    done = run("score", *inputs, "-m", model, "-o", out)
    assert done.code == 0, done.err
    return pq.ParquetFile(out).read() if out.endswith(".parquet") else pa.csv.read_csv(out)


# -- columns in the names of folders -----------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted_pumps(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> Path:
    """Two pumps with flows of their own in a partitioned folder, a bundle of them, and a folder with them swapped."""
    folder = tmp_path_factory.mktemp("pumps")
    partitioned(N_ROWS, **{"pump=P1": 0.0, "pump=P2": 3000.0})(folder / "train")
    partitioned(N_ROWS, **{"pump=P1": 3000.0, "pump=P2": 3000.0})(folder / "new")
    done = call("fit", folder / "train", "-o", folder / "m.vae", "--config", quick)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def pumps(place: Path, fitted_pumps: Path) -> Path:
    """The current directory: a copy of them."""
    shutil.copytree(fitted_pumps, place, dirs_exist_ok=True)
    return place


@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
@pytest.mark.parametrize(
    "inputs",
    [["new"], ["new/"], ["./new"], ["new/pump=*/*.parquet"], ["new/*"], ["new/pump=P1", "new/pump=P2"],
     ["new/pump=P1/part-0.parquet", "new/pump=P2/part-0.parquet"]],
    ids=["folder", "slash", "dot", "pattern", "folders-of-a-pattern", "folders", "files"],
)  # fmt: skip
def test_a_folder_column_is_in_the_output(pumps: Path, inputs: list[str], out: str, run):
    """However the files are named, each row carries the pump of its folder, and passes with it."""
    table = scored(run, inputs, out)
    assert table.column_names[:3] == ["temp", "flow", "pump"]
    assert table["pump"].to_pylist() == ["P1"] * N_ROWS + ["P2"] * N_ROWS


def test_a_folder_column_is_a_feature(pumps: Path, run):
    """Rows with the flow of the other pump are flagged, those of the right one are not."""
    partitioned(300, **{"pump=P1": 0.0, "pump=P2": 3000.0})(pumps / "longer")
    assert run("fit", "longer", "-o", "m.vae", "--preset", "fast").code == 0
    rows = scored(run, ["new"], "out.parquet")
    flagged = rows["is_anomaly"].to_numpy()
    assert flagged[:N_ROWS].mean() > 0.9
    assert flagged[N_ROWS:].mean() < 0.2
    assert "pump" in run("inspect", "m.vae", "--schema").out


def test_parts_know_the_column_of_their_folder(pumps: Path, run):
    """A folder of parts has the scores of the folder as one table; the column stays in the names of the folders."""
    table = scored(run, ["new"], "out.parquet")
    assert run("score", "new", "-m", "m.vae", "-o", "parts/", "--quiet").code == 0
    parts = [pq.ParquetFile(f"parts/pump={pump}/part-0.parquet").read() for pump in ("P1", "P2")]
    assert parts[0].column_names == [name for name in table.column_names if name != "pump"]
    joined = pa.concat_tables(parts)
    np.testing.assert_allclose(joined["anomaly_score"], table["anomaly_score"], rtol=1e-6)
    assert joined["flow"].equals(table["flow"])
    back = tables.open_source(["parts"])
    assert (set(back.names), back.n_rows) == (set(table.column_names), 2 * N_ROWS)


@pytest.mark.parametrize("verb", ["score", "explain", "encode", "reconstruct"])
def test_every_verb_reads_folder_columns(pumps: Path, verb: str, run):
    """The same columns for all verbs: none lacks the pump."""
    done = run(verb, "new", "-m", "m.vae", "-o", "out.parquet")
    assert done.code == 0, done.err


def test_one_folder_alone_lacks_the_column(pumps: Path, run):
    """Below the folder that holds the value nothing names the pump."""
    done = run("score", "new/pump=P1", "-m", "m.vae", "-o", "out.csv")
    assert done.code == 4
    assert "'pump'" in done.err


@pytest.mark.parametrize(
    ("folders", "names", "values"),
    [
        (["year=2023", "year=2024"], ["year"], [2023, 2024]),
        (["month=01", "month=12"], ["month"], ["01", "12"]),
        (["id=7", "id=x7"], ["id"], ["7", "x7"]),
        (["id=-3", "id=0"], ["id"], [-3, 0]),
        (["p=a%2Fb", "p=c d"], ["p"], ["a/b", "c d"]),
        (["p=__HIVE_DEFAULT_PARTITION__", "p=a"], ["p"], [None, "a"]),
        (["n=1", "n=__HIVE_DEFAULT_PARTITION__"], ["n"], [1, None]),
        (["n=123456789012345678901", "n=1"], ["n"], ["123456789012345678901", "1"]),
        (["a=1/b=x", "a=2/b=y"], ["a", "b"], [1, 2]),
        (["q=b=c", "q=d"], ["q"], ["b=c", "d"]),
        (["x/p=1", "y/p=2"], ["p"], [1, 2]),
    ],
)
def test_folder_columns_have_these_values(place: Path, folders: list[str], names: list[str], values: list[object]):
    """Whole numbers where all are, else text, spelled as they are; a column without a value is missing."""
    partitioned(N_ROWS, **dict.fromkeys(folders, 0.0))(place / "t")
    source = tables.open_source(["t"])
    assert list(source.names) == ["temp", "flow", *names]
    firsts = pa.concat_tables([batch.table for batch in source.batches()])[names[0]].to_pylist()[::N_ROWS]
    assert sorted(firsts, key=str) == sorted(values, key=str)
    only = pa.concat_tables([batch.table for batch in source.batches(tables.ReadRequest([names[0]]))])
    assert (only.column_names, only.num_rows) == ([names[0]], 2 * N_ROWS)


def test_a_column_in_the_files_comes_before_its_folder(place: Path):
    """A writer that keeps the column in the files too has it once, as the files have it."""
    for folder in ("p=1", "p=2"):
        (place / "t" / folder).mkdir(parents=True)
        pq.write_table(frame(p=pa.array([f"in {folder}"] * N_ROWS)), place / "t" / folder / "a.parquet")
    table = pa.concat_tables([batch.table for batch in tables.open_source(["t"]).batches()])
    assert table.column_names == ["temp", "flow", "p"]
    assert set(table["p"].to_pylist()) == {"in p=1", "in p=2"}


def test_folder_columns_of_text_files_are_refused(place: Path):
    """A pattern over CSV files would lose the column; files that are named one by one are what they are."""
    for folder in ("p=1", "p=2"):
        (place / folder).mkdir()
        (place / folder / "a.csv").write_text("temp,flow\n1.5,2.5\n")
    with pytest.raises(InputError, match=r"columns in their names \(p\)"):
        tables.open_source(["p=*/a.csv"])
    assert list(tables.open_source(["p=1/a.csv", "p=2/a.csv"]).names) == ["temp", "flow"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
